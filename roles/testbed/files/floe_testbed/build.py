"""Builds the cluster's programs from Go modules and keeps them by the hash of all that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .layout import TestbedError

SOURCES = Path(__file__).parents[1] / "binaries"
_LOG_LINES = 20
_TICK_SECONDS = 20.0
_COMPONENTS = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
)  # fmt: skip
_HELM = "helm.sh/helm/v3"
_KUBERNETES = "k8s.io/kubernetes"
# As released: nothing of this machine or this day gets in, so the same sources give the same bytes.
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}


@dataclass(frozen=True)
class Recipe:
    """One Go module of ours and the programs that are built from it.

    Attributes:
        name: folder under files/binaries.
        packages: Go packages to build; the last part of a path names the program.
        links: other names of the one program.
        variables: strings that are set at link time; `{version}` is that of the module named first.
        seconds: a cold build on two idle cores.
    """

    name: str
    packages: tuple[str, ...]
    seconds: int
    links: tuple[str, ...] = ()
    variables: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return SOURCES / self.name

    def version(self, module: str) -> str:
        """Returns the version, `v1.2.3`, that go.mod pins a module at."""
        found = re.search(
            rf"^\s*(?:require )?{re.escape(module)} (v\S+)", (self.folder / "go.mod").read_text(), re.M
        )
        if not found:
            raise TestbedError(f"{self.folder / 'go.mod'} does not require {module}")
        return found[1]

    def argv(self) -> list[str]:
        """Returns the compiler's command line, without where the result goes."""
        settings = (
            f"-X {name}={text.format(version=self.version(module))}"
            for name, (module, text) in self.variables.items()
        )
        return ["go", "build", "-trimpath", "-ldflags", " ".join(["-s -w", *settings]), *self.packages]

    def fingerprint(self) -> str:
        """Returns the hash of all that the result depends on."""
        digest = hashlib.sha256(json.dumps([self.argv(), self.links, _ENVIRONMENT, _compiler()]).encode())
        for path in sorted(
            path
            for path in self.folder.rglob("*")
            if path.name in ("go.mod", "go.sum") or path.suffix == ".go"
        ):
            digest.update(f"{path.relative_to(self.folder)}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:12]


def _version_variables() -> dict[str, tuple[str, str]]:
    """Kubernetes' own notion of its version, in both packages that have one."""
    texts = {
        "gitVersion": "{version}",
        "gitMajor": "1",
        "gitMinor": "34",
        "gitTreeState": "clean",
        "gitCommit": "unknown",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{key}": (_KUBERNETES, text) for package in packages for key, text in texts.items()}


KUBERNETES = Recipe("kubernetes", (".",), 320, links=_COMPONENTS, variables=_version_variables())
TOOLS = Recipe(
    "tools",
    (
        "./coredns",
        "./local-volumes",
        "./pause",
        f"{_HELM}/cmd/helm",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
    ),
    180,
    variables={
        f"{_HELM}/internal/version.version": (_HELM, "{version}"),
        "sigs.k8s.io/metrics-server/pkg/version.gitVersion": ("sigs.k8s.io/metrics-server", "{version}"),
    },
)
RECIPES = (KUBERNETES, TOOLS)


def build_programs(folder: Path) -> tuple[dict[str, Path], bool]:
    """Builds what is not in the cache yet.

    Args:
        folder: the testbed's cache.

    Returns:
        The folder of each recipe's programs, and whether anything had to be built.

    Raises:
        TestbedError: a build failed, with the end of what it said.
    """
    wanted = {
        recipe.name: folder / "binaries" / f"{recipe.name}-{recipe.fingerprint()}" for recipe in RECIPES
    }
    missing = [recipe for recipe in RECIPES if not wanted[recipe.name].exists()]
    for number, recipe in enumerate(missing):
        with _progress(recipe, sum(rest.seconds for rest in missing[number + 1 :])):
            _build(recipe, wanted[recipe.name])
    return wanted, bool(missing)


def _build(recipe: Recipe, target: Path) -> None:
    """Builds one recipe's programs; the folder appears when all are in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{recipe.name}-") as scratch:
        folder = Path(scratch) / "bin"
        folder.mkdir()
        command = recipe.argv()
        command[2:2] = ["-o", f"{folder}/"]
        done = subprocess.run(  # noqa: S603 - our own command line
            command,
            cwd=recipe.folder,
            env=os.environ | _ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TestbedError(
                f"{recipe.name}: go build failed:\n" + "\n".join(done.stderr.splitlines()[-_LOG_LINES:])
            )
        if recipe.links:
            (only,) = folder.iterdir()
            only.rename(folder / recipe.name)
            for name in recipe.links:
                (folder / name).symlink_to(recipe.name)
        folder.rename(target)


@contextmanager
def _progress(recipe: Recipe, seconds_after: int) -> Iterator[None]:
    """Says on standard error what is being built, for how long, and about how much is left."""
    began, stop = time.monotonic(), threading.Event()

    def say(what: str) -> None:
        elapsed = time.monotonic() - began
        left = max(recipe.seconds - elapsed, 5) + seconds_after
        sys.stderr.write(
            f"{recipe.name}: {what} for {elapsed:.0f} s, about {left:.0f} s left for all programs\n"
        )
        sys.stderr.flush()

    def tick() -> None:
        while not stop.wait(_TICK_SECONDS):
            say("compiling")

    say("compiling")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        stop.set()
        ticker.join()
    sys.stderr.write(f"{recipe.name}: built in {time.monotonic() - began:.0f} s\n")


@cache
def _compiler() -> str:
    return output_of("go", "env", "GOVERSION", "GOARCH")


def output_of(*argv: str) -> str:
    """Returns what a command prints."""
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout  # noqa: S603
