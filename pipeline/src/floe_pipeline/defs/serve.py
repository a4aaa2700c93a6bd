"""`floe demo-ui`: the embedded platform under Dagster, its processes watched and ended together.

The same three processes as in the cluster: code server, daemon, webserver. One that dies is started again.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

import httpx
from dagster import DagsterInstance

from floe_pipeline.defs.ports import LOOPBACK, free_port, is_taken, owner
from floe_pipeline.embedded import DAGSTER_HOME, embedded_platform, settings_env
from floe_pipeline.settings import Settings

START_SECONDS: Final = 180.0
STOP_SECONDS: Final = 5.0  # then what is left is killed: a run goes on from its last commit at the next start
DEATHS: Final = 5  # of one process within a minute, and we give up
BOOTSTRAP_ONLY: Final = ("FLOE_ROOT_", "FLOE_CUBE_")  # credentials that no run needs
LOGS: Final = "output"  # Dagster cleans a folder called logs
TAIL_LINES: Final = 15


class ServeError(RuntimeError):
    """The platform cannot be served; the message says why and what to do."""


def serve(home: Path, *, port: int = 3000, say: Callable[[str], None] = print) -> None:
    """Serve until Ctrl-C or SIGTERM, then end everything that was started.

    Args:
        home: Folder of the embedded lake; Dagster's state goes below it.
        port: Port of Dagster's UI on 127.0.0.1.
        say: Takes each line for the user.

    Raises:
        ServeError: The port or the folder is in use, or a process does not stay up.
        EmbeddedError: The folder cannot be used.
        SettingsError: A `FLOE_*` variable has a value that cannot be used.
    """
    if is_taken(port):
        raise ServeError(
            f"port {port} of {LOOPBACK} is taken by {owner(port)}: stop it, or choose another port"
            f" (make demo-ui PORT={port + 1}, or floe demo-ui --port {port + 1})"
        )
    state = home.expanduser().absolute() / DAGSTER_HOME
    with _stop_requested() as stopping, _claimed(state) as claim, embedded_platform(home) as settings:
        say("Starting the code server, the daemon and the webserver of Dagster ...")
        with _running(settings, state, port=port, claim=claim, stopping=stopping, say=say) as services:
            if not stopping.is_set():
                _announce(settings, home, port, say)
            stopping.wait()
            failed = next((service.failure for service in services if service.failure), None)
            say("Stopping ...")
        if failed:
            raise ServeError(failed)
        say("Stopped. The same command goes on from here.")


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of an exception at any point of the code."""
    stopping = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _claimed(state: Path) -> Iterator[int]:
    """Hold Dagster's state; the processes inherit the lock, so one left behind by a crash still holds it."""
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            by = os.pread(descriptor, 64, 0).decode() or "another process"
            raise ServeError(
                f"{state} is served by {by} or what it left behind: stop that, or use another --home"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _running(
    settings: Settings,
    state: Path,
    *,
    port: int,
    claim: int,
    stopping: threading.Event,
    say: Callable[[str], None],
) -> Iterator[list[_Service]]:
    """The three processes, answering; or `stopping` set when they do not come up."""
    (state / "dagster.yaml").write_text(files(__package__).joinpath("dagster.yaml").read_text())
    with DagsterInstance.from_config(str(state)) as instance:
        instance.get_runs_count()  # makes the databases, which three processes at once would get wrong
    code_port = free_port()
    workspace = state / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: {LOOPBACK}, port: {code_port}, location_name: floe}}\n"
    )
    kept = {
        name: text for name, text in settings_env(settings).items() if not name.startswith(BOOTSTRAP_ONLY)
    }
    environment = kept | {"DAGSTER_HOME": str(state), "PYTHONUNBUFFERED": "1"}

    def service(name: str, *command: str) -> _Service:
        return _Service(
            name,
            command,
            environment,
            state / LOGS / f"{name}.log",
            claim=claim,
            stopping=stopping,
            say=say,
        )

    of_workspace = ("--workspace", str(workspace))
    services = [
        service(
            "code-server", "floe_pipeline.defs.code_server", "--host", LOOPBACK, "--port", str(code_port)
        ),
        service("daemon", "dagster._daemon", "run", *of_workspace),
        service("webserver", "dagster_webserver", "--host", LOOPBACK, "--port", str(port), *of_workspace),
    ]
    (state / LOGS).mkdir(exist_ok=True)
    with ExitStack() as stack:
        for one in services:
            stack.callback(one.end)
            one.start()
        _await(lambda: _listens(code_port), "the code server", services[0], stopping)
        _await(lambda: _answers(port), "the webserver", services[2], stopping)
        yield services


def _await(ready: Callable[[], bool], what: str, service: _Service, stopping: threading.Event) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not stopping.wait(0.2) and not ready():
        if time.monotonic() > deadline:
            raise ServeError(f"{what} did not answer within {START_SECONDS:.0f} s:\n{service.last_words()}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://{LOOPBACK}:{port}/server_info", timeout=5).is_success
    except httpx.HTTPError:
        return False


class _Service(threading.Thread):
    """A process that is started again when it ends by itself, in a process group of its own."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        claim: int,
        stopping: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.failure: str | None = None
        self._command = [sys.executable, "-m", *command]
        self._environment = dict(environment)
        self._log = log
        self._claim = claim
        self._stopping = stopping
        self._say = say
        self._deaths: list[float] = []
        self._lock = threading.Lock()
        self._ended = False
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        while True:
            with self._lock:
                if self._ended:
                    return
                process = self._process = self._spawn()
            code = process.wait()
            with self._lock:
                if self._ended:
                    return
                _kill_group(process.pid)  # what it had started would work on without anybody knowing of it
                self._deaths = [moment for moment in self._deaths if time.monotonic() - moment < 60]
                self._deaths.append(time.monotonic())
            if len(self._deaths) >= DEATHS:
                self.failure = f"the {self.name} does not stay up (exit code {code}):\n{self.last_words()}"
                self._stopping.set()
                return
            self._say(f"The {self.name} ended with exit code {code}; starting it again")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own commands
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone, and a group can be ended whole
                pass_fds=[self._claim],
            )

    def end(self) -> None:
        """End the process and everything that it started."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):  # it waits for a run; the group is killed next
            process.wait(STOP_SECONDS)
        _kill_group(process.pid)
        process.wait()
        self.join()

    def last_words(self) -> str:
        """The end of its log."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join([*lines[-TAIL_LINES:], f"(all of it: {self._log})"])


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return  # nobody is left, as it should be


def _announce(settings: Settings, home: Path, port: int, say: Callable[[str], None]) -> None:
    address = f"http://{LOOPBACK}:{port}"
    say(
        f"\nDagster UI   {address}\n"
        f"GraphQL      {address}/graphql\n"
        f"Catalog      {settings.catalog_uri} (warehouse {settings.catalog_name})\n"
        f"State, logs  {home}, {home / DAGSTER_HOME / LOGS}\n\n"
        f"Empty tables are seeded within {settings.sensor_seconds} s;"
        f" the schedule {settings.schedule_cron!r} adds {settings.cycle_orders} orders each time.\n"
        "Ctrl-C stops everything.\n"
    )
