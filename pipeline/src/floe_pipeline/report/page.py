"""The report page: one HTML file that works offline, made from aggregates, spans, lineage and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from floe_pipeline.report.answers import Answer, median_ms
from floe_pipeline.report.graph import Lineage
from floe_pipeline.report.patterns import Headline, Patterns
from floe_pipeline.report.spans import Span
from floe_pipeline.report.step import Step
from floe_pipeline.verify.evidence import Check

ASKED = ("Cube REST", "Cube SQL")  # places of B1 where somebody is asked who reads the marts


class ReportError(RuntimeError):
    """The page cannot be made; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Words:
    """Sentences of the page that depend on where its numbers come from; these are the demo's.

    Attributes:
        orders: What was done with the orders, after "12,000 orders from ... to ...".
        patterns: Where the charts' numbers are from.
        run: Which run is shown.
        lineage: Where the graph is from.
        proof: How to check again.
    """

    orders: str = (
        "were generated, committed to Iceberg through a REST catalog and transformed by dbt on DuckDB."
    )
    patterns: str = "Every chart is one query on the gold marts."
    run: str = "One trace from the first row to the last check."
    lineage: str = "Read from the OpenLineage events that the run emitted after each commit."
    proof: str = "The same checks run with floe verify."


@dataclass(frozen=True)
class Report:
    """All that the page shows.

    Attributes:
        target: Where the lake is (`embedded`, `local`, `testbed`).
        made_at: When, timezone-aware.
        patterns: Aggregates of the marts.
        checks: Results of the run's checks; the one with id `B1` carries `quantities` (see `verify.checks`).
        steps: In order.
        spans: The run's trace.
        lineage: The tables that the run read and made.
        answers: How fast the page's questions were answered, where somebody was asked.
        words: Sentences that depend on where all of this comes from.
        facts: (label, value) pairs for the page's foot, in order.
    """

    target: str
    made_at: datetime
    patterns: Patterns
    checks: Sequence[Check]
    steps: Sequence[Step]
    spans: Sequence[Span] = ()
    lineage: Lineage = field(default_factory=Lineage)
    answers: Sequence[Answer] = ()
    words: Words = field(default_factory=Words)
    facts: Sequence[tuple[str, str]] = ()


def write_page(report: Report, path: Path) -> None:
    """Render the report and write it, whole or not at all.

    Args:
        report: What to show.
        path: File to (over)write; its folder is made.

    Raises:
        ReportError: The optional packages of the extra `report` are not installed.
        OSError: The file cannot be written.
    """
    page = render(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(page, encoding="utf-8")
    beside.replace(path)


def render(report: Report) -> str:
    """The page as HTML.

    Raises:
        ReportError: The optional packages of the extra `report` are not installed.
    """
    try:  # optional: a pipeline image in a cluster draws no page
        import jinja2  # noqa: PLC0415
        import plotly.offline  # noqa: PLC0415
    except ImportError as missing:
        raise ReportError(
            f"the report needs the package {missing.name}: install floe-pipeline with the extra 'report'"
        ) from missing
    from floe_pipeline.report.answers_chart import answers_chart  # noqa: PLC0415
    from floe_pipeline.report.customer_charts import customer_charts  # noqa: PLC0415
    from floe_pipeline.report.figures import figures_json  # noqa: PLC0415
    from floe_pipeline.report.lineage import lineage_chart  # noqa: PLC0415
    from floe_pipeline.report.sales_charts import sales_charts  # noqa: PLC0415
    from floe_pipeline.report.trace import trace_chart  # noqa: PLC0415

    patterns = [*sales_charts(report.patterns), *customer_charts(report.patterns)]
    answers = answers_chart(report.answers) if report.answers else None
    trace = trace_chart(report.spans) if report.spans else None
    lineage = lineage_chart(report.lineage) if report.lineage.edges else None
    charts = [*patterns, *(chart for chart in (answers, trace, lineage) if chart)]
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_asset("page.html.j2"))
    b1 = next((check for check in report.checks if check.id == "B1"), None)
    headline = report.patterns.headline
    total_seconds = sum(step.seconds for step in report.steps)
    return template.render(
        report=report,
        headline=headline,
        made_at=f"{report.made_at:%-d %B %Y, %H:%M} {report.made_at.tzname()}",
        verdict=_verdict(b1),
        numbers=[*_numbers(headline), _speed(report.answers, total_seconds)],
        equation=_equation(b1),
        patterns=patterns,
        answers=answers,
        trace=trace,
        lineage=lineage,
        all_charts=charts,
        steps=[
            {**vars(step), "share": step.seconds / total_seconds if total_seconds else 0.0}
            for step in report.steps
        ],
        total_seconds=total_seconds,
        quantities=_quantities(b1),
        checks=[{**vars(check), "lines": _lines(check)} for check in report.checks],
        passed=sum(check.passed for check in report.checks),
        words=report.words,
        facts=report.facts,
        style=_asset("page.css"),
        script=_asset("page.js"),
        plotly=plotly.offline.get_plotlyjs(),
        figures=figures_json(charts),
    )


