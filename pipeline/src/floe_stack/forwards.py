"""Supervised `kubectl port-forward` processes: made again when a pod restarts, ended with us."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final

from floe_pipeline.defs.ports import LOOPBACK, is_taken, owner
from floe_stack.connection import LocalPorts
from floe_stack.doors import Door
from floe_stack.errors import StackError
from floe_stack.kubectl import Kubectl

AGAIN_SECONDS: Final = (
    0.3  # until the next try, doubled up to the longest; a pod is to be reached again within 5 s
)
LONGEST_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.1
STOP_SECONDS: Final = 3.0
USABLE_SECONDS: Final = 20.0
ONCE_MORE_SECONDS: Final = 2.0  # for a door that was waited for before, and did not open
WILL_NOT_HEAL: Final = "(NotFound)"  # kubectl's word for a Service that is not there
LISTENS: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")


class Forward(threading.Thread):
    """One door of the stack on a port of 127.0.0.1.

    kubectl takes a pod when it starts and stays with it, so it ends with the pod: then it is started anew, on
    the same local port.

    Attributes:
        door: What is forwarded.
        starts: How often kubectl was started.
    """

    def __init__(self, kubectl: Kubectl, door: Door, port: int = 0) -> None:
        super().__init__(name=f"forward-{door.name}", daemon=True)
        self.door = door
        self.starts = 0
        self._kubectl = kubectl
        self._port = port  # 0 until kubectl has chosen one
        self._is_listening = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._said = ""

    @property
    def port(self) -> int:
        """The local port; 0 as long as it is not known."""
        return self._port

    @property
    def last_words(self) -> str:
        """What kubectl said last, apart from the connections that it handled."""
        return self._said

    def is_usable(self) -> bool:
        """Whether the service answers through it now."""
        return self._is_listening.is_set() and self.door.answers(self._port)

    def run(self) -> None:
        """Keep kubectl running until `end`."""
        wait = AGAIN_SECONDS
        while process := self._spawn():
            assert process.stdout is not None
            for line in process.stdout:
                if found := LISTENS.match(line):
                    self._port = int(found[1])
                    self._is_listening.set()
                    wait = AGAIN_SECONDS
                elif not line.startswith("Handling connection"):
                    self._said = line.strip()
            process.wait()
            process.stdout.close()
            self._is_listening.clear()
            self._closing.wait(wait)
            wait = min(2 * wait, LONGEST_SECONDS)

    def _spawn(self) -> subprocess.Popen[str] | None:
        """Start kubectl, or not when this is over."""
        local = self._port or ""
        command = self._kubectl.command(
            "port-forward", "--address", LOOPBACK, f"service/{self.door.service}", f"{local}:{self.door.port}"
        )
        with self._lock:
            if self._closing.is_set():
                return None
            self.starts += 1
            try:
                self._process = subprocess.Popen(  # noqa: S603  # our own command
                    command,
                    text=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches us alone, and we end it
                )
            except OSError as error:
                self._said = f"{command[0]}: {error.strerror}"
                return None
            return self._process

    def renew(self) -> None:
        """End this kubectl; the next one takes a pod anew."""
        with self._lock:
            if self._process:
                self._process.terminate()

    def end(self) -> None:
        """Start no other kubectl and end this one; `wait_ended` waits for it."""
        self._closing.set()
        self.renew()

    def wait_ended(self) -> None:
        """Wait until kubectl is gone; one that does not go by itself is killed."""
        process = self._process
        if process:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.join(STOP_SECONDS)


class Forwards:
    """All forwards of one command; a context manager that leaves no kubectl behind."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._open: dict[str, Forward] = {}
        self._given_up: set[str] = set()

    def open(self, door: Door, port: int = 0) -> Forward:
        """Begin to forward a door, or find that it is forwarded already.

        Args:
            door: What to forward.
            port: Local port; 0 for one that is free.
        """
        if door.name not in self._open:
            self._open[door.name] = forward = Forward(self._kubectl, door, port)
            forward.start()
        return self._open[door.name]

    def address(self, door: Door) -> str:
        """Where a door can be used, forwarded now if it was not yet.

        Raises:
            StackError: The service does not answer in time.
        """
        forward = self.open(door)
        patience = ONCE_MORE_SECONDS if door.name in self._given_up else USABLE_SECONDS
        deadline = time.monotonic() + patience
        while not forward.is_usable():
            if time.monotonic() > deadline or WILL_NOT_HEAL in forward.last_words:
                self._given_up.add(door.name)
                raise StackError(
                    f"{door.title} does not answer at service/{door.service}:{door.port}:"
                    f" {forward.last_words or 'kubectl says nothing'}; `make status` shows its pod"
                )
            time.sleep(LOOK_SECONDS)
        self._given_up.discard(door.name)
        return door.address(forward.port)

    def __enter__(self) -> Forwards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _undisturbed():
            for forward in self._open.values():
                forward.end()
            for forward in self._open.values():
                forward.wait_ended()


def require_free(doors: Sequence[Door], ports: LocalPorts) -> None:
    """Make sure that nobody listens on the local ports of doors.

    Raises:
        StackError: Naming each port that is taken, by whom, and how to pick another.
    """
    taken = [(door, door.local_port(ports)) for door in doors if is_taken(door.local_port(ports))]
    lines = [
        f"port {port} of {LOOPBACK}, for {door.title}, is taken by {owner(port)}: stop it, or choose another"
        f" port with floe_ports: {{{door.name}: {port + 1}}} in the inventory"
        for door, port in taken
    ]
    if lines:
        raise StackError("\n".join(lines))


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and a terminal that is closed end a command as Ctrl-C does, so that it cleans up."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C while we clean up is kept until we have."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept: list[int] = []

    def keep(number: int, _: FrameType | None) -> None:
        kept.append(number)

    before = {
        number: signal.signal(number, keep) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
