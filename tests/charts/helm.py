"""Runs helm: finds its versions, puts a chart and its dependencies together, renders, lints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .manifests import Manifests

REPOSITORY = Path(__file__).parents[2]
CHARTS = REPOSITORY / "charts"
STAND_INS = REPOSITORY / "roles/testbed/files/charts"
TOOLS = REPOSITORY / ".cache/bin"  # made by scripts/kubernetes_tools.py
MINIO_CHART = REPOSITORY / ".cache/charts/minio"  # the same
KUBERNETES = "1.34.0"  # that of the testbed; a helm that was compiled by hand believes in an old one
PLACES = (TOOLS, REPOSITORY / "build/testbed/bin", *map(Path, os.get_exec_path()))


class HelmError(Exception):
    """helm refused; the message is what it said."""


@dataclass(frozen=True)
class Helm:
    """One helm program.

    Attributes:
        path: of the program.
        major: 3 or 4.
    """

    path: Path
    major: int

    def template(
        self, chart: Path, values: Mapping[str, Any] | None = None, *, namespace: str = "floe"
    ) -> Manifests:
        """Render a chart as a release of its own name.

        Raises:
            HelmError: the chart cannot be rendered with these values.
        """
        return Manifests(
            self.run(
                "template",
                chart.name,
                str(chart),
                "--namespace",
                namespace,
                f"--kube-version={KUBERNETES}",
                values=values,
            )
        )

    def lint(self, chart: Path, values: Mapping[str, Any] | None = None) -> str:
        """What the linter says; warnings count as errors.

        Raises:
            HelmError: the linter found something.
        """
        return self.run("lint", str(chart), "--strict", f"--kube-version={KUBERNETES}", values=values)

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Standard output of a command.

        Raises:
            HelmError: it did not exit with 0.
        """
        with tempfile.TemporaryDirectory() as home:
            command = [str(self.path), *arguments]
            if values is not None:
                file = Path(home) / "values.yaml"
                file.write_text(yaml.safe_dump(dict(values)))
                command += ["--values", str(file)]
            # a home of its own: no plugin, repository or setting of the user changes what is rendered
            environment = {"PATH": os.defpath, "HOME": home, "HELM_KUBECONTEXT": "none"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise HelmError(done.stderr + done.stdout)
        return done.stdout


def find_helm(major: int) -> Helm | None:
    """The first helm of a major version, in the project's own places and then on PATH."""
    for place in PLACES:
        program = shutil.which("helm", path=place)
        if program:
            said = subprocess.run(
                [program, "version", "--short"], capture_output=True, text=True, check=False
            )
            if re.match(rf"v{major}\.", said.stdout):
                return Helm(Path(program), major)
    return None


def with_dependencies(chart: Path, dependencies: Iterable[Path], into: Path) -> Path:
    """A copy of a chart beside which its dependencies lie, as `helm dependency build` would leave it.

    Returns:
        Path: of the copy, which has the chart's name.
    """
    copy = into / chart.name
    shutil.copytree(chart, copy, ignore=shutil.ignore_patterns("charts"))
    for dependency in dependencies:
        shutil.copytree(dependency, copy / "charts" / dependency.name)
    return copy


def find_tool(name: str) -> Path | None:
    """A checker from the project's own places or PATH."""
    found = shutil.which(name, path=os.pathsep.join(map(str, PLACES)))
    return Path(found) if found else None
