"""The facts in the JSON shapes of Marquez' API."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .model import Dataset, Facets, Job, Key, Lineage, Run, Version

Json = dict[str, Any]


def stamp(at: datetime | None) -> str | None:
    """A time as Marquez writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def name_of(key: Key) -> Json:
    """The `id` of a job or dataset."""
    return {"namespace": key[0], "name": key[1]}


def node_id(kind: str, key: Key) -> str:
    """Identity of a node of the graph: `job:<namespace>:<name>` or `dataset:<namespace>:<name>`."""
    return f"{kind}:{key[0]}:{key[1]}"


def namespace(name: str, at: datetime) -> Json:
    """A namespace."""
    times = {"createdAt": stamp(at), "updatedAt": stamp(at)}
    return {"name": name, **times, "ownerName": "anonymous", "description": None, "isHidden": False}


def run(it: Run, version: str) -> Json:
    """A run with the dataset versions it read and wrote."""
    duration = (
        int((it.ended_at - it.started_at).total_seconds() * 1000) if it.ended_at and it.started_at else None
    )

    def versions(side: dict[Key, str]) -> list[Json]:
        return [{"datasetVersionId": {**name_of(k), "version": v}, "facets": {}} for k, v in side.items()]

    nominal = it.facets.get("nominalTime") or {}
    return {
        "id": it.id,
        "createdAt": stamp(it.created_at),
        "updatedAt": stamp(it.updated_at),
        "nominalStartTime": nominal.get("nominalStartTime"),
        "nominalEndTime": nominal.get("nominalEndTime"),
        "state": it.state,
        "startedAt": stamp(it.started_at),
        "endedAt": stamp(it.ended_at),
        "durationMs": duration,
        "args": {},
        "jobVersion": {**name_of(it.job), "version": version},
        "inputDatasetVersions": versions(it.inputs),
        "outputDatasetVersions": versions(it.outputs),
        "facets": it.facets,
    }


def job_version(it: Job) -> str:
    """Version of a job: changes with what it reads and writes."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, repr((it.key, sorted(it.inputs), sorted(it.outputs)))))


def job_data(it: Job) -> Json:
    """A job as a node of the graph carries it."""
    latest = next(reversed(it.runs.values()), None)
    location = (it.facets.get("sourceCodeLocation") or {}).get("url")
    return {
        "id": name_of(it.key),
        "type": it.kind,
        "name": it.key[1],
        "simpleName": it.simple_name,
        "parentJobName": it.parent[1] if it.parent else None,
        "parentJobUuid": str(uuid.uuid5(uuid.NAMESPACE_OID, repr(it.parent))) if it.parent else None,
        "createdAt": stamp(it.created_at),
        "updatedAt": stamp(it.updated_at),
        "namespace": it.key[0],
        "inputs": [name_of(k) for k in it.inputs],
        "outputs": [name_of(k) for k in it.outputs],
        "location": location,
        "description": (it.facets.get("documentation") or {}).get("description"),
        "latestRun": run(latest, job_version(it)) if latest else None,
    }


def job(it: Job) -> Json:
    """A job as its own page shows it."""
    latest = [run(r, job_version(it)) for r in list(reversed(it.runs.values()))[:10]]
    extra = {
        "latestRuns": latest,
        "facets": it.facets,
        "currentVersion": job_version(it),
        "labels": [],
        "tags": [],
    }
    return {**job_data(it), **extra}


def dataset_data(it: Dataset) -> Json:
    """A dataset as a node of the graph carries it."""
    now = it.current
    return {
        "id": name_of(it.key),
        "type": "DB_TABLE",
        "name": it.key[1],
        "physicalName": it.key[1],
        "createdAt": stamp(it.created_at),
        "updatedAt": stamp(it.updated_at),
        "namespace": it.key[0],
        "sourceName": source_name(it.key, now.facets),
        "fields": now.fields,
        "tags": [],
        "lastModifiedAt": stamp(it.modified_at),
        "description": (now.facets.get("documentation") or {}).get("description"),
        "lastLifecycleState": now.lifecycle,
    }


def dataset(it: Dataset) -> Json:
    """A dataset as its own page shows it."""
    columns = [
        {
            "name": name,
            "inputFields": [_input_field(f) for f in inputs],
            "transformationDescription": _transformation(inputs, "transformationDescription"),
            "transformationType": _transformation(inputs, "transformationType"),
        }
        for name, inputs in it.columns.items()
    ]
    extra = {"columnLineage": columns or None, "facets": it.current.facets, "deleted": False}
    return {**dataset_data(it), **extra, "currentVersion": it.current.id}


def dataset_version(it: Dataset, version: Version, lineage: Lineage) -> Json:
    """A version of a dataset with the run that wrote it."""
    writer = lineage.runs.get(version.run_id or "")
    return {
        "id": {**name_of(it.key), "version": version.id},
        "type": "DB_TABLE",
        "name": it.key[1],
        "physicalName": it.key[1],
        "createdAt": stamp(version.created_at),
        "version": version.id,
        "namespace": it.key[0],
        "sourceName": source_name(it.key, version.facets),
        "fields": version.fields,
        "tags": [],
        "lifecycleState": version.lifecycle,
        "description": (version.facets.get("documentation") or {}).get("description"),
        "createdByRun": run(writer, job_version(lineage.jobs[writer.job])) if writer else None,
        "currentSchemaVersion": str(uuid.uuid5(uuid.NAMESPACE_OID, repr(version.fields))),
        "facets": version.facets,
    }


def source_name(key: Key, facets: Facets) -> str:
    """Name of the source that a dataset lies in."""
    return str((facets.get("dataSource") or {}).get("name") or key[0])


def graph(lineage: Lineage, start: str, depth: int) -> list[Json] | None:
    """The jobs within `depth` jobs of the start, both ways, with all their datasets; None if unknown.

    Like Marquez, begins at a job: at the one that wrote a dataset last, or else read it.
    """
    start = start.partition("#")[0]
    first = {node_id("job", key): it for key, it in lineage.jobs.items()}.get(start)
    dataset = {node_id("dataset", key): it for key, it in lineage.datasets.items()}.get(start)
    if dataset:
        first = _job_at(lineage, dataset.key)
        if first is None:
            return [_node(start, "DATASET", dataset, ())]
    if first is None:
        return None
    seen, border = {first.key: first}, [first]
    for _ in range(depth):
        tables = {key for it in border for key in (*it.inputs, *it.outputs)}
        border = [
            it
            for it in lineage.jobs.values()
            if it.key not in seen and not tables.isdisjoint((*it.inputs, *it.outputs))
        ]
        seen |= {it.key: it for it in border}
    edges = {(node_id("dataset", k), node_id("job", it.key)) for it in seen.values() for k in it.inputs}
    edges |= {(node_id("job", it.key), node_id("dataset", k)) for it in seen.values() for k in it.outputs}
    nodes: dict[str, tuple[str, Job | Dataset]] = {}
    for it in seen.values():
        nodes[node_id("job", it.key)] = ("JOB", it)
        for key in (*it.inputs, *it.outputs):
            nodes[node_id("dataset", key)] = ("DATASET", lineage.datasets[key])
    return [_node(node, *nodes[node], edges) for node in sorted(nodes)]


def _job_at(lineage: Lineage, dataset: Key) -> Job | None:
    newest = sorted(lineage.jobs.values(), key=lambda it: it.updated_at, reverse=True)
    writers = [it for it in newest if dataset in it.outputs]
    return next(iter([*writers, *(it for it in newest if dataset in it.inputs)]), None)


def _node(node: str, kind: str, it: Job | Dataset, edges: Iterable[tuple[str, str]]) -> Json:
    own = sorted(e for e in edges if node in e)
    return {
        "id": node,
        "type": kind,
        "data": job_data(it) if isinstance(it, Job) else dataset_data(it),
        "inEdges": [{"origin": a, "destination": b} for a, b in own if b == node],
        "outEdges": [{"origin": a, "destination": b} for a, b in own if a == node],
    }


def column_graph(lineage: Lineage, start: str, depth: int) -> list[Json] | None:
    """Columns upstream of a dataset's or of one column, with their edges; None if unknown."""
    fields = {
        f"datasetField:{k[0]}:{k[1]}:{c}": (d, c) for k, d in lineage.datasets.items() for c in _columns(d)
    }
    kind, _, rest = start.partition("#")[0].partition(":")
    border = {
        f
        for f in fields
        if f == start or (kind == "dataset" and f.rpartition(":")[0] == f"datasetField:{rest}")
    }
    if not border:
        return None
    seen: set[str] = set()
    edges: set[tuple[str, str]] = set()
    for _ in range(depth + 1):
        seen |= border
        new = {(o, f) for f in border for o in _origins(*fields[f]) if o in fields}
        edges |= new
        border = {origin for origin, _ in new} - seen
    return [
        _field_node(f, *fields[f], {e for e in edges if e[0] in seen and e[1] in seen}) for f in sorted(seen)
    ]


