"""A run as a whole: one trace below one root, its state in lineage, links on its page, however it ended."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from dagster import EventLogEntry
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.events import DagsterEvent, EngineEventData, JobFailureData, RunFailureReason
from dagster._core.execution.api import JobExecutionResult  # type: ignore[attr-defined]
from dagster._core.storage import tags

from floe_pipeline.defs import assets
from floe_pipeline.defs.automation import dead_runs_sensor
from floe_pipeline.defs.run_story import trigger_of
from floe_pipeline.transform import lineage, lineage_sender, runner
from floe_pipeline.transform.runner import BuildError, NodeResult, TransformResult

if TYPE_CHECKING:
    from .conftest import Platform

Json = dict[str, Any]
SENSOR = {tags.SENSOR_NAME_TAG: "empty_tables_sensor"}


@pytest.fixture(scope="module")
def watched(seeded: Platform) -> Iterator[Platform]:
    """The seeded platform, now telling lineage to a file too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOE_LINEAGE", "file")
        patch.setenv("FLOE_LINEAGE_UI_URL", "http://marquez.example:5001")
        yield seeded


def execute(platform: Platform, job: str, *, with_tags: dict[str, str] | None = None) -> JobExecutionResult:
    """Run a job by its own executor, as a code server does."""
    repository = ReconstructableRepository.for_module("floe_pipeline.definitions", "defs")
    result = dg.execute_job(
        repository.get_reconstructable_job(job),
        instance=platform.instance,
        tags=with_tags,
        raise_on_error=False,
    )
    assert lineage.flush()
    return result


def spans_of(platform: Platform, run_id: str) -> list[Json]:
    spans = _lines(platform.settings.traces_file)
    return [span for span in spans if span["trace_id"] == uuid.UUID(run_id).hex]


def events_of(platform: Platform, run_id: str) -> list[Json]:
    """Lineage events of the run itself."""
    return [event for event in _lines(platform.settings.lineage_file) if event["run"]["runId"] == run_id]


def _lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_one_trace_from_its_trigger_to_its_end(watched: Platform) -> None:
    run_id = execute(watched, "generate_orders_job", with_tags=SENSOR).run_id
    spans = spans_of(watched, run_id)
    (root,) = [span for span in spans if span["parent_id"] is None]
    assert (root["name"], root["service"], root["status"]) == ("generate_orders_job", "dagster", "UNSET")
    assert root["attributes"] == {
        "floe.run_id": run_id,
        "dagster.job": "generate_orders_job",
        "dagster.status": "COMPLETE",
        "dagster.trigger": "sensor",
        "dagster.trigger.name": "empty_tables_sensor",
    }
    ids = {span["span_id"] for span in spans}
    assert all(span["parent_id"] in ids for span in spans if span is not root)
    assert min(span["start_ns"] for span in spans) == root["start_ns"]
    assert max(span["end_ns"] for span in spans) == root["end_ns"]
    children = {span["name"] for span in spans if span["parent_id"] == root["span_id"]}
    assert {"step bronze", "step marts"} <= children
    names = {span["name"] for span in spans}
    assert {"generate", "iceberg.append bronze.orders", "dbt.build", "dbt.model orders"} <= names
    assert {"iceberg.publish gold.orders", "catalog.load_table", "catalog.commit"} <= names
    assert "POST" not in names


def test_waiting_and_starting_are_parts_of_the_trace(watched: Platform) -> None:
    run = dg.DagsterRun("generate_orders_job", str(uuid.uuid4()), tags={tags.GRPC_INFO_TAG: "{}"})
    watched.instance.add_run(run)
    asked = time.time() - 100
    for event_type, at in (("PIPELINE_ENQUEUED", 0), ("PIPELINE_STARTING", 20), ("PIPELINE_START", 25)):
        event = DagsterEvent(event_type, run.job_name)
        entry = EventLogEntry(
            None, 20, "", run.run_id, asked + at, job_name=run.job_name, dagster_event=event
        )
        watched.instance.event_log_storage.store_event(entry)
    die(watched, run)
    spans = {span["name"]: span for span in spans_of(watched, run.run_id)}
    assert set(spans) == {"generate_orders_job", "queued", "starting"}
    root = spans["generate_orders_job"]
    assert root["start_ns"] == spans["queued"]["start_ns"]
    lengths = {name: (span["end_ns"] - span["start_ns"]) / 1e9 for name, span in spans.items()}
    assert (lengths["queued"], lengths["starting"]) == (pytest.approx(20), pytest.approx(5))
    assert lengths["generate_orders_job"] >= 100
    assert root["attributes"]["dagster.trigger"] == "graphql"


