"""Dagster's GraphQL API: launch runs, wait for them, look at schedules and sensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from floe_stack.errors import StackError
from floe_stack.patience import SECONDS, patiently, until

LOCATION: Final = {"repositoryName": "__repository__", "repositoryLocationName": "floe"}
WRITERS: Final = ("seed_job", "generate_orders_job", "maintenance_job")
SEED_JOB, GENERATE_JOB, _ = WRITERS
SENSOR: Final = "empty_tables_sensor"
SCHEDULE: Final = "generate_orders_schedule"
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
IN_FLIGHT: Final = ("QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING")
ENDED: Final = (SUCCESS, FAILURE, "CANCELED")

_METADATA: Final = """metadataEntries { label
    ... on IntMetadataEntry { intRepr } ... on TextMetadataEntry { text } }"""
_RUN: Final = "runId jobName status creationTime startTime endTime tags { key value }"
_RUNS: Final = f"""query ($filter: RunsFilter, $limit: Int) {{ runsOrError(filter: $filter, limit: $limit) {{
    __typename ... on Runs {{ results {{ {_RUN} }} }}
    ... on InvalidPipelineRunsFilterError {{ message }} ... on PythonError {{ message }} }} }}"""
_DETAILS: Final = f"""query ($id: ID!) {{ runOrError(runId: $id) {{ __typename
    ... on Run {{ {_RUN} stepStats {{ stepKey startTime endTime }}
        assetMaterializations {{ assetKey {{ path }} {_METADATA} }} }}
    ... on RunNotFoundError {{ message }} ... on PythonError {{ message }} }} }}"""
_EVENTS: Final = """query ($id: ID!) { runOrError(runId: $id) { __typename
    ... on Run { eventConnection { events { __typename
        ... on ExecutionStepFailureEvent { stepKey error { message errorChain { error { message } } } }
        ... on RunFailureEvent { message } } } }
    ... on RunNotFoundError { message } ... on PythonError { message } } }"""
_LAUNCH: Final = """mutation ($selector: JobOrPipelineSelector!, $config: RunConfigData!) {
    launchRun(executionParams: { selector: $selector, runConfigData: $config }) { __typename
        ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
        ... on RunConfigValidationInvalid { errors { message } }
        ... on PipelineNotFoundError { message } } }"""
_WRITTEN: Final = f"""query ($key: AssetKeyInput!) {{ assetOrError(assetKey: $key) {{ __typename
    ... on Asset {{ assetMaterializations(limit: 5000) {{ runId timestamp {_METADATA} }} }}
    ... on AssetNotFoundError {{ message }} }} }}"""
_TICKS: Final = """fragment state on InstigationState { status nextTick { timestamp }
    ticks(limit: 20) { timestamp status runIds skipReason error { message } } }"""
_SCHEDULE: Final = f"""query ($selector: ScheduleSelector!) {{ scheduleOrError(scheduleSelector: $selector) {{
    __typename ... on Schedule {{ cronSchedule scheduleState {{ ...state }} }}
    ... on ScheduleNotFoundError {{ message }} ... on PythonError {{ message }} }} }} {_TICKS}"""
_SENSOR: Final = f"""query ($selector: SensorSelector!) {{ sensorOrError(sensorSelector: $selector) {{
    __typename ... on Sensor {{ sensorState {{ ...state }} }}
    ... on SensorNotFoundError {{ message }} ... on PythonError {{ message }} }} }} {_TICKS}"""


@dataclass(frozen=True)
class Materialization:
    """What a run wrote to a table.

    Attributes:
        table: For example `gold.orders`.
        facts: Metadata by label, as text: `dagster/row_count`, `rows_appended`, `snapshot_id`, `trace_id`.
    """

    table: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Written:
    """One time that a table was written: by which run, when, and metadata as in `Materialization`."""

    run_id: str
    at: float
    facts: dict[str, str]


@dataclass(frozen=True)
class Run:
    """A run, as far as it was asked about.

    Attributes:
        id: Its id, a UUID, which is that of its trace too.
        job: Name of the job.
        status: Dagster's word for it.
        created: When it was asked for, seconds since 1970.
        started: When its first step began.
        ended: When it was over.
        tags: By key.
        steps: Begin and end by step; only of `Dagster.run`.
        written: What it wrote; only of `Dagster.run`.
    """

    id: str
    job: str
    status: str
    created: float
    started: float | None
    ended: float | None
    tags: dict[str, str]
    steps: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    written: dict[str, Materialization] = field(default_factory=dict)

    @property
    def trace_id(self) -> str:
        """Id of its trace, 32 hex digits."""
        return self.id.replace("-", "")

    def rows(self, table: str) -> int:
        """Rows of a table after the run.

        Raises:
            StackError: The run did not write it.
        """
        if table not in self.written:
            raise StackError(f"run {self.id} ({self.job}, {self.status}) did not write {table}")
        return int(self.written[table].facts["dagster/row_count"])


@dataclass(frozen=True)
class Tick:
    """One time that a schedule or sensor was looked at."""

    at: float
    status: str
    runs: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Instigator:
    """A schedule or sensor: whether it is on, its newest ticks first, and when the next is due."""

    is_on: bool
    ticks: tuple[Tick, ...]
    cron: str | None = None
    next_at: float | None = None


class Dagster:
    """A client of one webserver."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30)

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of an answer.

        Raises:
            StackError: Dagster does not answer, or does not understand.
        """
        body = {"query": query, "variables": variables}
        seconds = 0 if query.startswith("mutation") else SECONDS
        try:
            answer = patiently(lambda: self._http.post("/graphql", json=body), seconds)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise StackError(f"Dagster at {self.url}: {type(error).__name__}: {error}") from error
        said: dict[str, Any] = answer.json()
        if said.get("errors"):
            raise StackError(f"Dagster refuses a question: {said['errors'][0]['message']}")
        data: dict[str, Any] = said["data"]
        return data

    def launch(self, job: str, config: dict[str, int]) -> str:
        """Start a run; returns its id.

        Raises:
            StackError: Dagster refuses, with its own words.
        """
        selector = {**LOCATION, "jobName": job}
        answer = self.ask(_LAUNCH, selector=selector, config=config)["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            said = answer.get("message") or "; ".join(each["message"] for each in answer.get("errors", []))
            raise StackError(f"Dagster does not start {job}: {said or answer['__typename']}")
        run_id: str = answer["run"]["runId"]
        return run_id

    def runs(
        self,
        job: str | None = None,
        *,
        statuses: tuple[str, ...] = (),
        tags: dict[str, str] | None = None,
        limit: int = 20,
    ) -> list[Run]:
        """The newest runs, newest first."""
        wanted: dict[str, object] = {}
        if job:
            wanted["pipelineName"] = job
        if statuses:
            wanted["statuses"] = list(statuses)
        if tags:
            wanted["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        answer = self.ask(_RUNS, filter=wanted, limit=limit)["runsOrError"]
        return [_run(each) for each in _expect(answer, "Runs")["results"]]

    def run(self, run_id: str) -> Run:
        """A run with its steps and what it wrote."""
        return _run(_expect(self.ask(_DETAILS, id=run_id)["runOrError"], "Run"))

    def why_failed(self, run_id: str) -> str:
        """The first step of a run that failed, and the error in it; a run that died tells no step."""
        found = _expect(self.ask(_EVENTS, id=run_id)["runOrError"], "Run")["eventConnection"]["events"]
        for event in found:
            if event["__typename"] == "ExecutionStepFailureEvent":
                error = event["error"] or {"message": "no error was kept", "errorChain": []}
                # The outermost error is Dagster's own, around the one that our code raised.
                raised = error["errorChain"][0]["error"] if error["errorChain"] else error
                return f"step {event['stepKey']}: {_first_line(raised['message'])}"
        told = [event["message"] for event in found if event["__typename"] == "RunFailureEvent"]
        return _first_line(told[-1]) if told else "Dagster does not tell why"

    def written(self, table: str) -> list[Written]:
        """What runs wrote to a table, the newest first, as far as Dagster keeps it."""
        found = _expect(self.ask(_WRITTEN, key={"path": table.split(".")})["assetOrError"], "Asset")
        return [
            Written(each["runId"], int(each["timestamp"]) / 1000, _facts(each["metadataEntries"]))
            for each in found["assetMaterializations"]
        ]

    def is_quiet(self) -> bool:
        """Whether no run that writes is queued or under way."""
        return not any(run.job in WRITERS for run in self.runs(statuses=IN_FLIGHT))

    def wait_quiet(self, seconds: float = 120) -> None:
        """Wait until no run that writes is queued or under way.

        Raises:
            StackError: There still is one.
        """
        if not until(self.is_quiet, bool, seconds=seconds, every=0.3):
            raise StackError(f"runs are still under way after {seconds:.0f} s: {self.url}/runs shows them")

    def schedule(self, name: str) -> Instigator:
        """A schedule and its ticks."""
        selector = {**LOCATION, "scheduleName": name}
        found = _expect(self.ask(_SCHEDULE, selector=selector)["scheduleOrError"], "Schedule")
        return _instigator(found["scheduleState"], found["cronSchedule"])

    def sensor(self, name: str) -> Instigator:
        """A sensor and its ticks."""
        selector = {**LOCATION, "sensorName": name}
        found = _expect(self.ask(_SENSOR, selector=selector)["sensorOrError"], "Sensor")
        return _instigator(found["sensorState"], None)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _expect(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    if answer["__typename"] != kind:
        raise StackError(f"Dagster: {answer.get('message') or answer['__typename']}")
    return answer


def _facts(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["label"]: entry.get("intRepr") or entry.get("text") or "" for entry in entries}


def _run(found: dict[str, Any]) -> Run:
    written = {}
    for each in found.get("assetMaterializations", []):
        table = ".".join(each["assetKey"]["path"])
        written[table] = Materialization(table, _facts(each["metadataEntries"]))
    return Run(
        id=found["runId"],
        job=found["jobName"],
        status=found["status"],
        created=found["creationTime"],
        started=found["startTime"],
        ended=found["endTime"],
        tags={tag["key"]: tag["value"] for tag in found["tags"]},
        steps={step["stepKey"]: (step["startTime"], step["endTime"]) for step in found.get("stepStats", [])},
        written=written,
    )


def _instigator(state: dict[str, Any], cron: str | None) -> Instigator:
    ticks = (
        Tick(
            at=tick["timestamp"],
            status=tick["status"],
            runs=tuple(tick["runIds"]),
            reason=tick["skipReason"] or (tick["error"] or {}).get("message", ""),
        )
        for tick in state["ticks"]
    )
    next_tick = state.get("nextTick") or {}
    return Instigator(state["status"] == "RUNNING", tuple(ticks), cron, next_tick.get("timestamp"))
