"""Marquez' HTTP interface: /api/v1 on one port, health and ping on the admin port."""

from __future__ import annotations

import threading
from typing import Any, TypeVar
from urllib.parse import unquote

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import answers
from .journal import Journal
from .model import Dataset, InvalidEventError, Job, Lineage

Row = TypeVar("Row")


class MarquezDouble:
    """The state behind both ports."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lineage = Lineage()
        self._lock = threading.Lock()
        for event in journal.events():
            self._lineage.apply(event)

    async def post_event(self, request: Request) -> Response:
        """Take one OpenLineage event."""
        try:
            event = await request.json()
        except ValueError as error:
            raise HTTPException(400, "Unable to process JSON") from error
        if not isinstance(event, dict):
            raise HTTPException(400, "Unable to process JSON")
        await run_in_threadpool(self._take, event)
        return Response(status_code=201)

    def _take(self, event: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._lineage.apply(event)
            except InvalidEventError as error:
                raise HTTPException(422, str(error)) from error
            self._journal.append(event)

    def namespaces(self, request: Request) -> Response:
        """All namespaces."""
        rows = [answers.namespace(n, at) for n, at in sorted(self._lineage.namespaces.items())]
        return JSONResponse({"namespaces": _page(request, rows)})

    def namespace(self, request: Request) -> Response:
        """One namespace."""
        name = _path(request, "namespace")
        if name not in self._lineage.namespaces:
            raise HTTPException(404, f"Namespace '{name}' not found.")
        return JSONResponse(answers.namespace(name, self._lineage.namespaces[name]))

    def jobs(self, request: Request) -> Response:
        """Jobs of one namespace, or of all, the newest first."""
        jobs = [j for j in self._lineage.jobs.values() if _in_namespace(request, j.key)]
        jobs.sort(key=lambda j: j.updated_at, reverse=True)
        return JSONResponse({"jobs": [answers.job(j) for j in _page(request, jobs)], "totalCount": len(jobs)})

    def job(self, request: Request) -> Response:
        """One job."""
        return JSONResponse(answers.job(self._job(request)))

    def job_runs(self, request: Request) -> Response:
        """A job's runs, the newest first."""
        job = self._job(request)
        runs = [answers.run(r, answers.job_version(job)) for r in reversed(job.runs.values())]
        return JSONResponse({"runs": _page(request, runs), "totalCount": len(runs)})

    def run(self, request: Request) -> Response:
        """One run."""
        run = self._lineage.runs.get(_path(request, "run"))
        if run is None:
            raise HTTPException(404, f"Run '{_path(request, 'run')}' not found.")
        return JSONResponse(answers.run(run, answers.job_version(self._lineage.jobs[run.job])))

    def run_facets(self, request: Request) -> Response:
        """The facets of a run (type=run) or of its job (type=job)."""
        run = self._lineage.runs.get(_path(request, "run"))
        if run is None:
            raise HTTPException(404, f"Run '{_path(request, 'run')}' not found.")
        of_job = request.query_params.get("type", "run").lower() == "job"
        return JSONResponse(
            {"runId": run.id, "facets": self._lineage.jobs[run.job].facets if of_job else run.facets}
        )

    def datasets(self, request: Request) -> Response:
        """Datasets of one namespace."""
        found = [d for d in self._lineage.datasets.values() if _in_namespace(request, d.key)]
        found.sort(key=lambda d: d.key)
        rows = [answers.dataset(d) for d in _page(request, found)]
        return JSONResponse({"datasets": rows, "totalCount": len(found)})

    def dataset(self, request: Request) -> Response:
        """One dataset."""
        return JSONResponse(answers.dataset(self._dataset(request)))

    def dataset_versions(self, request: Request) -> Response:
        """A dataset's versions, the newest first."""
        it = self._dataset(request)
        rows = [answers.dataset_version(it, v, self._lineage) for v in reversed(it.versions.values())]
        return JSONResponse({"versions": _page(request, rows), "totalCount": len(rows)})

    def dataset_version(self, request: Request) -> Response:
        """One version of a dataset."""
        it, version = self._dataset(request), _path(request, "version")
        if version not in it.versions:
            raise HTTPException(404, f"Dataset version '{version}' not found.")
        return JSONResponse(answers.dataset_version(it, it.versions[version], self._lineage))

    def lineage(self, request: Request) -> Response:
        """The graph around a node."""
        node = _required(request, "nodeId")
        with self._lock:
            nodes = answers.graph(self._lineage, node, _number(request, "depth", 20))
        if nodes is None:
            raise HTTPException(404, f"Node '{node}' not found.")
        return JSONResponse({"graph": nodes})

    def column_lineage(self, request: Request) -> Response:
        """The graph of columns upstream of a dataset or of one column."""
        node = _required(request, "nodeId")
        with self._lock:
            nodes = answers.column_graph(self._lineage, node, _number(request, "depth", 20))
        if nodes is None:
            raise HTTPException(404, f"Node '{node}' not found.")
        return JSONResponse({"graph": nodes})

    def search(self, request: Request) -> Response:
        """Jobs and datasets by a part of their name."""
        found = answers.search(self._lineage, _required(request, "q"), request.query_params.get("filter"))
        shown = found[: _number(request, "limit", 10)]
        return JSONResponse({"totalCount": len(shown), "results": shown})

    def events(self, request: Request) -> Response:
        """The events as they came, the newest first."""
        rows = list(self._journal.events(newest_first=True, limit=_number(request, "limit", 100)))
        return JSONResponse({"events": rows, "totalCount": self._journal.count()})

    def healthcheck(self, _: Request) -> Response:
        """Health as Dropwizard reports it: 500 when the database is away."""
        try:
            self._journal.count()
        except SQLAlchemyError as error:
            bad = {"healthy": False, "message": str(error).partition("\n")[0]}
            return JSONResponse({"deadlocks": {"healthy": True}, "postgresql": bad}, 500)
        return JSONResponse({"deadlocks": {"healthy": True}, "postgresql": {"healthy": True}})

    def _job(self, request: Request) -> Job:
        key = (_path(request, "namespace"), _path(request, "job"))
        if key not in self._lineage.jobs:
            raise HTTPException(404, f"Job '{key[1]}' not found.")
        return self._lineage.jobs[key]

    def _dataset(self, request: Request) -> Dataset:
        key = (_path(request, "namespace"), _path(request, "dataset"))
        if key not in self._lineage.datasets:
            raise HTTPException(404, f"Dataset '{key[1]}' not found.")
        return self._lineage.datasets[key]


