"""What is told of a Dagster run as a whole: links on its page, the root of its trace, its lineage."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, JobFailureData, RunFailureReason
from dagster._core.storage import tags

from floe_pipeline import telemetry
from floe_pipeline.settings import Settings
from floe_pipeline.telemetry import Phase, RunRecord
from floe_pipeline.transform import lineage
from floe_pipeline.transform.lineage import RunState

logger = logging.getLogger(__name__)

BEFORE_STEPS: Final = {
    dg.DagsterEventType.PIPELINE_ENQUEUED: "queued",
    dg.DagsterEventType.PIPELINE_STARTING: "starting",
    dg.DagsterEventType.PIPELINE_START: "",  # from here on, steps say what is done
}
FROM_UI_TAG: Final = "dagster/from_ui"  # which Dagster's pages put on what they launch
TOLD_BY_ITSELF: Final = {  # what a run's own process says of its failure, after it has told trace and lineage
    RunFailureReason.STEP_FAILURE,
    RunFailureReason.RUN_EXCEPTION,
    RunFailureReason.UNEXPECTED_TERMINATION,
}


@dataclass
class RunStory:
    """What has been seen of a run that is under way.

    Attributes:
        run: The run.
        failures: Why steps failed, by step, as of now: a step that is tried again is not in it.
    """

    run: dg.DagsterRun
    failures: dict[str, str] = field(default_factory=dict)

    def see(self, event: DagsterEvent) -> None:
        """Take note of an event of the run."""
        if event.is_step_failure and event.step_key:
            self.failures[event.step_key] = _failure_of(event)

    @property
    def failure(self) -> str | None:
        """Why the run failed so far."""
        return "; ".join(f"step {step}: {why}" for step, why in self.failures.items()) or None


@contextmanager
def telling(settings: Settings, run: dg.DagsterRun, instance: dg.DagsterInstance) -> Iterator[RunStory]:
    """Tell lineage that a run begins, and on leaving tell trace and lineage how it ended.

    Nothing here is waited for: when the run was asked for is looked up while the steps work, and what is told
    is sent when the run's process ends.
    """
    story = RunStory(run)
    _tell_lineage(settings, run, RunState.START, time.time())
    with ThreadPoolExecutor(1, "floe-run-story") as aside:
        looking = aside.submit(_phases, instance, run.run_id)
        state, failure = RunState.COMPLETE, None
        try:
            yield story
            failure = story.failure
            state = RunState.FAIL if failure else RunState.COMPLETE
        except (DagsterExecutionInterruptedError, KeyboardInterrupt):
            state, failure = RunState.ABORT, "interrupted"
            raise
        except BaseException as error:
            state, failure = RunState.FAIL, f"{type(error).__name__}: {error}"
            raise
        finally:
            tell_end(settings, run, state, phases=_found(looking), failure=failure)


def tell_dead_run(
    settings: Settings, run: dg.DagsterRun, instance: dg.DagsterInstance, failure: DagsterEvent
) -> bool:
    """Tell how a run failed whose process could not tell it: it was killed, or there never was one.

    Returns:
        Whether there was something to tell.
    """
    data = failure.event_specific_data  # none when the code server saw the run's process die
    if isinstance(data, JobFailureData) and data.failure_reason in TOLD_BY_ITSELF:
        return False
    why = " ".join((failure.message or "it died").split())
    record = instance.get_run_record_by_id(run.run_id)
    ended = record.end_time if record else None
    tell_end(settings, run, RunState.FAIL, phases=_phases(instance, run.run_id), failure=why, ended=ended)
    lineage.flush(0)  # this process goes on, so nothing is sent by its end
    return True


def tell_end(
    settings: Settings,
    run: dg.DagsterRun,
    state: RunState,
    *,
    phases: list[Phase],
    failure: str | None,
    ended: float | None = None,
) -> None:
    """Record the root of the run's trace, and tell lineage how the run ended: now, or at `ended`."""
    ended = ended or time.time()
    telemetry.record_run(
        RunRecord(
            name=name_of(run),
            run_id=run.run_id,
            began=phases[0].began if phases else ended,
            ended=ended,
            failure=failure,
            attributes={"dagster.job": name_of(run), "dagster.status": state.value, **trigger_of(run)},
            phases=[phase for phase in phases if phase.name],
            follows=run.parent_run_id,
        )
    )
    _tell_lineage(settings, run, state, ended, failure)


