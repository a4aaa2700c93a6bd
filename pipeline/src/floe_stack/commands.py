"""`floe stack ...`: what can be done with a stack that runs in Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from typer import Argument, Option

from floe_pipeline.errors import FAILED, OK
from floe_pipeline.options import Out, Verbose, whole

# ruff: noqa: PLC0415  # what is heavy is imported by the command that needs it

if TYPE_CHECKING:
    from rich.console import Console

    from floe_stack.stack import Stack

MOST: Final = 1_000_000  # rows that the job takes (floe_pipeline.defs.automation)

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


@stack_app.command()
def verify(
    *,
    target: Target = "local",
    out: Out = Path("build"),
    only: Annotated[
        list[str] | None, Option(metavar="ID", help="Only promises whose id begins so; may be repeated.")
    ] = None,
    verbose: Verbose = False,
) -> int:
    """Look from outside whether every promise is kept; exit 1 if not."""
    from floe_stack.verify import verify as look

    with _stack(target) as (stack, output):
        checks = look(stack, output, out, only or ())
    return OK if all(check.passed for check in checks) else FAILED


@stack_app.command()
def generate(
    *,
    target: Target = "local",
    orders: Annotated[int, Option(parser=whole(1, MOST), metavar="N", help="Orders in the batch.")] = 500,
    customers: Annotated[
        int | None, Option(parser=whole(0, MOST), metavar="N", help="New customers (the job's own number).")
    ] = None,
    verbose: Verbose = False,
) -> int:
    """Make orders and wait until Cube answers with them; tells the seconds of each hop."""
    from floe_pipeline.display import show_rows
    from floe_stack.generate import generate as make

    with _stack(target) as (stack, output):
        hops = make(stack, orders=orders, customers=customers)
        shown = [(name, round(own, 2), round(whole, 2)) for name, own, whole in hops.rows()]
        show_rows(output, ["hop", "seconds", "since the trigger"], shown, "table")
        output.print(f"{orders:,} orders by run {hops.run.id}; Cube counts {hops.orders:,} in all")
    return OK


@stack_app.command()
def status(
    *,
    target: Target = "local",
    watch: Annotated[bool, Option("--watch", help="Look again until Ctrl-C.")] = False,
    verbose: Verbose = False,
) -> int:
    """How pods, runs and data are, and the one thing to do next; exit 1 if something is not well."""
    from floe_stack.status import show

    with _stack(target) as (stack, output):
        return OK if show(stack, output, watch=watch) else FAILED


@stack_app.command()
def doctor(*, target: Target = "local", verbose: Verbose = False) -> int:
    """What keeps a deploy or a stack from being well, each with what to do; exit 1 if something does."""
    from floe_pipeline.display import consoles, show_findings
    from floe_stack.connection import load_connection
    from floe_stack.doctor import examine
    from floe_stack.waiting import Waiting

    output, errors = consoles()
    with Waiting(output if output.is_terminal else errors) as waiting:
        findings = examine(load_connection(target), waiting.say)
    show_findings(output, findings)
    return OK if all(finding.ok for finding in findings) else FAILED


@stack_app.command()
def logs(
    *,
    service: Annotated[str | None, Argument(metavar="[PART]", help="A part, such as dagster-code.")] = None,
    target: Target = "local",
    tail: Annotated[int, Option(parser=whole(0), metavar="N", help="Lines of what was said before.")] = 100,
    verbose: Verbose = False,
) -> int:
    """What a part says, until Ctrl-C."""
    from floe_stack.connection import load_connection
    from floe_stack.logs import follow

    follow(load_connection(target), service, tail=tail)
    return OK


@stack_app.command()
def psql(
    *,
    sql: Annotated[str | None, Argument(metavar="[SQL]", help="One statement; else psql is opened.")] = None,
    target: Target = "local",
    form: Annotated[
        Literal["table", "csv", "json"], Option("--format", help="How the statement's rows are printed.")
    ] = "table",
    verbose: Verbose = False,
) -> int:
    """Ask Cube's SQL API."""
    from floe_pipeline.display import show_rows
    from floe_stack.console import answer, open_psql

    with _stack(target) as (stack, output):
        if sql is None:
            return open_psql(stack)
        columns, rows = answer(stack, sql)
        show_rows(output, columns, rows, form)
    return OK


@stack_app.command("reset-data")
def reset_data(*, target: Target = "local", verbose: Verbose = False) -> int:
    """Drop all tables, and wait until the sensor has seeded them again."""
    from floe_stack.reset import reset_data as reset

    with _stack(target) as (stack, output):
        done = reset(stack)
        output.print(f"{len(done.tables)} tables and {done.objects} files removed")
        output.print(f"Cube counts {done.orders:,} orders of run {done.run} after {done.seconds:.1f} s")
    return OK


@stack_app.command()
def explain(
    *,
    of: Annotated[
        str, Argument(metavar="OF", help="A measure such as Orders.total_revenue, or an order's id.")
    ],
    target: Target = "local",
    verbose: Verbose = False,
) -> int:
    """From a number in Cube to its snapshot, its run, the trace and the lineage."""
    from floe_pipeline.display import show_rows
    from floe_stack.explain import explain as walk
    from floe_stack.explain import explain_order, rows

    with _stack(target) as (stack, output):
        way = explain_order(stack, int(of)) if of.isdecimal() else walk(stack, of)
        show_rows(output, ["step", "what", "look at it (make port-forward)"], rows(way), "table")
    return OK


@stack_app.command()
def report(*, target: Target = "local", out: Out = Path("build"), verbose: Verbose = False) -> int:
    """Draw the page of `floe demo` from a running stack; exit 1 if the numbers in it do not agree."""
    from floe_stack.report import report as draw

    with _stack(target) as (stack, output):
        made = draw(stack, out)
        failed = [check.id for check in made.looked if not check.passed]
        output.print(f"{len(made.looked) - len(failed)} of {len(made.looked)} looks at the numbers agree")
        if failed:
            output.print(f"Failed    {', '.join(failed)}", style="red")
        output.print(f"Report    {made.page}")
    return FAILED if failed else OK


@contextmanager
def _stack(target: str) -> Iterator[tuple[Stack, Console]]:
    """The target's stack and where results go; what is waited for is shown meanwhile."""
    from floe_pipeline.display import consoles
    from floe_stack.connection import load_connection
    from floe_stack.stack import open_stack
    from floe_stack.waiting import Waiting

    output, errors = consoles()
    # On one terminal one console draws both, or the moving line would be written over.
    with (
        Waiting(output if output.is_terminal else errors) as waiting,
        open_stack(load_connection(target), waiting.say) as stack,
    ):
        yield stack, output
