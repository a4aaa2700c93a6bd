"""Runs the steps in the run's own process, and has trace and lineage told of the run as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dagster as dg
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from floe_pipeline import telemetry
from floe_pipeline.defs import run_story
from floe_pipeline.settings import load_settings


class TellingExecutor(InProcessExecutor):
    """Dagster's in-process executor, with links to trace and lineage on the run's page."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """The run's events, as they happen."""
        settings, run = load_settings(), plan_context.dagster_run
        telemetry.configure(settings)
        with run_story.telling(settings, run, plan_context.instance) as story:
            links = run_story.links(settings, run)
            yield from _point_to(links, plan_context)
            for event in super().execute(plan_context, execution_plan):
                story.see(event)
                yield event
            # Once more, since the page of a run that is over shows the end of its log.
            yield from _point_to(links, plan_context)


def _point_to(links: Mapping[str, dg.MetadataValue], run: PlanOrchestrationContext) -> Iterator[DagsterEvent]:
    if links:
        yield DagsterEvent.engine_event(run, "This run elsewhere.", EngineEventData(metadata=links))


@dg.executor(name="in_process")
def telling_executor(_: dg.InitExecutorContext) -> TellingExecutor:
    """Steps share the run's process: one lake connection, and nothing is imported twice."""
    return TellingExecutor(RetryMode.ENABLED)