def _asset(name: str) -> str:
    return resources.files("floe_pipeline.report").joinpath("page", name).read_text(encoding="utf-8")


def _verdict(b1: Check | None) -> dict[str, object]:
    if b1 is None:
        return {"passed": False, "short": "not checked", "long": "A lakehouse, not yet checked"}
    if b1.passed:
        return {"passed": True, "short": "every cent accounted for", "long": "Every cent accounted for."}
    return {"passed": False, "short": "the totals differ", "long": "The totals do not agree."}


def _numbers(headline: Headline) -> list[dict[str, str]]:
    kept = headline.net_revenue / headline.revenue
    repeat = headline.repeat_buyers / headline.buyers
    return [
        {"label": "Orders", "value": f"{headline.orders:,}", "note": f"{headline.lines:,} lines"},
        {"label": "Revenue", "value": f"{headline.revenue:,.0f}", "note": f"{kept:.0%} kept after returns"},
        {"label": "Customers", "value": f"{headline.customers:,}", "note": f"{repeat:.0%} of buyers return"},
        {"label": "Products", "value": f"{headline.products:,}", "note": f"{headline.units:,} units sold"},
    ]  # fmt: skip


def _speed(answers: Sequence[Answer], seconds: float) -> dict[str, str]:
    if answers:
        asked = median_ms([answer.uncached for answer in answers])
        return {"label": "An answer", "value": f"{asked:.0f} ms", "note": "median, past every cache"}
    return {"label": "Whole run", "value": f"{seconds:.1f} s", "note": "generate to proof"}


def _seen(b1: Check | None) -> list[Mapping[str, Any]]:
    quantities = b1.evidence.get("quantities", []) if b1 else []
    return quantities if isinstance(quantities, list) else []


def _equation(b1: Check | None) -> list[dict[str, object]]:
    """Orders and their revenue in generator (or ledger), bronze, gold and Cube, side by side."""
    by_unit = {entry["unit"]: entry["seen"] for entry in _seen(b1) if entry["table"] == "orders"}
    if by_unit.keys() < {"rows", "cents"}:
        return []
    rows, cents = by_unit["rows"], by_unit["cents"]
    source = "generator" if "generator" in rows else "ledger"
    asked = [place for place in ASKED if _in(rows, place) is not None]
    return [
        {
            "name": place,
            "orders": _value(_in(rows, place), "rows"),
            "revenue": _value(_in(cents, place), "cents"),
            "equal": (_in(rows, place), _in(cents, place)) == (rows[source], cents[source]),
        }
        for place in (source, "bronze.orders", "gold.orders", *asked)
    ]


def _in(seen: Mapping[str, int | None], place: str) -> int | None:
    """What a place says; Cube's places have the measure behind their name."""
    return next((value for name, value in seen.items() if f"{name} ".startswith(f"{place} ")), None)


def _quantities(b1: Check | None) -> list[dict[str, object]]:
    return [
        {
            "name": f"{entry['table']}, {'rows' if entry['unit'] == 'rows' else 'money'}".replace("_", " "),
            "value": _value(next(iter(entry["seen"].values())), entry["unit"]),
            "equal": len(set(entry["seen"].values())) == 1,
            "seen": [
                {
                    "place": place,
                    "value": _value(value, entry["unit"]),
                    "equal": value == next(iter(entry["seen"].values())),
                }
                for place, value in entry["seen"].items()
            ],
        }
        for entry in _seen(b1)
    ]


def _value(value: int | None, unit: str) -> str:
    if value is None:
        return "missing"
    return f"{value:,}" if unit == "rows" else f"{value // 100:,}.{value % 100:02d}"


def _lines(check: Check) -> list[str]:
    """What a check saw, in short: its differences when it failed, its counts when it passed."""
    differences = check.evidence.get("differences")
    if isinstance(differences, list) and differences:
        return [str(line) for line in differences]
    looked_at = check.evidence.get("looked_at") or check.evidence.get("seen")
    return [str(looked_at)] if looked_at else []