def _columns(it: Dataset) -> list[str]:
    return list(dict.fromkeys([*(f["name"] for f in it.current.fields), *it.columns]))


def _origins(it: Dataset, column: str) -> list[str]:
    return [f"datasetField:{f['namespace']}:{f['name']}:{f['field']}" for f in it.columns.get(column, [])]


def _field_node(node: str, it: Dataset, column: str, edges: set[tuple[str, str]]) -> Json:
    inputs = it.columns.get(column, [])
    own = sorted(e for e in edges if node in e)
    return {
        "id": node,
        "type": "DATASET_FIELD",
        "data": {
            "namespace": it.key[0],
            "dataset": it.key[1],
            "datasetVersion": it.current.id,
            "field": column,
            "fieldType": next((f["type"] for f in it.current.fields if f["name"] == column), None),
            "transformationDescription": _transformation(inputs, "transformationDescription"),
            "transformationType": _transformation(inputs, "transformationType"),
            "inputFields": [_input_field(f) for f in inputs],
        },
        "inEdges": [{"origin": a, "destination": b} for a, b in own if b == node],
        "outEdges": [{"origin": a, "destination": b} for a, b in own if a == node],
    }


def _input_field(it: Json) -> Json:
    how: Json = (it.get("transformations") or [{}])[0]
    return {
        "namespace": it["namespace"],
        "dataset": it["name"],
        "field": it["field"],
        "transformationDescription": how.get("description"),
        "transformationType": how.get("type"),
    }


def _transformation(inputs: list[Json], key: str) -> str | None:
    return next((_input_field(f)[key] for f in inputs if _input_field(f)[key]), None)


def search(lineage: Lineage, text: str, only: str | None) -> list[Json]:
    """Jobs and datasets whose name holds the text, by name."""
    named = [("JOB", "job", k, j.updated_at) for k, j in lineage.jobs.items()]
    named += [("DATASET", "dataset", k, d.updated_at) for k, d in lineage.datasets.items()]
    return [
        {
            "type": kind,
            "name": key[1],
            "updatedAt": stamp(at),
            "namespace": key[0],
            "nodeId": node_id(prefix, key),
        }
        for kind, prefix, key, at in sorted(named, key=lambda n: n[2][1])
        if text.lower() in key[1].lower() and only in (None, kind)
    ]