def name_of(run: dg.DagsterRun) -> str:
    """The run's job; for assets that were materialized without one, what their button says."""
    return "materialize" if run.job_name.startswith("__ASSET_JOB") else run.job_name


def trigger_of(run: dg.DagsterRun) -> dict[str, str]:
    """What started a run, in words and as attributes of its root span."""
    known = run.tags
    found = {}
    if known.get(tags.RETRY_NUMBER_TAG):
        found["trigger"] = "retry"
    elif name := known.get(tags.SENSOR_NAME_TAG):
        found |= {"trigger": "sensor", "trigger.name": name}
    elif name := known.get(tags.SCHEDULE_NAME_TAG):
        found |= {"trigger": "schedule", "trigger.name": name}
    elif known.get(FROM_UI_TAG):
        found["trigger"] = "launchpad"
    elif known.get(tags.REPOSITORY_LABEL_TAG) or known.get(tags.GRPC_INFO_TAG):
        found["trigger"] = "graphql"
    else:
        found["trigger"] = "python"
    attempts = {
        "root_run_id": run.root_run_id,
        "parent_run_id": run.parent_run_id,
        "retry_number": known.get(tags.RETRY_NUMBER_TAG),
        "planned_for": known.get(tags.SCHEDULED_EXECUTION_TIME_TAG),
    }
    return {f"dagster.{key}": value for key, value in (found | attempts).items() if value}


def links(settings: Settings, run: dg.DagsterRun) -> dict[str, dg.MetadataValue]:
    """Where to look at a run beside Dagster, as metadata that Dagster shows as links."""
    found: dict[str, dg.MetadataValue] = {}
    trace_id = telemetry.trace_id_of(run.run_id)
    if trace_id and settings.traces_url:
        found["trace"] = dg.MetadataValue.url(f"{settings.traces_url}/trace/{trace_id}")
    page = lineage.run_page(settings, name_of(run))
    if settings.lineage != "off" and page:
        found["lineage"] = dg.MetadataValue.url(page)
    return found


def _tell_lineage(
    settings: Settings, run: dg.DagsterRun, state: RunState, at: float, failure: str | None = None
) -> None:
    planned = run.tags.get(tags.SCHEDULED_EXECUTION_TIME_TAG)
    lineage.emit_run(
        settings,
        lineage.Origin(run.run_id, telemetry.trace_id_of(run.run_id), name_of(run)),
        state,
        at=datetime.fromtimestamp(at, UTC),
        scheduled=datetime.fromisoformat(planned) if planned else None,
        failure=failure,
    )


def _phases(instance: dg.DagsterInstance, run_id: str) -> list[Phase]:
    """What came before the run's steps, by the run's own log; the last one is nameless and has just begun."""
    entries = instance.all_logs(run_id, of_type=set(BEFORE_STEPS))
    began = [
        (BEFORE_STEPS[entry.dagster_event.event_type], entry.timestamp)
        for entry in entries
        if entry.dagster_event
    ]
    ends = [*(at for _, at in began[1:]), time.time()]
    return [Phase(name, at, end) for (name, at), end in zip(began, ends, strict=False)]


def _found(looking: Future[list[Phase]]) -> list[Phase]:
    """What was found; a log that could not be read is no reason to fail a run that went well."""
    if error := looking.exception():
        logger.warning("when the run was asked for is not known: %s", error)
        return []
    return looking.result()


def _failure_of(event: DagsterEvent) -> str:
    data = event.step_failure_data
    error = data.user_failure_data.description if data.user_failure_data else None
    cause = data.error.cause if data.error and data.error.cause else data.error
    return " ".join((error or (cause.message if cause else None) or "failed").split())
