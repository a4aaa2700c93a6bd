"""OpenLineage after the commit: what was read and written, sent from a thread that nobody waits for.

Every event says which run, trace and Iceberg snapshot it belongs to, so a number in a mart leads to the run
behind it. A collector that does not answer costs a run nothing but its lineage.
"""

from __future__ import annotations

import atexit
import logging
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attr
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Dataset, Job, OutputDataset, Run, RunEvent, RunState, set_producer
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    dataset_version_dataset,
    datasource_dataset,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
)
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.common.provider.dbt.local import DbtLocalArtifactProcessor

from floe_pipeline.lake.engine import ALIAS
from floe_pipeline.lake.tables import BRONZE
from floe_pipeline.settings import Settings, variable
from floe_pipeline.transform.project import dbt_project_dir

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.contracts.graph.manifest import Manifest

    from floe_pipeline.lake.append import AppendResult

logger = logging.getLogger(__name__)

JOBS: Final = "floe"  # namespace of all jobs
IN_MEMORY: Final = "dbt://floe"  # namespace of what lives only while dbt runs
PRODUCER: Final = "urn:floe:floe-pipeline"
FACET_SCHEMA: Final = "urn:floe:openlineage:1-0-0:FloeRunFacet.json#/$defs/FloeRunFacet"  # beside this file
REQUEST_SECONDS: Final = 2.0
FLUSH_SECONDS: Final = 10.0

_sending: list[threading.Thread] = []


@attr.define
class FloeRunFacet(RunFacet):
    """What belongs together: the run, its trace, and the snapshot that it committed.

    Attributes:
        runId: The run in Dagster (or of the command line).
        traceId: Its trace, 32 hex digits.
        snapshotId: Iceberg snapshot of the event's output, in decimal: it is too large for a JSON number.
    """

    runId: str | None = None  # noqa: N815  # OpenLineage's spelling
    traceId: str | None = None  # noqa: N815
    snapshotId: str | None = None  # noqa: N815

    @staticmethod
    def _get_schema() -> str:
        return FACET_SCHEMA


@dataclass(frozen=True)
class Origin:
    """Where events come from.

    Attributes:
        run_id: The run that did the work, if it has an id.
        trace_id: Its trace, if it was traced.
    """

    run_id: str | None = None
    trace_id: str | None = None

    def facets(self, snapshot_id: int | None) -> dict[str, RunFacet]:
        """Run facets that lead from an event to its origin."""
        snapshot = None if snapshot_id is None else str(snapshot_id)
        facets: dict[str, RunFacet] = {
            "floe": FloeRunFacet(runId=self.run_id, traceId=self.trace_id, snapshotId=snapshot)
        }
        if self.run_id and _is_uuid(self.run_id):  # OpenLineage knows runs by UUID only
            facets["parent"] = parent_run.ParentRunFacet(
                run=parent_run.Run(runId=self.run_id), job=parent_run.Job(namespace=JOBS, name="floe.run")
            )
        return facets


@dataclass(frozen=True)
class Written:
    """What was committed to a table: its snapshot and the rows of that commit."""

    snapshot_id: int
    rows: int


def emit_transform(
    settings: Settings,
    manifest: Manifest,
    results: RunExecutionResult,
    *,
    origin: Origin,
    written: Mapping[str, Written],
) -> None:
    """Tell what dbt read, computed and published; returns at once.

    Args:
        settings: Where events go.
        manifest: As dbt left it, with compiled SQL: columns are followed through it.
        results: dbt's own.
        origin: The run.
        written: What was committed, by `gold.name`.
    """

    def events() -> list[RunEvent]:
        made = _dbt_events(settings, manifest, results)
        for event in made:
            output = event.outputs[0] if event.outputs else None
            commit = written.get(output.name) if output else None
            event.run.facets = {
                **(event.run.facets or {}),
                **origin.facets(commit.snapshot_id if commit else None),
            }
            if output and commit:
                _add_version(output, commit)
        return made

    _in_background(settings, events)


