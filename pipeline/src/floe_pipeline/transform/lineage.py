"""OpenLineage of a run: the run itself, the batch that it appended, what dbt read and published, who uses it.

Every event says which run, trace and Iceberg snapshot it belongs to, so a number in a mart leads to the run
behind it. All but the run's start is sent when its process ends: lineage costs a run nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attr
from openlineage.client.event_v2 import Job, OutputDataset, Run, RunEvent, RunState, set_producer
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    dataset_version_dataset,
    documentation_job,
    error_message_run,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    schema_dataset,
)

from floe_pipeline.lake.tables import BRONZE
from floe_pipeline.settings import Settings
from floe_pipeline.transform.dbt_lineage import EXPOSED, JOBS, PRODUCER, dbt_events, lake_namespace
from floe_pipeline.transform.lineage_sender import FLUSH_SECONDS, flush, send

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.contracts.graph.manifest import Manifest

    from floe_pipeline.lake.append import AppendResult

__all__ = [
    "FLUSH_SECONDS",
    "Origin",
    "RunState",
    "Written",
    "dataset_page",
    "emit_generate",
    "emit_run",
    "emit_transform",
    "flush",
    "run_page",
]

FACET_SCHEMA: Final = "urn:floe:openlineage:1-1-0:FloeRunFacet.json#/$defs/FloeRunFacet"  # beside this file

set_producer(PRODUCER)


@attr.define
class FloeRunFacet(RunFacet):
    """What belongs together: the run, its trace, and the snapshot that it committed.

    Attributes:
        runId: The run in Dagster (or of the command line); for a Dagster job, also a run of `job` here.
        job: The job of that run, for example `floe.seed_job`.
        traceId: Its trace, 32 hex digits.
        snapshotId: Iceberg snapshot of the event's output, in decimal: it is too large for a JSON number.
    """

    runId: str | None = None  # noqa: N815  # OpenLineage's spelling
    job: str | None = None
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
        job: What ran in Dagster, if it did.
    """

    run_id: str | None = None
    trace_id: str | None = None
    job: str | None = None

    def facets(self, snapshot_id: int | None = None) -> dict[str, RunFacet]:
        """Run facets that lead from an event to its origin.

        OpenLineage's own `parent` is not among them. Marquez (0.51) would make it part of a job's name, so
        that each model were a job of `seed_job` and another of `generate_orders_job`, and would show the
        parent's state in the graph instead of the model's own.
        """
        snapshot = None if snapshot_id is None else str(snapshot_id)
        job = self.job and job_name(self.job)
        return {"floe": FloeRunFacet(runId=self.run_id, job=job, traceId=self.trace_id, snapshotId=snapshot)}


@dataclass(frozen=True)
class Written:
    """What was committed to a table: its snapshot and the rows of that commit."""

    snapshot_id: int
    rows: int


def job_name(job: str) -> str:
    """Name of a Dagster job in lineage."""
    return f"floe.{job}"


def run_page(settings: Settings, job: str) -> str | None:
    """Address of Marquez' page of a Dagster job; None when there is no `lineage_ui_url`."""
    return _page(settings, "job", JOBS, job_name(job))


def dataset_page(settings: Settings, identifier: str) -> str | None:
    """Address of Marquez' page of a table, `gold.orders`; None when there is no `lineage_ui_url`."""
    return _page(settings, "dataset", lake_namespace(settings.catalog_name), identifier)


def _page(settings: Settings, kind: str, namespace: str, name: str) -> str | None:
    if settings.lineage_ui_url is None:
        return None
    return f"{settings.lineage_ui_url}/lineage/{kind}/{quote(namespace, safe='')}/{quote(name, safe='')}"


