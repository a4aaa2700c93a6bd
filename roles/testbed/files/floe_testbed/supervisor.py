"""Keeps the daemons running: starts them in order, starts again what died, bounds logs, writes the status.

One process, one loop: it waits for a child's end, a request to stop, or the next second. Every daemon
inherits the namespaces (network and mounts) that it was started in; they vanish with the last process.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .daemons import Daemon

_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0  # seconds before a dead daemon is started again, doubling
_STEADY_SECONDS = 60.0  # one that ran this long starts anew with the first backoff
_PROBE_EVERY = 5.0  # seconds between looks at a daemon that works; one that does not is looked at each turn
_TURN, _STARTING_TURN = 1.0, 0.1
_LOG_LIMIT = 20 << 20  # bytes of a log before it is moved aside; one older part is kept
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class _State:
    """What is known of one daemon."""

    daemon: Daemon
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0  # time.time(), for people
    started_at: float = 0.0  # time.monotonic(), for intervals
    start_after: float = 0.0
    backoff: float = _FIRST_BACKOFF
    restarts: int = 0
    worked: bool = False  # has worked since the supervisor started: its dependants need not wait again
    why: str = "not started yet"
    probed_at: float = 0.0
    last_end: str = ""

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None


class Supervisor:
    """Runs daemons until it is told to stop."""

    def __init__(self, daemons: Sequence[Daemon], status: Path, logs: Path) -> None:
        self._states = {daemon.name: _State(daemon) for daemon in daemons}
        self._status, self._logs = status, logs
        self._written = ""

    def run(self) -> None:
        """Starts the daemons and keeps them running until SIGTERM or SIGINT; the caller then stops them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # containerd's shims come to us when containerd dies
        self._logs.mkdir(parents=True, exist_ok=True)
        while True:
            self._reap()
            for state in self._states.values():
                self._tend(state)
            self._write_status()
            turn = _TURN if all(state.worked for state in self._states.values()) else _STARTING_TURN
            received = signal.sigtimedwait(_SIGNALS, turn)
            if received and received.si_signo != signal.SIGCHLD:
                return

    def stop(self, names: Sequence[str], seconds: float = 5) -> None:
        """Ends some daemons together: asks, waits, and kills those that have not ended by then."""
        states = [self._states[name] for name in names if self._states[name].process]
        for state in states:
            self._signal(state, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(state.process for state in states) and time.monotonic() < deadline:
            signal.sigtimedwait((signal.SIGCHLD,), 0.2)
            self._reap()
        for state in states:
            self._signal(state, signal.SIGKILL)

    def _tend(self, state: _State) -> None:
        """Starts a daemon whose time has come, looks at one that runs."""
        now = time.monotonic()
        if state.process is None:
            missing = [name for name in state.daemon.needs if not self._states[name].worked]
            if missing:
                state.why = f"waits for {', '.join(missing)}"
            elif now >= state.start_after:
                self._start(state)
            return
        if not state.why and now - state.probed_at < _PROBE_EVERY:
            return
        state.why, state.probed_at = state.daemon.probe(), now
        state.worked = state.worked or not state.why
        if not state.why and now - state.started_at > _STEADY_SECONDS:
            state.backoff = _FIRST_BACKOFF
        _bound_log(self._log(state))

    def _start(self, state: _State) -> None:
        if state.daemon.prepare and not state.worked:
            state.daemon.prepare()
        with self._log(state).open("ab") as log:
            state.process = subprocess.Popen(  # noqa: S603 - our own command line
                state.daemon.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_in_child,  # noqa: PLW1509 - there is one thread
            )
        state.started, state.started_at = time.time(), time.monotonic()
        state.why, state.probed_at = "starting", 0.0

    def _reap(self) -> None:
        """Takes note of every child that ended: daemons, and orphans that came to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for state in self._states.values():
                if state.process and state.process.pid == pid:
                    self._ended(state, os.waitstatus_to_exitcode(status))

    def _ended(self, state: _State, code: int) -> None:
        assert state.process is not None
        state.process.returncode, state.process = code, None  # subprocess has not seen the end: we took it
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        ran = time.monotonic() - state.started_at
        if ran > _STEADY_SECONDS:
            state.backoff = _FIRST_BACKOFF
        state.last_end = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {how} after {ran:.0f} s"
        state.why = f"ended ({how}), comes back within {state.backoff:.1f} s; see {self._log(state)}"
        state.start_after = time.monotonic() + state.backoff
        state.backoff = min(2 * state.backoff, _LONGEST_BACKOFF)
        state.restarts += 1

    def _signal(self, state: _State, number: signal.Signals) -> None:
        if state.process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(state.process.pid, number)

    def _log(self, state: _State) -> Path:
        return self._logs / f"{state.daemon.name}.log"

    def _write_status(self) -> None:
        """Writes the status file, if something in it changed."""
        text = json.dumps(
            {
                name: {
                    "pid": state.pid,
                    "up": state.process is not None and not state.why,
                    "since": state.started,
                    "restarts": state.restarts,
                    "last_end": state.last_end,
                    "why": state.why,
                }
                for name, state in self._states.items()
            },
            indent=1,
        )
        if text != self._written:
            unfinished = self._status.with_suffix(".new")
            unfinished.write_text(text)
            unfinished.replace(self._status)
            self._written = text


def _bound_log(log: Path) -> None:
    """Moves a log that grew too long aside; its writer appends, so it goes on at the new start."""
    if log.stat().st_size > _LOG_LIMIT:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def _in_child() -> None:
    """Between fork and exec: a daemon does not outlive us, and hears the signals that we wait for."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option})")