def die(platform: Platform, run: dg.DagsterRun, reason: RunFailureReason | None = None) -> Any:
    """Let the run fail without its process, or by it for a reason, and the sensor look at it."""
    data = JobFailureData(error=None, failure_reason=reason) if reason else None
    event = DagsterEvent(
        "PIPELINE_FAILURE", run.job_name, event_specific_data=data, message="the run was killed"
    )
    context = dg.build_run_status_sensor_context(
        sensor_name="dead_runs_sensor",
        dagster_event=event,
        dagster_instance=platform.instance,
        dagster_run=run,
    )
    said = dead_runs_sensor(context.for_run_failure())
    for thread in lineage_sender._sending:  # begun, though nobody flushes in a code server
        thread.join()
    return said


@pytest.mark.parametrize("reason", [None, RunFailureReason.UNKNOWN, RunFailureReason.START_TIMEOUT])
def test_a_killed_run_gets_its_root_and_its_end_from_the_sensor(
    watched: Platform, reason: RunFailureReason | None
) -> None:
    run = dg.DagsterRun("generate_orders_job", str(uuid.uuid4()))
    watched.instance.add_run(run)
    watched.instance.report_run_failed(run)
    died = time.time()
    assert die(watched, run, reason) is None
    (root,) = spans_of(watched, run.run_id)
    assert root["end_ns"] <= died * 1e9, "it ended when it died, not when the sensor looked"
    assert (root["parent_id"], root["status"], root["message"]) == (None, "ERROR", "the run was killed")
    (event,) = events_of(watched, run.run_id)
    assert (event["eventType"], event["job"]["name"]) == ("FAIL", "floe.generate_orders_job")
    assert event["run"]["facets"]["errorMessage"]["message"] == "the run was killed"


@pytest.mark.parametrize("reason", [RunFailureReason.STEP_FAILURE, RunFailureReason.RUN_EXCEPTION])
def test_what_a_run_told_itself_is_not_told_twice(watched: Platform, reason: RunFailureReason) -> None:
    run = dg.DagsterRun("generate_orders_job", str(uuid.uuid4()))
    watched.instance.add_run(run)
    assert isinstance(die(watched, run, reason), dg.SkipReason)
    assert spans_of(watched, run.run_id) == []