def _path(request: Request, name: str) -> str:
    return unquote(request.path_params[name])


def _in_namespace(request: Request, key: tuple[str, str]) -> bool:
    return "namespace" not in request.path_params or key[0] == _path(request, "namespace")


def _required(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise HTTPException(400, f"query param {name} must not be null")
    return value


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal():
        raise HTTPException(400, f"query param {name} must be greater than or equal to 0")
    return int(text)


def _page(request: Request, rows: list[Row]) -> list[Row]:
    start = _number(request, "offset", 0)
    return rows[start : start + _number(request, "limit", 100)]


def _refuse(_: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    text = (
        error.detail
        if isinstance(error, HTTPException)
        else f"There was an error processing your request: {error}"
    )
    return JSONResponse({"code": code, "message": text}, code)


class _KeepEscapes:
    """Routes on the path as it was sent: a namespace like s3://bucket comes as one escaped segment."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("raw_path"):
            scope = {**scope, "path": scope["raw_path"].partition(b"?")[0].decode("ascii", "replace")}
        await self._app(scope, receive, send)


def api(double: MarquezDouble) -> ASGIApp:
    """The application of the API port."""
    job, dataset = (
        "/api/v1/namespaces/{namespace}/jobs/{job}",
        "/api/v1/namespaces/{namespace}/datasets/{dataset}",
    )
    routes = [
        Route("/api/v1/lineage", double.post_event, methods=["POST"]),
        Route("/api/v1/lineage", double.lineage),
        Route("/api/v1/column-lineage", double.column_lineage),
        Route("/api/v1/namespaces", double.namespaces),
        Route("/api/v1/namespaces/{namespace}", double.namespace),
        Route("/api/v1/jobs", double.jobs),
        Route("/api/v1/namespaces/{namespace}/jobs", double.jobs),
        Route(job, double.job),
        Route(f"{job}/runs", double.job_runs),
        Route("/api/v1/jobs/runs/{run}", double.run),
        Route("/api/v1/jobs/runs/{run}/facets", double.run_facets),
        Route("/api/v1/namespaces/{namespace}/datasets", double.datasets),
        Route(dataset, double.dataset),
        Route(f"{dataset}/versions", double.dataset_versions),
        Route(f"{dataset}/versions/{{version}}", double.dataset_version),
        Route("/api/v1/search", double.search),
        Route("/api/v1/events/lineage", double.events),
    ]
    return _KeepEscapes(
        Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _refuse})
    )


def admin(double: MarquezDouble) -> ASGIApp:
    """The application of the admin port."""
    ping = PlainTextResponse("pong\n")
    return Starlette(routes=[Route("/ping", ping), Route("/healthcheck", double.healthcheck)])