def emit_generate(settings: Settings, appended: AppendResult, *, origin: Origin) -> None:
    """Tell which bronze tables a batch was appended to; returns at once.

    Args:
        settings: Where events go.
        appended: What `append_batch` did; its duration tells when it began.
        origin: The run.
    """
    ended = datetime.now(UTC)
    began = ended - timedelta(seconds=appended.seconds)
    if not appended.snapshots:
        return

    def events() -> list[RunEvent]:
        namespace = f"iceberg://{settings.catalog_name}"
        outputs = []
        for spec in BRONZE:
            if spec.name in appended.snapshots:
                columns = [
                    schema_dataset.SchemaDatasetFacetFields(name=field.name, type=str(field.field_type))
                    for field in spec.schema.fields
                ]
                schema = schema_dataset.SchemaDatasetFacet(fields=columns)
                output = OutputDataset(namespace, spec.identifier, facets={"schema": schema})
                _add_version(output, Written(appended.snapshots[spec.name], appended.rows.get(spec.name, 0)))
                outputs.append(output)
        kind: dict[str, JobFacet] = {
            "jobType": job_type_job.JobTypeJobFacet(
                processingType="BATCH", integration="FLOE", jobType="GENERATE"
            )
        }
        run = Run(str(uuid.uuid4()), facets=origin.facets(appended.snapshots.get("orders")))
        job = Job(JOBS, "generate", facets=kind)
        moments = ((RunState.START, began), (RunState.COMPLETE, ended))
        return [
            RunEvent(
                eventTime=moment.isoformat(),
                producer=PRODUCER,
                run=run,
                job=job,
                eventType=state,
                outputs=outputs,
            )
            for state, moment in moments
        ]

    _in_background(settings, events)


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Wait for events that are being sent, for at most `timeout` seconds.

    Returns:
        Whether all were sent or given up.
    """
    deadline = time.monotonic() + timeout
    for thread in list(_sending):
        thread.join(max(0.0, deadline - time.monotonic()))
        if not thread.is_alive():
            _sending.remove(thread)
    return not _sending


atexit.register(flush)


def _in_background(settings: Settings, events: Callable[[], Iterable[RunEvent]]) -> None:
    if settings.lineage != "off":
        thread = threading.Thread(target=_send, args=(settings, events), name="floe-lineage", daemon=True)
        _sending.append(thread)
        thread.start()


def _send(settings: Settings, events: Callable[[], Iterable[RunEvent]]) -> None:
    where = (
        f"{variable('lineage_url')}={settings.lineage_url}"
        if settings.lineage == "http"
        else f"{variable('lineage_file')}={settings.lineage_file}"
    )
    try:
        set_producer(PRODUCER)
        client = _client(settings)
        for event in events():
            client.emit(event)
    except Exception as error:  # whatever it is, the data is committed and the run has gone on
        logger.warning("lineage is lost: %s: %s: %s", where, type(error).__name__, error)


def _client(settings: Settings) -> OpenLineageClient:
    if settings.lineage == "file":
        path = settings.lineage_file.expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        return OpenLineageClient(transport=FileTransport(FileConfig(str(path), append=True)))
    http = HttpConfig(settings.lineage_url, timeout=REQUEST_SECONDS, retry={"total": 0})
    return OpenLineageClient(transport=HttpTransport(http))


def _dbt_events(settings: Settings, manifest: Manifest, results: RunExecutionResult) -> list[RunEvent]:
    with tempfile.TemporaryDirectory(prefix="floe-lineage-") as work:
        manifest.write(f"{work}/manifest.json")  # type: ignore[no-untyped-call]
        results.write(f"{work}/run_results.json")
        processor = DbtLocalArtifactProcessor(
            producer=PRODUCER,
            job_namespace=JOBS,
            project_dir=str(dbt_project_dir()),
            target_path=work,
            skip_errors=True,
        )
        made: list[RunEvent] = processor.parse().events()
    for event in made:
        event.job.name = _job_name(event.job)
        if event.eventType == RunState.START:  # the event of its end tells it all again, with what came of it
            event.inputs, event.outputs = [], []
        for dataset in (*(event.inputs or []), *(event.outputs or [])):
            _rename(dataset, settings.catalog_name)
        for output in event.outputs or []:
            _trace_columns(output, event.inputs or [], settings.catalog_name)
    return made


def _job_name(job: Job) -> str:
    """`dbt.orders` for a model, `dbt.orders.test` for its tests, `dbt.marts_agree` for a test of its own."""
    facets: Any = job.facets
    kind, _, name = facets["dbt_node"].unique_id.split(".", 2)
    is_test_of_model = facets["jobType"].jobType == "TEST" and kind != "test"
    return f"dbt.{name}.test" if is_test_of_model else f"dbt.{name}"


def _rename(thing: Any, catalog: str) -> None:  # noqa: ANN401  # datasets and input fields share only two names
    """Name what lies in the lake after its catalog (`bronze.orders`), and what lies in memory after dbt."""
    if not thing.namespace.startswith("duckdb:"):
        return
    database, _, rest = thing.name.partition(".")
    in_lake = database == ALIAS
    thing.namespace = f"iceberg://{catalog}" if in_lake else IN_MEMORY
    thing.name = rest if in_lake else rest.rsplit(".", 1)[-1]
    facets = getattr(thing, "facets", None)
    if facets and "dataSource" in facets:
        facets["dataSource"] = datasource_dataset.DatasourceDatasetFacet(thing.namespace, thing.namespace)


def _trace_columns(output: Dataset, inputs: Iterable[Dataset], catalog: str) -> None:
    """Follow columns to the inputs only: neither to a mart's own former rows nor to what the parser lost."""
    columns: Any = (output.facets or {}).get("columnLineage")
    if columns is None:
        return
    known = {(each.namespace, each.name) for each in inputs}
    for field in columns.fields.values():
        for source in field.inputFields:
            _rename(source, catalog)
        field.inputFields = [each for each in field.inputFields if (each.namespace, each.name) in known]
    columns.fields = {name: field for name, field in columns.fields.items() if field.inputFields}


def _add_version(output: OutputDataset, commit: Written) -> None:
    version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=str(commit.snapshot_id))
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=commit.rows)
    output.facets = {**(output.facets or {}), "version": version}
    output.outputFacets = {**(output.outputFacets or {}), "outputStatistics": statistics}


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
