"""What the command line shows: steps as they happen, query results as table, CSV or JSON, checks as lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import IO, Literal

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from floe_pipeline.doctor import Finding
from floe_pipeline.report.step import Step
from floe_pipeline.verify.evidence import Check

Format = Literal["table", "csv", "json"]


class StepTable:
    """One table that grows a row a step: alive on a terminal, a plain line a step anywhere else.

    Use it as a context manager; leaving it prints the sum.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: list[tuple[str, str, float]] = []
        self._running: str | None = None
        self._spinner = Spinner("dots")
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=12)

    def started(self, name: str) -> None:
        """A step began."""
        self._running = name
        self._spinner = Spinner("dots", style="cyan")

    def finished(self, step: Step) -> None:
        """It ended well."""
        self._running = None
        self._rows.append((step.name, step.made, step.seconds))
        if not self._console.is_terminal:
            print(self._line(step.name, step.made, step.seconds), file=self._console.file, flush=True)

    def __enter__(self) -> StepTable:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        elif error is None:
            total = sum(seconds for _, _, seconds in self._rows)
            print(self._line("Together", "", total), file=self._console.file, flush=True)

    def _line(self, name: str, made: str, seconds: float) -> str:
        return f"{name:<9} {made:<72} {seconds:7.2f} s"

    def _table(self) -> Table:
        table = Table(
            box=None, padding=(0, 3, 0, 0), show_footer=True, footer_style="bold", header_style="dim"
        )
        table.add_column("Step", footer="Together")
        table.add_column("Made")
        table.add_column("Seconds", justify="right", footer=f"{sum(row[2] for row in self._rows):.2f}")
        for name, made, seconds in self._rows:
            table.add_row(f"[green]✓[/] {name}", Text(made), f"{seconds:.2f}")
        if self._running:
            self._spinner.update(text=Text(f"{self._running} …"))
            table.add_row(self._spinner, "", "")
        return table


def show_checks(console: Console, checks: Iterable[Check]) -> None:
    """A line for each check, and below a failed one a line for each difference."""
    for check in checks:
        mark = "[bold green]✓[/]" if check.passed else "[bold red]✗[/]"
        console.print(f"{mark} [bold]{check.id:<9}[/] {check.title}")
        differences = check.evidence.get("differences")
        for difference in differences if isinstance(differences, list) else ():
            console.print(Text(f"  {difference}", style="red"), soft_wrap=True)


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """A line for each thing that was looked at, and below it what to do, if there is anything."""
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = "[bold green]ok[/]" if finding.ok else "[bold red]no[/]"
        console.print(mark, "", Text(f"{finding.what:<{width}}  {finding.seen}"), soft_wrap=True)
        if finding.remedy:
            console.print(Text(f"    {'':<{width}}  {finding.remedy}", style="dim"), soft_wrap=True)


def show_rows(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]], form: Format
) -> None:
    """Print a query's result.

    Args:
        console: Where a table goes; CSV and JSON go to its file unadorned.
        columns: Names.
        rows: Values, as DuckDB hands them to Python.
        form: `table` for people, `csv` and `json` (an array of objects) for programs.
    """
    if form == "csv":
        writer = csv.writer(console.file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if value is None else _text(value) for value in row] for row in rows])
    elif form == "json":
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        json.dump(records, console.file, indent=2, default=_jsonable, ensure_ascii=False)
        console.file.write("\n")
    else:
        console.print(_result_table(columns, rows), soft_wrap=not console.is_terminal)
        console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", style="dim")


def _result_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for at, column in enumerate(columns):
        numbers = all(isinstance(row[at], int | float | Decimal | None) for row in rows) and rows
        table.add_column(column, justify="right" if numbers else "left", no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(Text("" if value is None else _text(value, grouped=True)) for value in row))
    return table


def _text(value: object, *, grouped: bool = False) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if grouped and isinstance(value, Decimal):
        return f"{value:,}"
    return str(value)


def _jsonable(value: object) -> object:
    """A decimal as a number: 15 digits survive, which money in cents never exceeds here."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def consoles() -> tuple[Console, Console]:
    """Standard output and standard error; colours only where a terminal is, and not when NO_COLOR is set."""
    return _console(sys.stdout), _console(sys.stderr)


def _console(stream: IO[str]) -> Console:
    # Off a terminal a line is as long as it is: a pipe has no width to wrap at.
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 10_000)
