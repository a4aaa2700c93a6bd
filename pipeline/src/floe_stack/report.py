"""`floe stack report`: the page of `floe demo`, from a running stack through Cube's REST API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from floe_pipeline.lake.ledger import batch_ends
from floe_pipeline.lake.tables import BRONZE, CLAIMS
from floe_pipeline.report import spans
from floe_pipeline.report.page import Report, Words, write_page
from floe_pipeline.report.step import Step
from floe_pipeline.verify.evidence import Check, read_evidence
from floe_stack import patterns
from floe_stack.checks import totals
from floe_stack.dagster import GENERATE_JOB, SEED_JOB, SUCCESS, Run
from floe_stack.errors import StackError
from floe_stack.explain import CATALOG
from floe_stack.generate import ORDERS
from floe_stack.measure import machine
from floe_stack.observed import tables_of, trace
from floe_stack.stack import Stack
from floe_stack.verify import EVIDENCE, run_questions


@dataclass(frozen=True)
class Made:
    """What `report` made.

    Attributes:
        page: The file.
        looked: Checks that were made for it.
    """

    page: Path
    looked: list[Check]


def report(stack: Stack, out: Path) -> Made:
    """Ask a stack for all that the page shows, and write it; nothing in the stack is changed.

    Args:
        stack: The stack.
        out: Folder of the evidence of `make verify`; the page becomes `<target>/report.html` in it.

    Raises:
        StackError: A part does not answer, or no run has succeeded yet.
        ReportError: The packages that draw the page are not installed.
        OSError: The page cannot be written.
    """
    stack.say("comparing every number in five places")
    checks = run_questions(stack, totals.QUESTIONS)
    stack.say("asking Cube for what the charts show")
    questions = patterns.Questions(stack.cube)
    claims = stack.lake().load(CLAIMS)
    found = patterns.collect(questions, batch_ends(claims))
    stack.say("reading the newest run's trace and lineage")
    run = _newest_run(stack)
    earlier, verified = earlier_checks(out, stack.connection.target, {check.id for check in checks})
    page = out / stack.connection.target / "report.html"
    write_page(
        Report(
            target=stack.connection.target,
            made_at=datetime.now(UTC),
            patterns=found,
            checks=[*checks, *earlier],
            steps=steps_of(run),
            spans=_spans(stack, run),
            lineage=tables_of(stack.marquez, CATALOG, ORDERS),
            answers=questions.answers,
            words=_words(stack, run, len(checks), verified),
            facts=_facts(stack, run),
        ),
        page,
    )
    return Made(page, checks)


def _newest_run(stack: Stack) -> Run:
    runs = stack.dagster.runs(statuses=(SUCCESS,))
    newest = next((run for run in runs if run.job in {SEED_JOB, GENERATE_JOB}), None)
    if newest is None:
        raise StackError(f"no run of {SEED_JOB} or {GENERATE_JOB} succeeded yet: `make status` shows why")
    return stack.dagster.run(newest.id)


def earlier_checks(out: Path, target: str, looked: set[str]) -> tuple[list[Check], datetime | None]:
    """What the last `make verify` of a target found, and when.

    Args:
        out: Folder of its evidence.
        target: Evidence of another one is not taken.
        looked: Ids that were looked at since.

    Returns:
        Nothing when there was none.
    """
    path = out / EVIDENCE
    seen_at, checks = read_evidence(path) if path.exists() else ("", [])
    if seen_at != target:
        return [], None
    when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return [check for check in checks if check.id not in looked], when


def steps_of(run: Run) -> list[Step]:
    """Waiting until the first step, then each step with what it wrote, in order."""
    begun = sorted((begin, end, name) for name, (begin, end) in run.steps.items() if begin and end)
    first = [Step("queued", f"{run.job} until its first step", begun[0][0] - run.created)] if begun else []
    return first + [Step(name, _made(run, name), end - begin) for begin, end, name in begun]


def _made(run: Run, step: str) -> str:
    """Rows of the step that appends, tables of the one that publishes."""
    if step != "bronze":
        marts = sorted(table.partition(".")[2] for table in run.written if table.startswith("gold."))
        return f"published {', '.join(marts)}"
    appended = {spec.name: run.written[spec.identifier] for spec in BRONZE if spec.identifier in run.written}
    rows = {name: int(made.facts.get("rows_appended") or 0) for name, made in appended.items()}
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items() if count)


def _spans(stack: Stack, run: Run) -> Sequence[spans.Span]:
    found = trace(stack.jaeger, run.trace_id)
    return sorted(
        (
            spans.Span(
                trace_id=run.trace_id,
                span_id=span.id,
                parent_id=span.parent_id,
                name=span.name,
                start_ns=int(span.started * 1e9),
                end_ns=int((span.started + span.seconds) * 1e9),
                status="ERROR" if span.tags.get("error") else "OK",
            )
            for span in found
        ),
        key=lambda span: (span.start_ns, -span.end_ns),
    )


def _words(stack: Stack, run: Run, looked: int, verified: datetime | None) -> Words:
    again = f"make verify{stack.connection.argument}"
    return Words(
        orders="were generated by Dagster's runs, committed to Iceberg through Polaris, transformed by dbt on"
        " DuckDB, and are asked for here through Cube's REST API.",
        patterns="Every chart is one question to Cube, which reads the gold marts.",
        run=f"The newest run, {run.job} of {_utc(run.created)}: its steps, and its trace as Jaeger keeps it.",
        lineage="As Marquez knows it from the OpenLineage events of the runs, on to the cubes of Cube.",
        proof=f"{looked} of them were looked at for this page"
        + (
            f", the others by {again} on {_utc(verified.timestamp())}."
            if verified
            else f"; {again} looks at all."
        ),
    )


def _facts(stack: Stack, run: Run) -> list[tuple[str, str]]:
    more = stack.connection.argument
    return [
        ("Stack", f"namespace {stack.connection.namespace}"),
        ("Run", run.id),
        ("Trace", run.trace_id),
        ("Machine", f"{machine()} while Cube was asked"),
        (
            "Ask it yourself",
            f'make psql-cube{more} SQL="SELECT status, MEASURE(count) FROM Orders GROUP BY 1"',
        ),
        ("Where a number is from", f"make explain{more} OF=Orders.total_revenue"),
    ]


def _utc(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%-d %B %Y, %H:%M} UTC"
