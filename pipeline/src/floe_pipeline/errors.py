"""How a command ends badly: from an exception to one line on standard error and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Final

from typer import Exit
from typer.exceptions import TyperException

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # as a shell reports a program that SIGINT ended


def guarded(run: Callable[[], object], *, verbose: Callable[[], bool]) -> int:
    """Run a command; whatever goes wrong is one line on standard error.

    Args:
        run: Returns the exit code, or anything else for "well".
        verbose: Whether a traceback is wanted too; asked only after an error.

    Returns:
        The exit code.
    """
    try:
        code = run()
    except KeyboardInterrupt:
        return _complain("interrupted: run the same command again to go on", INTERRUPTED, verbose=verbose())
    except Exit as leaving:
        return leaving.exit_code
    except Exception as error:  # the last resort: nothing below may end in a bare traceback
        message, code = _explained(error)
        return _complain(message, code, verbose=verbose())
    return code if isinstance(code, int) else OK


def _explained(error: Exception) -> tuple[str, int]:
    """What to say about an error, and with which code to leave."""
    if isinstance(error, TyperException):
        return error.format_message(), error.exit_code
    name, module = type(error).__name__, type(error).__module__
    if name == "SettingsError":
        return str(error), USAGE
    if module.startswith("floe_"):
        return str(error), FAILED
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", FAILED
    first = str(error).strip().partition("\n")[0]
    if module.partition(".")[0] in {"duckdb", "_duckdb"}:
        return first, FAILED
    return f"{name}: {first} (--verbose shows where)", FAILED


def _complain(message: str, code: int, *, verbose: bool) -> int:
    if verbose:
        traceback.print_exc()
    print(f"floe: {'; '.join(message.strip().splitlines())}", file=sys.stderr)
    return code