def test_a_failed_run_says_why_in_trace_and_lineage(
    watched: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = next(key for key in assets.specs.check_of if "order_total_is_the_sum_of_its_lines" in key)
    node = NodeResult(broken, "test", "order_total_is_the_sum_of_its_lines", "fail", 0.1, "Got 3 results")

    def build(*_: object, **__: object) -> TransformResult:
        raise BuildError("dbt.build failed: Got 3 results", TransformResult(False, [node], 0.2))

    monkeypatch.setattr(runner, "build", build)
    result = execute(watched, "generate_orders_job")
    assert not result.success
    spans = spans_of(watched, result.run_id)
    (root,) = [span for span in spans if span["parent_id"] is None]
    assert root["status"] == "ERROR"
    assert root["message"] == "step marts: dbt.build failed: Got 3 results"
    assert {span["name"]: span["status"] for span in spans}["step marts"] == "ERROR"
    start, end = events_of(watched, result.run_id)
    assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
    assert end["run"]["facets"]["errorMessage"]["message"] == root["message"]


def test_a_step_that_was_tried_again_leaves_the_run_well(
    watched: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = runner.build, []

    def build(*arguments: Any, **options: Any) -> TransformResult:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("503 Slow Down")
        return real(*arguments, **options)

    monkeypatch.setattr(runner, "build", build)
    spans = spans_of(watched, execute(watched, "generate_orders_job").run_id)
    assert [span["status"] for span in spans if span["name"] == "step marts"] == ["ERROR", "UNSET"]
    assert [span["status"] for span in spans if span["parent_id"] is None] == ["UNSET"]


def test_lineage_lists_the_run_under_its_job_and_its_tables_lead_to_it(watched: Platform) -> None:
    planned = "2026-05-04T12:00:00+00:00"
    with_tags = {
        tags.SCHEDULE_NAME_TAG: "generate_orders_schedule",
        tags.SCHEDULED_EXECUTION_TIME_TAG: planned,
    }
    run_id = execute(watched, "generate_orders_job", with_tags=with_tags).run_id
    start, end = events_of(watched, run_id)
    for event, state in ((start, "START"), (end, "COMPLETE")):
        assert event["eventType"] == state
        assert (event["job"]["namespace"], event["job"]["name"]) == ("floe", "floe.generate_orders_job")
        assert event["run"]["facets"]["nominalTime"]["nominalStartTime"] == planned
        assert event["run"]["facets"]["floe"]["traceId"] == uuid.UUID(run_id).hex
    told = [
        event["job"]["name"]
        for event in _lines(watched.settings.lineage_file)
        if event["run"]["runId"] != run_id and event["run"]["facets"]["floe"]["runId"] == run_id
    ]
    assert {"generate", "dbt.stg_orders", "dbt.orders", "cube.Orders"} <= set(told)


def test_the_runs_page_links_to_trace_and_lineage(watched: Platform) -> None:
    result = execute(watched, "maintenance_job")
    told = [event for event in result.all_events if isinstance(event.event_specific_data, EngineEventData)]
    links = [
        {
            name: value.value
            for name, value in event.engine_event_data.metadata.items()
            if isinstance(value, dg.UrlMetadataValue)
        }
        for event in (told[0], told[-1])
    ]
    assert links == 2 * [
        {
            "trace": f"http://jaeger.example:16686/trace/{uuid.UUID(result.run_id).hex}",
            "lineage": "http://marquez.example:5001/lineage/job/floe/floe.maintenance_job",
        }
    ]


@pytest.mark.parametrize(
    ("known", "trigger"),
    [
        (SENSOR, "sensor empty_tables_sensor"),
        ({tags.SCHEDULE_NAME_TAG: "generate_orders_schedule"}, "schedule generate_orders_schedule"),
        ({"dagster/from_ui": "true", tags.GRPC_INFO_TAG: "{}"}, "launchpad"),
        ({tags.GRPC_INFO_TAG: "{}"}, "graphql"),
        ({**SENSOR, tags.RETRY_NUMBER_TAG: "1"}, "retry"),
        ({}, "python"),
    ],
)
def test_what_started_a_run_is_told(known: dict[str, str], trigger: str) -> None:
    found = trigger_of(dg.DagsterRun("seed_job", tags=known))
    assert (
        " ".join(found[key] for key in ("dagster.trigger", "dagster.trigger.name") if key in found) == trigger
    )


def test_with_jaeger_and_marquez_away_a_run_ends_as_fast(
    watched: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        for name, value in {
            "FLOE_TRACES": "otlp",
            "FLOE_OTLP_ENDPOINT": address,
            "FLOE_LINEAGE": "http",
            "FLOE_LINEAGE_URL": address,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(lineage_sender, "REQUEST_SECONDS", 120.0)
        monkeypatch.setattr(lineage_sender, "_sending", [])  # forgotten after the test, and not waited for
        repository = ReconstructableRepository.for_module("floe_pipeline.definitions", "defs")
        began = time.monotonic()
        result = dg.execute_job(
            repository.get_reconstructable_job("check_tables_job"),
            instance=watched.instance,
            raise_on_error=False,
        )
        assert result.success
        assert time.monotonic() - began < 30, "the run waited for the two"
