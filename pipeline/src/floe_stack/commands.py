"""`floe stack ...`: what can be done with a stack that runs in Kubernetes."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from floe_pipeline.errors import OK
from floe_pipeline.options import Verbose

# ruff: noqa: PLC0415  # what is heavy is imported by the command that needs it

stack_app = typer.Typer(help="A stack that runs in Kubernetes, seen from outside.", rich_markup_mode=None)

Target = Annotated[
    str, Option(metavar="NAME", help="Which stack: local or testbed; its build/NAME/connection.json is read.")
]


@stack_app.command("port-forward")
def port_forward(*, target: Target = "local", verbose: Verbose = False) -> int:
    """Open every UI and API on this machine until Ctrl-C."""
    from floe_pipeline.display import consoles
    from floe_stack.connection import load_connection
    from floe_stack.watch import port_forward as open_doors

    output, _ = consoles()
    open_doors(load_connection(target), output)
    return OK
