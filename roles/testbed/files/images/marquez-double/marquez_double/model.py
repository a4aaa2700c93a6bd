"""What is known after reading OpenLineage events: jobs, runs, datasets, versions and columns."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Facets = dict[str, Any]
Key = tuple[str, str]  # namespace, name

_STATES = {
    "START": "RUNNING",
    "RUNNING": "RUNNING",
    "COMPLETE": "COMPLETED",
    "FAIL": "FAILED",
    "ABORT": "ABORTED",
}
_ENDED = {"COMPLETED", "FAILED", "ABORTED"}
_KEPT = 100  # runs of a job and versions of a dataset that stay in memory; the oldest go first
_NAMES = uuid.UUID("5f1b4f0e-5d5c-4b5e-9d57-0c9d6a6a51d0")


class InvalidEventError(ValueError):
    """What is wrong with an event, naming the field."""


@dataclass
class Run:
    """One run of a job; times are UTC."""

    id: str
    job: Key
    created_at: datetime
    updated_at: datetime
    state: str = "NEW"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    facets: Facets = field(default_factory=dict)
    inputs: dict[Key, str] = field(default_factory=dict)  # dataset -> version that was read
    outputs: dict[Key, str] = field(default_factory=dict)  # dataset -> version that was written


@dataclass
class Job:
    """A job under its full name, which starts with its parent's name where it has one."""

    key: Key
    simple_name: str
    parent: Key | None
    created_at: datetime
    updated_at: datetime
    kind: str = "BATCH"
    facets: Facets = field(default_factory=dict)
    inputs: dict[Key, None] = field(default_factory=dict)
    outputs: dict[Key, None] = field(default_factory=dict)
    runs: OrderedDict[str, Run] = field(default_factory=OrderedDict)


@dataclass
class Version:
    """A dataset as one run left it."""

    id: str
    created_at: datetime
    fields: list[dict[str, Any]]
    facets: Facets
    run_id: str | None
    lifecycle: str = ""


@dataclass
class Dataset:
    """A dataset; `columns` maps an output column to those it came from, `current_id` names a version."""

    key: Key
    created_at: datetime
    updated_at: datetime
    versions: OrderedDict[str, Version] = field(default_factory=OrderedDict)
    columns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    modified_at: datetime | None = None
    current_id: str = ""

    @property
    def current(self) -> Version:
        """What a run that completed left; a run that failed leaves a version, but not the current one."""
        return self.versions[self.current_id]


