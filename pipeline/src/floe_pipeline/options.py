"""Options that commands share, and what their values may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from typer import Option

DEFAULT_HOME: Final = Path("build/demo")
CONFIGURED_BY: Final = "FLOE_CATALOG_CLIENT_ID"


class Chosen:
    """What every command shares: when it began, and whether tracebacks are wanted."""

    verbose = False
    began = 0.0


def _choose_verbose(value: bool) -> bool:
    Chosen.verbose = Chosen.verbose or value
    return value


def whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """A parser of whole numbers whose complaint names the value and what is allowed."""
    allowed = f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"

    def parse(value: object) -> int:  # text from the command line, or an option's default
        text = str(value)
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= (most or int(text)):
            raise typer.BadParameter(f"{text!r} is not {allowed}")
        return int(text)

    return parse


Home = Annotated[
    Path | None,
    Option(
        metavar="FOLDER",
        help=f"State of the embedded lake ({DEFAULT_HOME}); not used when {CONFIGURED_BY} is set.",
    ),
]
Out = Annotated[Path, Option(metavar="FOLDER", help="Where reports and evidence are written.")]
Verbose = Annotated[
    bool, Option("--verbose", callback=_choose_verbose, help="Show the traceback of an error.", is_eager=True)
]
