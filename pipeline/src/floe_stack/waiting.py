"""A line that says what is waited for: it moves on a terminal, and elsewhere is printed once."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text


class Waiting:
    """The line, as a context manager; `say` changes it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("connecting", console=console)
        self._said = ""

    def say(self, what: str) -> None:
        """Something else is waited for now, or nothing; countdowns are shown on a terminal only."""
        if self._console.is_terminal and what:
            self._status.update(Text(what))
            self._status.start()
        elif self._console.is_terminal:
            self._status.stop()
        elif what and what.rstrip("0123456789 s") != self._said.rstrip("0123456789 s"):
            print(f"... {what}", file=self._console.file, flush=True)
        self._said = what

    def __enter__(self) -> Waiting:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._status.stop()