class Lineage:
    """Everything known so far. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self.namespaces: dict[str, datetime] = {}
        self.jobs: dict[Key, Job] = {}
        self.datasets: dict[Key, Dataset] = {}
        self.runs: dict[str, Run] = {}

    def apply(self, event: dict[str, Any]) -> None:
        """Take in one event: a run's, a job's or a dataset's.

        Raises:
            InvalidEventError: a required field is missing or malformed; nothing was taken in.
        """
        at = _time(event.get("eventTime"))
        job_name, run_id = self._check(event)
        job = self._job(event, job_name, at) if job_name else None
        run = self._run(event, job, run_id, at) if job and run_id else None
        if job_name is None:
            self._write(_dataset_key(event["dataset"]), event["dataset"], None, at)
        for side in ("inputs", "outputs"):
            told: dict[Key, str] = {}
            for item in event.get(side) or []:
                key = _dataset_key(item)
                told[key] = self._write(key, item, run, at, output=side == "outputs").id
            if job:
                self._connect(job, run, side, told)

    @staticmethod
    def _connect(job: Job, run: Run | None, side: str, told: dict[Key, str]) -> None:
        """A run's tables become its job's when it ends; until then a job whose run names none has none."""
        if run is None:
            setattr(job, side, dict.fromkeys(told))
            return
        getattr(run, side).update(told)
        if run.state in _ENDED:
            setattr(job, side, dict.fromkeys(getattr(run, side)))
        elif not told:
            setattr(job, side, {})

    @staticmethod
    def _check(event: dict[str, Any]) -> tuple[Key | None, str | None]:
        """Look at everything that may be refused before anything is changed."""
        for item in [*(event.get("inputs") or []), *(event.get("outputs") or [])]:
            _dataset_key(item)
        if "job" not in event:
            if "dataset" not in event:
                raise InvalidEventError("job: must not be null")
            _dataset_key(event["dataset"])
            return None, None
        key = _named(event["job"], "job")
        if "run" not in event:
            return key, None
        if event.get("eventType") not in {*_STATES, "OTHER", None}:
            raise InvalidEventError(
                f"eventType: {event['eventType']!r} is not one of {', '.join(_STATES)}, OTHER"
            )
        return key, _run_id(event["run"], "run.runId")

    def _namespace(self, name: str, at: datetime) -> None:
        self.namespaces.setdefault(name, at)

    def _job(self, event: dict[str, Any], key: Key, at: datetime) -> Job:
        parent = ((event.get("run") or {}).get("facets") or {}).get("parent")
        parent_job = self._parent(parent, at) if parent else None
        simple = key[1]
        if parent_job:
            simple = simple.removeprefix(f"{parent_job.key[1]}.")
            key = (key[0], f"{parent_job.key[1]}.{simple}")
        self._namespace(key[0], at)
        job = self.jobs.setdefault(key, Job(key, simple, parent_job.key if parent_job else None, at, at))
        job.updated_at = at
        job.facets.update(event["job"].get("facets") or {})
        return job

    def _parent(self, facet: dict[str, Any], at: datetime) -> Job:
        key, run_id = (
            _named(facet.get("job"), "run.facets.parent.job"),
            _run_id(facet.get("run"), "run.facets.parent.run"),
        )
        self._namespace(key[0], at)
        job = self.jobs.setdefault(key, Job(key, key[1], None, at, at))
        if run_id not in self.runs:
            self._keep(job, Run(run_id, key, at, at))
        return job

    def _keep(self, job: Job, run: Run) -> None:
        self.runs[run.id] = job.runs[run.id] = run
        if len(job.runs) > _KEPT:
            self.runs.pop(job.runs.popitem(last=False)[0])

    def _run(self, event: dict[str, Any], job: Job, run_id: str, at: datetime) -> Run:
        run = self.runs.get(run_id)
        if run is None:
            run = Run(run_id, job.key, at, at)
            self._keep(job, run)
        run.updated_at = at
        run.facets.update(event["run"].get("facets") or {})
        run.state = _STATES.get(event.get("eventType") or "OTHER", run.state)
        if run.state == "RUNNING":
            run.started_at = run.started_at or at
        if run.state in _ENDED:
            run.ended_at = at
        return run

    def _write(
        self, key: Key, item: dict[str, Any], run: Run | None, at: datetime, *, output: bool = True
    ) -> Version:
        """Bring a dataset up to what the event says; only a write makes a new version."""
        self._namespace(key[0], at)
        dataset = self.datasets.setdefault(key, Dataset(key, at, at))
        facets = item.get("facets") or {}
        known = dataset.current if dataset.versions else None
        schema = [
            {"name": f["name"], "type": f.get("type"), "tags": [], "description": f.get("description")}
            for f in (facets.get("schema") or {}).get("fields", [])
        ] or (known.fields if known else [])
        origin = run.id if run and output else (known.id if known else "")
        name = str(uuid.uuid5(_NAMES, repr((key, [(f["name"], f["type"]) for f in schema], origin))))
        if known is None or (output and name != known.id):
            lifecycle = (facets.get("lifecycleStateChange") or {}).get("lifecycleStateChange", "")
            known = Version(name, at, schema, dict(facets), run.id if run and output else None, lifecycle)
            dataset.versions[name] = known
        else:
            known.facets.update(facets)
            known.fields = schema
        dataset.updated_at = at
        if output and (run is None or run.state == "COMPLETED"):
            dataset.modified_at = at
            dataset.current_id = known.id
        dataset.current_id = dataset.current_id or known.id
        while len(dataset.versions) > _KEPT:
            del dataset.versions[next(name for name in dataset.versions if name != dataset.current_id)]
        if output:
            for column, origin_facet in ((facets.get("columnLineage") or {}).get("fields") or {}).items():
                dataset.columns[column] = list(origin_facet.get("inputFields") or [])
        return known


def _time(text: object) -> datetime:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise InvalidEventError(f"eventTime: {text!r} is not an ISO 8601 time with a zone") from error
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _named(value: object, what: str) -> Key:
    if not isinstance(value, dict) or not value.get("namespace") or not value.get("name"):
        raise InvalidEventError(f"{what}: must have a namespace and a name")
    return str(value["namespace"]), str(value["name"])


def _dataset_key(item: object) -> Key:
    return _named(item, "dataset")


def _run_id(run: object, what: str) -> str:
    text = run.get("runId") if isinstance(run, dict) else None
    try:
        return str(uuid.UUID(str(text)))
    except ValueError as error:
        raise InvalidEventError(f"{what}: {text!r} is not a UUID") from error
