"""`floe stack status`: how the stack is, and the one thing to do next."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from floe_pipeline.lake.tables import NAMESPACES
from floe_stack.checks.pods import MIB
from floe_stack.connection import Connection
from floe_stack.faults import PAGE, next_step
from floe_stack.stack import Stack
from floe_stack.state import State, look

WATCH_SECONDS: Final = 2.0


def show(stack: Stack, console: Console, *, watch: bool = False) -> bool:
    """Show the status, once or until Ctrl-C.

    Returns:
        Whether all pods are ready and every part answered, at the last look.
    """
    state = look(stack, stack.say)
    stack.say("")
    if not watch:
        console.print(render(state, stack.connection))
        return is_well(state)
    with Live(render(state, stack.connection), console=console, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(WATCH_SECONDS)
                state = look(stack)
                live.update(render(state, stack.connection), refresh=True)
        except KeyboardInterrupt:
            return is_well(state)


def is_well(state: State) -> bool:
    """Whether all pods are ready and every part answered."""
    return bool(state.pods) and not state.problems and all(pod.ready for pod in state.pods)


def render(state: State, connection: Connection) -> Group:
    """The tables, and below them what to do next."""
    pods = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    pods.add_column("Pod")
    pods.add_column("State")
    for column in ("Restarts", "MiB", "of limit"):
        pods.add_column(column, justify="right")
    for pod in state.pods:
        colour = "green" if pod.ready else "red"
        share = f"{100 * pod.used / pod.limit:.0f} %" if pod.used is not None and pod.limit else ""
        used = "" if pod.used is None else f"{pod.used / MIB:.0f}"
        said = f"[{colour}]{pod.state if pod.ready else pod.state + ', not ready'}[/]"
        pods.add_row(pod.name, said, f"{pod.restarts}", used, share)
    facts = [Text.assemble((f"{name:<11}", "dim"), text) for name, text in _facts(state)]
    return Group(pods, "", *facts, "", Text(f"Next: {next_step(state, connection)}", style="bold"))


def _facts(state: State) -> list[tuple[str, str]]:
    total = sum(pod.used or 0 for pod in state.pods)
    facts = [("Memory", f"{total / MIB:.0f} MiB in all")] if total else []
    if state.run:
        run = state.run
        took = f", {run.ended - run.started:.1f} s" if run.ended and run.started else ""
        facts.append(("Last run", f"{run.job} {run.status} at {_clock(run.created)}{took}"))
    if state.schedule:
        due = f", next at {_clock(state.schedule.next_at)}" if state.schedule.next_at else ""
        facts.append(("Schedule", f"{state.schedule.cron}{due}" if state.schedule.is_on else "off"))
    if state.rows is not None:
        for namespace in NAMESPACES:
            tables = {name: rows for name, rows in state.rows.items() if name.startswith(f"{namespace}.")}
            told = ", ".join(f"{name.partition('.')[2]} {rows:,}" for name, rows in tables.items())
            facts.append((namespace.capitalize(), f"{told} rows" if told else "no tables yet"))
    if state.fresh_seconds is not None:
        facts.append(("Freshness", f"the marts were published {_ago(state.fresh_seconds)} ago"))
    facts += [("Evicted", f"{pod.name}: {pod.why} See {PAGE}") for pod in state.evicted]
    facts += [(part, problem) for part, problem in state.problems.items()]
    return facts


def _clock(moment: float | None) -> str:
    return datetime.fromtimestamp(moment or 0, UTC).astimezone().strftime("%H:%M:%S")


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
