"""`floe stack status`: how the stack is, and the one thing to do next."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from floe_pipeline.lake.tables import NAMESPACES
from floe_stack.checks.pods import MIB, bytes_of, services, working_sets
from floe_stack.dagster import GENERATE_JOB, SCHEDULE, SEED_JOB, SUCCESS, Instigator, Run
from floe_stack.kubectl import Object
from floe_stack.lake import row_counts
from floe_stack.stack import Stack

Looked = TypeVar("Looked")

WATCH_SECONDS: Final = 2.0
TROUBLES: Final = "docs/troubleshooting.md"


@dataclass(frozen=True)
class Pod:
    """A row of the table.

    Attributes:
        name: Of the pod.
        state: Running, or why not.
        ready: Whether all its containers are.
        restarts: Of all its containers.
        last_end: Why a container ended last, if one did.
        used: Bytes in use; None when nobody tells.
        limit: Bytes that it may use.
        evicted: Why its node ended it, if it did: then another pod has taken its place.
    """

    name: str
    state: str
    ready: bool
    restarts: int
    last_end: str
    used: int | None
    limit: int | None
    evicted: str = ""

    @property
    def part(self) -> str:
        """Name of the Deployment or StatefulSet that it belongs to."""
        of_deployment = re.fullmatch(r"(.+)-[a-z0-9]+-[a-z0-9]{5}", self.name)
        return of_deployment[1] if of_deployment else self.name.rpartition("-")[0]


@dataclass
class Status:
    """Everything that is shown. What could not be asked is None, and why is in `problems`."""

    pods: list[Pod] = field(default_factory=list)
    evicted: list[Pod] = field(default_factory=list)
    run: Run | None = None
    schedule: Instigator | None = None
    rows: dict[str, int] | None = None
    fresh_seconds: float | None = None
    problems: dict[str, str] = field(default_factory=dict)


def look(stack: Stack) -> Status:
    """Ask every part of the stack; one that does not answer hides no other."""
    status = Status()

    def ask(part: str, question: Callable[[], Looked]) -> Looked | None:
        try:
            return question()
        except Exception as error:  # a part that is down is what a status is for
            status.problems[part] = str(error).strip().partition("\n")[0]
            return None

    pods = ask("Kubernetes", lambda: _pods(stack)) or []
    status.pods = [pod for pod in pods if not pod.evicted]
    status.evicted = [pod for pod in pods if pod.evicted]
    if not status.pods:
        return status
    runs = ask("Dagster", lambda: stack.dagster.runs(limit=20)) or []
    status.run = next((run for run in runs if run.job in {SEED_JOB, GENERATE_JOB}), None)
    status.schedule = ask("Dagster", lambda: stack.dagster.schedule(SCHEDULE))
    tables = ask("the lake", lambda: stack.lake().tables())
    if tables is not None:
        status.rows = row_counts(tables)
        snapshot = tables["gold.orders"].current_snapshot() if "gold.orders" in tables else None
        if snapshot:
            status.fresh_seconds = max(0.0, time.time() - snapshot.timestamp_ms / 1000)
    return status


def _pods(stack: Stack) -> list[Pod]:
    used, _ = working_sets(stack)
    return sorted((_pod(pod, used) for pod in services(stack)), key=lambda pod: pod.name)


def _pod(pod: Object, used: dict[tuple[str, str], int]) -> Pod:
    name, containers = pod["metadata"]["name"], pod["spec"]["containers"]
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    waiting = [status["state"].get("waiting", {}).get("reason") for status in statuses]
    ends = [status.get("lastState", {}).get("terminated", {}).get("reason") for status in statuses]
    parts = [used[name, container["name"]] for container in containers if (name, container["name"]) in used]
    limits = [container.get("resources", {}).get("limits", {}).get("memory") for container in containers]
    return Pod(
        name=name,
        state=next(filter(None, waiting), None) or _phase(pod),
        ready=bool(statuses) and all(status["ready"] for status in statuses),
        restarts=sum(status["restartCount"] for status in statuses),
        last_end=next(filter(None, ends), ""),
        used=sum(parts) if parts else None,
        limit=sum(map(bytes_of, limits)) if all(limits) else None,
        evicted=pod["status"].get("message", "") if pod["status"].get("reason") == "Evicted" else "",
    )


def _phase(pod: Object) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    phase: str = pod["status"]["phase"]
    return phase


def next_step(status: Status, target: str) -> str:
    """The one thing to do now: about the first of what is wrong, else what there is to see."""
    more = "" if target == "local" else f" TARGET={target}"
    well = f"all is well: make port-forward{more} opens everything, make generate{more} adds orders"
    return next(_what_is_wrong(status, more), well)


def _what_is_wrong(status: Status, more: str) -> Iterator[str]:
    """In the order in which one thing brings about the next."""
    if not status.pods:
        said = f" ({status.problems['Kubernetes']})" if status.problems else ""
        yield f"nothing is deployed{said}: make deploy-local-full{more}"
    for pod in status.pods:
        if "Image" in pod.state:
            yield f"{pod.name}: {pod.state}; see {TROUBLES}#an-image-cannot-be-pulled"
        if pod.last_end == "OOMKilled":
            yield f"{pod.name} was out of memory; see {TROUBLES} (OOMKilled)"
        if not pod.ready:
            yield f"{pod.name} is not ready ({pod.state}): make logs SERVICE={pod.part}{more}"
    for part, problem in status.problems.items():
        yield f"{part} does not answer: {problem}"
    if not (status.rows or {}).get("bronze.orders"):
        yield "the tables are empty: the sensor seeds them within half a minute"
    if status.run and status.run.ended and status.run.status != SUCCESS:
        yield f"the last run ended as {status.run.status}: make logs SERVICE=dagster-code{more}"
    if status.schedule and not status.schedule.is_on:
        yield f"{SCHEDULE} is off: switch it on in Dagster, or make generate{more}"


def show(stack: Stack, console: Console, *, watch: bool = False) -> bool:
    """Show the status, once or until Ctrl-C.

    Returns:
        Whether all pods are ready and every part answered, at the last look.
    """
    stack.say("asking every part")
    status = look(stack)
    stack.say("")
    if not watch:
        console.print(render(status, stack.connection.target))
        return is_well(status)
    with Live(render(status, stack.connection.target), console=console, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(WATCH_SECONDS)
                status = look(stack)
                live.update(render(status, stack.connection.target), refresh=True)
        except KeyboardInterrupt:
            return is_well(status)


def is_well(status: Status) -> bool:
    """Whether all pods are ready and every part answered."""
    return bool(status.pods) and not status.problems and all(pod.ready for pod in status.pods)


def render(status: Status, target: str) -> Group:
    """The tables, and below them what to do next."""
    pods = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    pods.add_column("Pod")
    pods.add_column("State")
    for column in ("Restarts", "MiB", "of limit"):
        pods.add_column(column, justify="right")
    for pod in status.pods:
        colour = "green" if pod.ready else "red"
        share = f"{100 * pod.used / pod.limit:.0f} %" if pod.used is not None and pod.limit else ""
        used = "" if pod.used is None else f"{pod.used / MIB:.0f}"
        state = f"[{colour}]{pod.state if pod.ready else pod.state + ', not ready'}[/]"
        pods.add_row(pod.name, state, f"{pod.restarts}", used, share)
    facts = [Text.assemble((f"{name:<11}", "dim"), text) for name, text in _facts(status)]
    return Group(pods, "", *facts, "", Text(f"Next: {next_step(status, target)}", style="bold"))


def _facts(status: Status) -> list[tuple[str, str]]:
    total = sum(pod.used or 0 for pod in status.pods)
    facts = [("Memory", f"{total / MIB:.0f} MiB in all")] if total else []
    if status.run:
        run = status.run
        took = f", {run.ended - run.started:.1f} s" if run.ended and run.started else ""
        facts.append(("Last run", f"{run.job} {run.status} at {_clock(run.created)}{took}"))
    if status.schedule:
        due = f", next at {_clock(status.schedule.next_at)}" if status.schedule.next_at else ""
        facts.append(("Schedule", f"{status.schedule.cron}{due}" if status.schedule.is_on else "off"))
    if status.rows is not None:
        for namespace in NAMESPACES:
            tables = {name: rows for name, rows in status.rows.items() if name.startswith(f"{namespace}.")}
            told = ", ".join(f"{name.partition('.')[2]} {rows:,}" for name, rows in tables.items())
            facts.append((namespace.capitalize(), f"{told} rows" if told else "no tables yet"))
    if status.fresh_seconds is not None:
        facts.append(("Freshness", f"the marts were published {_ago(status.fresh_seconds)} ago"))
    facts += [("Evicted", f"{pod.name}: {pod.evicted.strip()} See {TROUBLES}") for pod in status.evicted]
    facts += [(part, problem) for part, problem in status.problems.items()]
    return facts


def _clock(moment: float | None) -> str:
    return datetime.fromtimestamp(moment or 0, UTC).astimezone().strftime("%H:%M:%S")


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
