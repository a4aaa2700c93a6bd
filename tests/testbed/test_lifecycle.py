"""The node on this machine: it leaves nothing, comes again, survives interruption, and there is one only.

Needs root and the programs in the cache (from `make testbed-up`), and that no testbed is up: otherwise
skipped, unless FLOE_TESTBED_TESTS=1 says that it must run.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from floe_testbed import build, cgroups, lifecycle, preflight
from floe_testbed.layout import PID_FILE, STATE, STATUS_FILE
from waiting import until

FILES = Path(__file__).parents[2] / "roles" / "testbed" / "files"
CACHE = Path("~/.cache/floe/testbed").expanduser()
# Numbers that the kernel counts, and what concerns other programs of a machine that is in use
VOLATILE = re.compile(
    r"^(fs\.(dentry|file|inode)|kernel\.(random|ns_last_pid|pty)|net\.netfilter\.nf_conntrack_count)"
)


def why_not() -> str:
    if os.geteuid() != 0:
        return "needs root"
    if not all((CACHE / "binaries" / f"{r.name}-{r.fingerprint()}").exists() for r in build.RECIPES):
        return "the programs are not built"
    return "a testbed is up" if preflight.owner() else ""


pytestmark = pytest.mark.skipif(
    os.environ.get("FLOE_TESTBED_TESTS") != "1" and bool(why_not()), reason=why_not() or "runs"
)


def run(command: str, checkout: Path, *more: str) -> subprocess.Popen[str]:
    settings = {"checkout": checkout, "cache": CACHE, "kubeconfig": checkout / "build" / "kubeconfig"}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "floe_testbed",
            command,
            "--settings",
            json.dumps(settings, default=str),
            *more,
        ],
        env=os.environ | {"PYTHONPATH": str(FILES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start(checkout: Path) -> subprocess.Popen[str]:
    kubernetes, tools = (
        CACHE / "binaries" / f"{recipe.name}-{recipe.fingerprint()}" for recipe in build.RECIPES
    )
    return run("up", checkout, "--kubernetes", str(kubernetes), "--tools", str(tools))


def changed(process: subprocess.Popen[str]) -> bool:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return json.loads(out)["changed"]


def refusal(process: subprocess.Popen[str]) -> str:
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    return error


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "checkout"
    folder.mkdir()
    yield folder
    changed(run("down", folder))


def footprint() -> dict[str, set[str]]:
    """What a testbed could leave on a machine, by kind."""

    def lines(*argv: str) -> set[str]:
        return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())

    def listing(*folders: str) -> set[str]:
        return {str(path) for folder in folders for path in Path(folder).glob("*")}

    return {
        "mounts": {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()},
        "links": {line.split(": ")[1] for line in lines("ip", "-o", "link")},
        "addresses": {" ".join(line.split()[1:4]) for line in lines("ip", "-o", "address")},
        "routes": lines("ip", "route", "show", "table", "all"),
        "rules": {line for line in lines("nft", "list", "ruleset") if "counter" not in line},
        "cgroups": {str(path) for path in cgroups.ROOT.glob("*/*") if path.is_dir()},
        "sysctls": {line for line in lines("sysctl", "-a") if not VOLATILE.match(line)},
        "modules": {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}
        if Path("/proc/modules").exists()
        else set(),
        "files": listing(
            "/run",
            "/run/netns",
            "/run/containerd",
            "/var/lib",
            "/var/log",
            "/etc",
            "/etc/cni",
            "/opt",
            "/usr/libexec",
        ),
        "processes": {
            argv
            for argv in lines("ps", "-eo", "args=")
            if str(CACHE) in argv or str(STATE) in argv or "containerd-shim" in argv
        },
    }


def new_since(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is there and was not, or not with this value; but for images that are being built meanwhile."""
    return {
        kind: {thing for thing in things - before[kind] if "buildah" not in thing}
        for kind, things in footprint().items()
    }


def test_down_leaves_nothing_and_up_comes_again(checkout):
    before = footprint()
    for _ in range(5):
        assert changed(start(checkout))
        assert new_since(before)["mounts"] == set()  # they are the node's alone
        began = time.monotonic()
        assert changed(run("down", checkout))
        assert time.monotonic() - began < 20
    assert {kind: things for kind, things in new_since(before).items() if things} == {}
    assert list(checkout.iterdir()) == []
    assert not changed(run("down", checkout))


def test_second_up_changes_nothing_and_mends_what_is_missing(checkout):
    assert changed(start(checkout))
    pid = PID_FILE.read_text()
    assert not changed(start(checkout))
    (checkout / "build" / "kubeconfig").unlink()
    assert changed(start(checkout))
    assert (checkout / "build" / "kubeconfig").exists()
    assert PID_FILE.read_text() == pid


@pytest.mark.parametrize("seconds", [0.2, 0.35, 0.5, 0.8, 1.5])
def test_interrupted_up_can_be_run_again(checkout, seconds):
    process = start(checkout)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    changed(start(checkout))
    assert json.loads(STATUS_FILE.read_text())["kube-apiserver"]["up"]


def test_interrupted_down_can_be_run_again(checkout):
    assert changed(start(checkout))
    process = run("down", checkout)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    changed(run("down", checkout))
    assert lifecycle.leftovers() == []


def test_killed_supervisor_takes_all_along_and_up_starts_anew(checkout):
    assert changed(start(checkout))
    os.kill(int(PID_FILE.read_text()), signal.SIGKILL)
    until(lambda: all(state_of(pid) in "ZX" for pid in cgroups.processes(cgroups.DAEMONS)), 5)
    assert changed(start(checkout))


def state_of(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def test_there_is_one_testbed_only(checkout, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    assert changed(start(checkout))
    assert f"`make testbed-down` in {checkout} first" in refusal(start(other))
    assert f"belongs to {checkout}" in refusal(run("down", other))
    assert json.loads(STATUS_FILE.read_text())["kube-apiserver"]["up"]


def test_two_at_the_same_time_do_not_mix(checkout):
    processes = [start(checkout), start(checkout)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert any("another testbed-up or testbed-down is running" in error for _, error in outputs)
