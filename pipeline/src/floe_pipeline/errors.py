"""How a command ends badly: from an exception, or Ctrl-C, to one line on standard error and an exit code."""

from __future__ import annotations

import _thread
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from typer import Exit
from typer.exceptions import TyperException

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # as a shell reports a program that SIGINT ended
AGAIN_SECONDS: Final = 0.05


def guarded(run: Callable[[], object], *, verbose: Callable[[], bool]) -> int:
    """Run a command; whatever goes wrong is one line on standard error.

    Args:
        run: Returns the exit code, or anything else for "well".
        verbose: Whether a traceback, and what libraries log, is wanted too.

    Returns:
        The exit code.
    """
    with _interrupts_arrive(), _warnings_shown(verbose):
        try:
            code = run()
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Exit as leaving:
            code = leaving.exit_code
        except Exception as error:  # the last resort: nothing below may end in a bare traceback
            if verbose():
                traceback.print_exc()
            message, code = _explained(error)
            _complain(message)
        if code == INTERRUPTED:  # typer turns the exception into this code
            _complain("interrupted: run the same command again to go on")
    return code if isinstance(code, int) else OK


def _explained(error: Exception) -> tuple[str, int]:
    """What to say about an error, and with which code to leave."""
    if isinstance(error, TyperException):
        return error.format_message(), error.exit_code
    name, module = type(error).__name__, type(error).__module__
    if name == "SettingsError":  # a line for each variable
        return "; ".join(str(error).splitlines()), USAGE
    if module.startswith("floe_"):
        return str(error), FAILED
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", FAILED
    first = str(error).strip().partition("\n")[0]
    if module.partition(".")[0] in {"duckdb", "_duckdb"}:
        return first, FAILED
    return f"{name}: {first} (--verbose shows where)", FAILED


def _complain(message: str) -> None:
    print(f"floe: {message.strip()}", file=sys.stderr)


@contextmanager
def _interrupts_arrive() -> Iterator[None]:
    """Deliver a Ctrl-C again that came while Python ran a destructor, where an exception is only reported."""
    before = sys.unraisablehook

    def report(ignored: UnraisableHookArgs) -> None:
        if ignored.exc_type is KeyboardInterrupt:
            threading.Timer(AGAIN_SECONDS, _thread.interrupt_main).start()
        else:
            before(ignored)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before


class _OneLine(logging.Handler):
    """Shows our own warnings as a line, and what libraries warn of only when everything is wanted."""

    def __init__(self, verbose: Callable[[], bool]) -> None:
        super().__init__(logging.WARNING)
        self._verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("floe_"):
            _complain(record.getMessage())
        elif self._verbose():
            _complain(f"{record.name}: {record.getMessage()}")


@contextmanager
def _warnings_shown(verbose: Callable[[], bool]) -> Iterator[None]:
    handler = _OneLine(verbose)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