def emit_run(
    settings: Settings,
    origin: Origin,
    state: RunState,
    *,
    at: datetime,
    scheduled: datetime | None = None,
    description: str | None = None,
    failure: str | None = None,
) -> None:
    """Tell that a Dagster run began or ended; returns at once.

    Args:
        settings: Where events go.
        origin: The run, with its job.
        state: START, or how it ended: COMPLETE, FAIL, ABORT.
        at: When.
        scheduled: For when the schedule had planned it.
        description: Of the job.
        failure: Why it failed.
    """
    assert origin.run_id
    assert origin.job
    facets = origin.facets()
    if scheduled:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(scheduled.isoformat())
    if failure is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(failure, "python")
    about = _kind("JOB", integration="DAGSTER")
    if description:
        about["documentation"] = documentation_job.DocumentationJobFacet(description)
    event = RunEvent(
        eventTime=at.isoformat(),
        producer=PRODUCER,
        run=Run(origin.run_id, facets=facets),
        job=Job(JOBS, job_name(origin.job), facets=about),
        eventType=state,
    )
    send(settings, lambda: [event], now=state == RunState.START)


def emit_transform(
    settings: Settings,
    manifest: Manifest,
    results: RunExecutionResult,
    *,
    origin: Origin,
    written: Mapping[str, Written],
) -> None:
    """Tell what dbt read, computed, published and tested, and which exposures use it; returns at once.

    Args:
        settings: Where events go.
        manifest: As dbt left it, with compiled SQL: columns are followed through it.
        results: dbt's own.
        origin: The run.
        written: What was committed, by `gold.name`.
    """

    def events() -> list[RunEvent]:
        made = dbt_events(settings.catalog_name, manifest, results, published=set(written))
        for event in made:
            commit = _commit_of(event, written)
            event.run.facets = {
                **(event.run.facets or {}),
                **origin.facets(commit.snapshot_id if commit else None),
            }
            for output in event.outputs or []:
                if output.name in written and event.eventType == RunState.COMPLETE:
                    _add_version(output, written[output.name])
        return made

    send(settings, events)


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
        outputs = []
        for spec in BRONZE:
            if spec.name in appended.snapshots:
                columns = [
                    schema_dataset.SchemaDatasetFacetFields(name=field.name, type=str(field.field_type))
                    for field in spec.schema.fields
                ]
                schema = schema_dataset.SchemaDatasetFacet(fields=columns)
                output = OutputDataset(
                    lake_namespace(settings.catalog_name), spec.identifier, facets={"schema": schema}
                )
                _add_version(output, Written(appended.snapshots[spec.name], appended.rows.get(spec.name, 0)))
                outputs.append(output)
        run = Run(str(uuid.uuid4()), facets=origin.facets(appended.snapshots.get("orders")))
        job = Job(JOBS, "generate", facets=_kind("GENERATE", integration="FLOE"))
        moments: list[tuple[RunState, datetime, list[Any]]] = [
            (RunState.START, began, []),
            (RunState.COMPLETE, ended, outputs),
        ]
        return [
            RunEvent(
                eventTime=moment.isoformat(),
                producer=PRODUCER,
                run=run,
                job=job,
                eventType=state,
                outputs=told,
            )
            for state, moment, told in moments
        ]

    send(settings, events)


def _kind(kind: str, *, integration: str) -> dict[str, JobFacet]:
    facet = job_type_job.JobTypeJobFacet(processingType="BATCH", integration=integration, jobType=kind)
    return {"jobType": facet}


def _commit_of(event: RunEvent, written: Mapping[str, Written]) -> Written | None:
    """The commit that an event is about: of its output, or of what a test or an exposure looks at."""
    outputs = [output for output in event.outputs or [] if output.namespace != EXPOSED]
    tables = [table.name for table in outputs or event.inputs or []]
    return next((written[name] for name in tables if name in written), None)


def _add_version(output: OutputDataset, commit: Written) -> None:
    version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=str(commit.snapshot_id))
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=commit.rows)
    output.facets = {**(output.facets or {}), "version": version}
    output.outputFacets = {**(output.outputFacets or {}), "outputStatistics": statistics}
