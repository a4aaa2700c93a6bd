"""The supervisor: what dies comes back, what it says is true, what it started ends with it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from floe_testbed import supervisor
from waiting import until

FILES = Path(__file__).parents[2] / "roles" / "testbed" / "files"
# A node of small programs: `second` needs `first`; `crash` ends by itself whenever it is started.
PROGRAM = """
import sys
from pathlib import Path
from floe_testbed.daemons import Daemon
from floe_testbed.supervisor import Supervisor

folder = Path(sys.argv[1])

def there(name):
    return lambda: "" if (folder / name).exists() else f"{name} is missing"

def shell(script):
    return ("/bin/sh", "-c", script)

supervisor = Supervisor(
    (
        Daemon("first", shell(f"echo hello; sleep .3; touch {folder}/ready; sleep 9"), there("ready")),
        Daemon("second", shell("exec sleep 600"), lambda: "", needs=("first",)),
        Daemon("stubborn", shell("trap '' TERM; while :; do sleep 0.1; done"), lambda: ""),
        Daemon("crash", shell("exit 3"), lambda: ""),
    ),
    folder / "status.json",
    folder / "logs",
)
supervisor.run()
supervisor.stop(("second", "first", "stubborn", "crash"), seconds=0.3)
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONPATH": str(FILES)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment)
    yield process
    process.kill()
    process.wait()


def status(folder: Path) -> dict:
    path = folder / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


def is_up(folder: Path, name: str) -> dict | None:
    state = status(folder).get(name, {})
    return state if state.get("up") else None


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_dependant_starts_after_what_it_needs_works(node, tmp_path):
    until(lambda: "second" in status(tmp_path))
    assert status(tmp_path)["second"]["why"] == "waits for first"
    first, second = until(lambda: is_up(tmp_path, "first")), until(lambda: is_up(tmp_path, "second"))
    assert second["since"] > first["since"] + 0.25


def test_killed_daemon_comes_back_and_dependants_stay(node, tmp_path):
    before, second = until(lambda: is_up(tmp_path, "first")), until(lambda: is_up(tmp_path, "second"))
    os.kill(before["pid"], signal.SIGKILL)
    after = until(lambda: (state := is_up(tmp_path, "first")) and state["pid"] != before["pid"] and state)
    assert after["restarts"] == 1
    assert "killed by SIGKILL" in after["last_end"]
    assert is_up(tmp_path, "second")["pid"] == second["pid"]
    assert (tmp_path / "logs" / "first.log").read_text() == "hello\n" * 2


def test_one_that_keeps_dying_is_said_to_be_down_and_tried_ever_more_rarely(node, tmp_path):
    until(lambda: status(tmp_path).get("crash", {}).get("restarts", 0) >= 2)
    state = status(tmp_path)["crash"]
    assert not state["up"]
    assert "exit code 3" in state["why"]
    assert "crash.log" in state["why"]
    assert state["restarts"] <= 3  # half a second, then one, then two: not a busy loop


def test_stopping_ends_every_daemon_even_one_that_does_not_listen(node, tmp_path):
    pids = [until(lambda name=name: is_up(tmp_path, name))["pid"] for name in ("first", "second", "stubborn")]
    node.send_signal(signal.SIGTERM)
    assert node.wait(5) == 0
    until(lambda: not any(alive(pid) for pid in pids), 2)


def test_daemons_do_not_outlive_a_killed_supervisor(node, tmp_path):
    pids = [until(lambda name=name: is_up(tmp_path, name))["pid"] for name in ("first", "second", "stubborn")]
    node.kill()
    until(lambda: not any(alive(pid) for pid in pids), 2)


def test_long_log_is_moved_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_LOG_LIMIT", 10)
    log = tmp_path / "x.log"
    log.write_text("x" * 11)
    supervisor._bound_log(log)
    assert (log.stat().st_size, (tmp_path / "x.log.1").stat().st_size) == (0, 11)
