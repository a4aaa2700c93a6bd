"""OpenLineage of a dbt build: its models and tests, and the exposures that use what was published."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from openlineage.client.event_v2 import Dataset, InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    datasource_dataset,
    documentation_dataset,
    documentation_job,
    error_message_run,
    job_type_job,
    ownership_job,
    schema_dataset,
)
from openlineage.common.provider.dbt.local import DbtLocalArtifactProcessor

from floe_pipeline.lake.engine import ALIAS
from floe_pipeline.transform.project import dbt_project_dir

if TYPE_CHECKING:
    from dbt.artifacts.schemas.run import RunExecutionResult
    from dbt.contracts.graph.manifest import Manifest
    from dbt.contracts.graph.nodes import Exposure

JOBS: Final = "floe"  # namespace of all jobs
PRODUCER: Final = "urn:floe:floe-pipeline"
IN_MEMORY: Final = "dbt://floe"  # namespace of what lives only while dbt runs
EXPOSED: Final = "cube://floe"  # namespace of the exposures, which are Cube's cubes
FAILED: Final = frozenset({"error", "fail", "runtime error"})


def lake_namespace(catalog: str) -> str:
    """Namespace of the tables of a catalog."""
    return f"iceberg://{catalog}"


def dbt_events(
    catalog: str, manifest: Manifest, results: RunExecutionResult, *, published: Collection[str]
) -> list[RunEvent]:
    """Events of every model and test that ran, each run's start beside its end.

    Args:
        catalog: Name of the catalog in which the lake is.
        manifest: As dbt left it, with compiled SQL: columns are followed through it.
        results: dbt's own.
        published: Marts that were committed, as `gold.name`; exposures of these are told too.
    """
    why = _messages(results)
    runs: dict[str, list[RunEvent]] = {}
    for event in _processed(manifest, results):
        runs.setdefault(event.run.runId, []).append(event)
    made = []
    for start, *ends in runs.values():
        unique_id = _node_of(start.job)
        start.job.name = _job_name(start.job)  # its end has the same job
        outputs = start.outputs
        start.inputs, start.outputs = [], []  # the event of its end tells it all, with what came of it
        for end in ends:
            if end.eventType == RunState.FAIL:
                # What failed keeps its place in the graph, where it would else be cut off from its output.
                end.outputs = outputs
                end.run.facets = {**(end.run.facets or {}), **_error(why, manifest, unique_id)}
            for dataset in (*(end.inputs or []), *(end.outputs or [])):
                _rename(dataset, catalog)
            for output in end.outputs or []:
                _trace_columns(output, end.inputs or [], catalog)
        made += [start, *ends]
    return made + _exposure_events(catalog, manifest, made, published)


def _processed(manifest: Manifest, results: RunExecutionResult) -> list[RunEvent]:
    # What was skipped did not run: a test would be told as a failed one.
    ran = replace(results, results=[each for each in results.results if each.status != "skipped"])
    with tempfile.TemporaryDirectory(prefix="floe-lineage-") as work:
        manifest.write(f"{work}/manifest.json")  # type: ignore[no-untyped-call]
        ran.write(f"{work}/run_results.json")
        processor = DbtLocalArtifactProcessor(
            producer=PRODUCER,
            job_namespace=JOBS,
            project_dir=str(dbt_project_dir()),
            target_path=work,
            skip_errors=True,
        )
        made: list[RunEvent] = processor.parse().events()
    return made


def _messages(results: RunExecutionResult) -> dict[str, str]:
    """What dbt says of each node that failed, by its id."""
    return {
        result.node.unique_id: " ".join(str(result.message or result.status).split())
        for result in results.results
        if str(result.status) in FAILED
    }


def _error(
    why: Mapping[str, str], manifest: Manifest, unique_id: str
) -> dict[str, error_message_run.ErrorMessageRunFacet]:
    """Why a model or test failed; of the tests of a model, all that did."""
    mine = [unique_id] if unique_id in why else []
    tests = [
        node
        for node in why
        if node.startswith("test.") and unique_id in manifest.nodes[node].depends_on_nodes
    ]
    message = "; ".join(f"{manifest.nodes[node].name}: {why[node]}" for node in mine or tests)
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "sql")} if message else {}


def _node_of(job: Job) -> str:
    facets: Any = job.facets
    return str(facets["dbt_node"].unique_id)


def _job_name(job: Job) -> str:
    """`dbt.orders` for a model, `dbt.orders.test` for its tests, `dbt.marts_agree` for a test of its own."""
    facets: Any = job.facets
    kind, _, name = _node_of(job).split(".", 2)
    is_test_of_model = facets["jobType"].jobType == "TEST" and kind != "test"
    return f"dbt.{name}.test" if is_test_of_model else f"dbt.{name}"


def _rename(thing: Any, catalog: str) -> None:  # noqa: ANN401  # datasets and input fields share only two names
    """Name what lies in the lake after its catalog (`bronze.orders`), and what lies in memory after dbt."""
    if not thing.namespace.startswith("duckdb:"):
        return
    database, _, rest = thing.name.partition(".")
    in_lake = database == ALIAS
    thing.namespace = lake_namespace(catalog) if in_lake else IN_MEMORY
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


def _exposure_events(
    catalog: str, manifest: Manifest, told: Iterable[RunEvent], published: Collection[str]
) -> list[RunEvent]:
    """A run of each exposure of a mart that was committed: what it shows is new."""
    marts = {
        output.name: (output, event.eventTime)
        for event in told
        if event.eventType == RunState.COMPLETE
        for output in event.outputs or []
        if output.name in published and output.namespace == lake_namespace(catalog)
    }
    made = []
    for exposure in manifest.exposures.values():
        models = [manifest.nodes[node] for node in exposure.depends_on_nodes]
        used = [marts[name] for name in (f"{model.schema}.{model.name}" for model in models) if name in marts]
        if used:
            made += _run_of_exposure(exposure, [mart for mart, _ in used], at=max(at for _, at in used))
    return made


def _run_of_exposure(exposure: Exposure, marts: list[OutputDataset], *, at: str) -> list[RunEvent]:
    run = Run(str(uuid.uuid4()))
    kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="CUBE", jobType="EXPOSURE")
    owner = ownership_job.Owner(name=exposure.owner.name or str(exposure.owner.email))
    job = Job(
        JOBS,
        f"cube.{exposure.name}",
        facets={
            "jobType": kind,
            "documentation": documentation_job.DocumentationJobFacet(exposure.description),
            "ownership": ownership_job.OwnershipJobFacet(owners=[owner]),
        },
    )
    inputs = [
        InputDataset(mart.namespace, mart.name, facets={"schema": (mart.facets or {})["schema"]})
        for mart in marts
    ]
    return [
        RunEvent(eventTime=at, producer=PRODUCER, run=run, job=job, eventType=RunState.START),
        RunEvent(
            eventTime=at,
            producer=PRODUCER,
            run=run,
            job=job,
            eventType=RunState.COMPLETE,
            inputs=inputs,
            outputs=[_exposed(exposure, marts[0])],
        ),
    ]


def _exposed(exposure: Exposure, mart: OutputDataset) -> OutputDataset:
    """An exposure as a dataset, with its members and the columns that they are made of."""
    members: Mapping[str, list[str]] = exposure.meta.get("members", {})
    return OutputDataset(
        EXPOSED,
        exposure.name,
        facets={
            "documentation": documentation_dataset.DocumentationDatasetFacet(exposure.description),
            "dataSource": datasource_dataset.DatasourceDatasetFacet(EXPOSED, exposure.url or EXPOSED),
            "schema": schema_dataset.SchemaDatasetFacet(
                fields=[schema_dataset.SchemaDatasetFacetFields(name=name) for name in members]
            ),
            "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(
                fields={
                    name: column_lineage_dataset.Fields(
                        inputFields=[
                            column_lineage_dataset.InputField(mart.namespace, mart.name, column)
                            for column in columns
                        ]
                    )
                    for name, columns in members.items()
                    if columns
                }
            ),
        },
    )
