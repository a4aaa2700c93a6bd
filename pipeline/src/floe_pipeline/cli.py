"""The command line: arguments in, one call, one table out; errors are one line and an exit code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from floe_pipeline.errors import FAILED, OK, guarded
from floe_pipeline.options import CONFIGURED_BY, DEFAULT_HOME, Chosen, Home, Out, Verbose, whole
from floe_stack.commands import stack_app

# ruff: noqa: PLC0415  # what is heavy (DuckDB, pyiceberg, dbt, Dagster) is imported by the command that needs it
if TYPE_CHECKING:
    from floe_pipeline.settings import Settings
    from floe_pipeline.verify.evidence import Check

app = typer.Typer(
    name="floe",
    help="A lakehouse pipeline: orders to Iceberg, marts by dbt, every cent proven.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
catalog_app = typer.Typer(help="The embedded Iceberg REST catalog.", rich_markup_mode=None)
app.add_typer(catalog_app, name="catalog")
app.add_typer(stack_app, name="stack")


@app.callback(invoke_without_command=True)
@catalog_app.callback(invoke_without_command=True)
@stack_app.callback(invoke_without_command=True)
def _help_when_alone(context: typer.Context, *, verbose: Verbose = False) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def demo(
    *,
    home: Home = None,
    orders: Annotated[
        int | None, Option(parser=whole(1), metavar="N", help="Orders of the seed (10000).")
    ] = None,
    customers: Annotated[
        int | None, Option(parser=whole(1), metavar="N", help="Customers of the seed (1000).")
    ] = None,
    cycles: Annotated[int, Option(parser=whole(0), metavar="N", help="Batches after the seed.")] = 3,
    fresh: Annotated[bool, Option("--fresh", help="Remove the state of earlier demos first.")] = False,
    out: Out = Path("build"),
    verbose: Verbose = False,
) -> int:
    """Seed or go on, run cycles, prove every cent, draw a report."""
    from floe_pipeline.display import StepTable, consoles, show_checks
    from floe_pipeline.report.step import Step

    output, _ = consoles()
    sizes = {"seed_orders": orders, "seed_customers": customers}
    with StepTable(output) as table:
        table.started("Start")
        with _lake(home, fresh=fresh, **{name: size for name, size in sizes.items() if size}) as settings:
            from floe_pipeline.demo import run_demo

            start = Step("Start", f"catalog at {settings.catalog_uri}", time.perf_counter() - Chosen.began)
            table.finished(start)
            result = run_demo(settings, cycles=cycles, out=out, display=table, done=[start])
    output.print()
    show_checks(output, result.checks)
    if result.continued:
        output.print("\nThe lake of an earlier run was continued (a new one: --fresh)")
    output.print(f"\nReport    {result.page or result.page_problem}\nEvidence  {result.evidence}")
    return _verdict(result.checks)


@app.command()
def generate(
    *,
    home: Home = None,
    orders: Annotated[
        int | None, Option(parser=whole(1), metavar="N", help="Orders in the batch (100).")
    ] = None,
    customers: Annotated[int | None, Option(parser=whole(0), metavar="N", help="New customers (5).")] = None,
    products: Annotated[int, Option(parser=whole(0), metavar="N", help="New products.")] = 0,
    batch_id: Annotated[
        str | None, Option(help="Names the batch: the same id again appends nothing.")
    ] = None,
    verbose: Verbose = False,
) -> int:
    """Append a batch: the seed when the lake is empty, else a cycle."""
    from datetime import UTC, datetime

    from floe_pipeline.display import consoles, show_rows

    output, _ = consoles()
    with _lake(home) as settings, _run("generate") as run_id:
        from floe_pipeline.demo import append_next
        from floe_pipeline.lake.catalog import Lake
        from floe_pipeline.telemetry import current_trace_id
        from floe_pipeline.transform import lineage

        lake = Lake.connect(settings)
        lake.ensure_tables()
        result = append_next(
            lake,
            settings,
            batch_id=batch_id or run_id,
            until=datetime.now(UTC),
            orders=orders,
            customers=customers,
            products=products,
            run_id=run_id,
        )
        lineage.emit_generate(settings, result, origin=lineage.Origin(run_id, current_trace_id()))
    rows = [(f"bronze.{name}", count, result.snapshots.get(name)) for name, count in result.rows.items()]
    show_rows(output, ["table", "rows", "snapshot"], rows, "table")
    note = "was there already" if result.already_applied else f"took {result.seconds:.2f} s"
    output.print(f"batch {result.number} ({result.batch_id}) {note}")
    return OK


@app.command()
def transform(
    *,
    home: Home = None,
    select: Annotated[str | None, Option(help="Marts to build, as dbt selects them.")] = None,
    full_refresh: Annotated[bool, Option("--full-refresh", help="Compute anew from all of bronze.")] = False,
    verbose: Verbose = False,
) -> int:
    """Bring the marts up to date with dbt, and test them."""
    from floe_pipeline.display import consoles, show_rows

    output, _ = consoles()
    with _lake(home) as settings, _run("transform") as run_id:
        from floe_pipeline.lake.catalog import Lake
        from floe_pipeline.transform.runner import build

        lake = Lake.connect(settings)
        result = build(settings, lake=lake, select=select, full_refresh=full_refresh, run_id=run_id)
    models = [node for node in result.nodes if node.rows is not None]
    rows = [
        (f"gold.{node.name}", node.status, node.rows, node.snapshot_id, round(node.seconds, 2))
        for node in models
    ]
    show_rows(output, ["mart", "status", "rows", "snapshot", "seconds"], rows, "table")
    tests = sum(node.resource_type == "test" for node in result.nodes)
    output.print(f"{tests} tests passed, {result.seconds:.2f} s in all")
    return OK


@app.command()
def query(
    *,
    sql: Annotated[
        str, Argument(metavar="SQL", help='For example "SELECT * FROM gold.daily_revenue LIMIT 5".')
    ],
    home: Home = None,
    form: Annotated[
        Literal["table", "csv", "json"], Option("--format", help="How rows are printed.")
    ] = "table",
    verbose: Verbose = False,
) -> int:
    """Run SQL over the lake, read-only, and print the rows."""
    from floe_pipeline.display import consoles, show_rows

    output, _ = consoles()
    with _lake(home) as settings:
        from floe_pipeline.lake.engine import connect

        with connect(settings) as connection:
            connection.execute("SET search_path = 'lake.gold,lake.bronze'")
            result = connection.execute(sql)
            columns = [column[0] for column in result.description or []]
            rows = result.fetchall() if columns else []
    show_rows(output, columns, rows, form)
    return OK


@app.command()
def verify(*, home: Home = None, out: Out = Path("build"), verbose: Verbose = False) -> int:
    """Check that generator = bronze = gold; exit 1 if not."""
    from floe_pipeline.display import consoles, show_checks

    output, _ = consoles()
    with _lake(home) as settings:
        from floe_pipeline.lake.catalog import Lake
        from floe_pipeline.verify.checks import run_checks
        from floe_pipeline.verify.evidence import write_evidence

        checks = run_checks(Lake.connect(settings), settings)
        write_evidence("verify", settings.target, checks, out / "evidence" / "verify.json")
    show_checks(output, checks)
    return _verdict(checks)


@app.command()
def maintain(*, home: Home = None, verbose: Verbose = False) -> int:
    """Expire snapshots, compact files, delete orphans."""
    from dataclasses import asdict

    from floe_pipeline.display import consoles, show_rows

    output, _ = consoles()
    with _lake(home) as settings, _run("maintain"):
        from floe_pipeline.lake.catalog import Lake
        from floe_pipeline.lake.maintain import maintain as run_maintenance

        tables = [asdict(table) for table in run_maintenance(Lake.connect(settings), settings)]
    columns = list(tables[0]) if tables else ["table"]
    show_rows(output, columns, [list(table.values()) for table in tables], "table")
    return OK


@app.command()
def bootstrap(*, home: Home = None, verbose: Verbose = False) -> int:
    """Make catalog, principals and grants; safe at any time."""
    from floe_pipeline.display import consoles

    output, _ = consoles()
    with _lake(home) as settings, _run("bootstrap"):
        from floe_pipeline.lake.bootstrap import bootstrap as run_bootstrap

        result = run_bootstrap(settings)
    for change in result.changes:
        output.print(f"made {change}")
    for table in result.dropped:
        output.print(f"dropped {table}: its files are gone", soft_wrap=True)
    output.print(f"catalog {result.catalog} at {result.location} is ready")
    return OK


@catalog_app.command("serve")
def catalog_serve(
    *,
    home: Home = None,
    port: Annotated[
        int, Option(parser=whole(0, 65535), metavar="PORT", help="Port on 127.0.0.1; 0 picks a free one.")
    ] = 8181,
    verbose: Verbose = False,
) -> int:
    """Serve the embedded lake to other programs until Ctrl-C."""
    import contextlib
    import threading

    from floe_pipeline.display import consoles
    from floe_pipeline.embedded import CREDENTIALS, embedded_platform

    output, _ = consoles()
    folder = _home(home)
    with embedded_platform(folder, port=port) as settings:
        output.print(f"Iceberg REST catalog {settings.catalog_uri}, warehouse {settings.catalog_name}")
        output.print(f"client id {settings.catalog_client_id}, secret in {folder / CREDENTIALS}")
        output.print("Ctrl-C stops it")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return OK


@app.command("demo-ui")
def demo_ui(
    *,
    home: Home = None,
    port: Annotated[
        int, Option(parser=whole(1, 65535), metavar="PORT", help="Port of Dagster's UI on 127.0.0.1.")
    ] = 3000,
    verbose: Verbose = False,
) -> int:
    """The embedded platform under Dagster, sensor and schedule on."""
    from floe_pipeline.defs.serve import serve

    serve(_home(home), port=port)
    return OK


@app.command()
def bench(
    *,
    out: Out = Path("build"),
    home: Annotated[Path, Option(metavar="FOLDER", help="Where the bench keeps its lakes.")] = Path(
        "build/bench"
    ),
    sizes: Annotated[str, Option(help="Orders of the lakes to measure.")] = "1000,10000,100000,1000000",
    cycles: Annotated[
        int, Option(parser=whole(1), metavar="N", help="Cycles in a row of the day's test.")
    ] = 288,
    verbose: Verbose = False,
) -> int:
    """Measure throughput, cost by size, and a day of cycles."""
    wanted = _sizes(sizes)
    from floe_pipeline.bench import run_bench
    from floe_pipeline.display import consoles, show_checks

    output, errors = consoles()
    checks = run_bench(home, out, sizes=wanted, cycles=cycles, progress=errors.print)
    show_checks(output, checks)
    return _verdict(checks)


@app.command()
def doctor(*, home: Home = None, verbose: Verbose = False) -> int:
    """Look whether this machine has what the demo needs."""
    from floe_pipeline.display import consoles, show_findings
    from floe_pipeline.doctor import examine

    output, _ = consoles()
    findings = examine(_home(home))
    show_findings(output, findings)
    return OK if all(finding.ok for finding in findings) else FAILED


@contextmanager
def _lake(home: Path | None, *, fresh: bool = False, **overrides: object) -> Iterator[Settings]:
    """The lake that the environment configures, or else the embedded one of `home`, while it is used."""
    if os.environ.get(CONFIGURED_BY):
        if home is not None or fresh:
            option = "--fresh" if home is None else f"--home {home}"
            raise typer.BadParameter(
                f"{option} is for the embedded lake, but {CONFIGURED_BY} names another in the environment:"
                " leave one of the two out"
            )
        from floe_pipeline.settings import load_settings
        from floe_pipeline.telemetry import configure

        settings = load_settings(**overrides)
        configure(settings)
        yield settings
        return
    from floe_pipeline.embedded import embedded_platform
    from floe_pipeline.telemetry import configure

    with embedded_platform(_home(home), fresh=fresh, overrides=overrides) as settings:
        configure(settings)
        yield settings


@contextmanager
def _run(name: str) -> Iterator[str]:
    """One trace of the command's work; gives the run's id."""
    import uuid

    from floe_pipeline.telemetry import run_trace

    run_id = str(uuid.uuid4())
    with run_trace(name, run_id=run_id):
        yield run_id


def _home(home: Path | None) -> Path:
    return home or Path(os.environ.get("FLOE_HOME") or DEFAULT_HOME)


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise typer.BadParameter(
            f"{text!r} is no list of whole numbers such as 1000,10000", param_hint="--sizes"
        )
    return sizes


def _verdict(checks: list[Check]) -> int:
    return OK if all(check.passed for check in checks) else FAILED


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 well, 1 failed, 2 used wrongly, 130 interrupted."""
    Chosen.began = time.perf_counter()
    sys.exit(guarded(lambda: app(arguments, standalone_mode=False), verbose=lambda: Chosen.verbose))
