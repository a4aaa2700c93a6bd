"""What the distribution relies on in Marquez, true of the real one and of its double."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

Json = dict[str, Any]
START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class Story:
    """Events of two models, orders -> gold.orders -> gold.daily, in namespaces that only this test uses."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        mark = uuid.uuid4().hex[:8]
        self.jobs = f"floe-{mark}"
        self.data = f"iceberg://floe-{mark}/lake"
        self.run_id = str(uuid.uuid4())

    def dataset(self, name: str, columns: dict[str, str], lineage: Json | None = None) -> Json:
        fields = [{"name": n, "type": t} for n, t in columns.items()]
        facets: Json = {"schema": {**_facet("SchemaDatasetFacet"), "fields": fields}}
        if lineage:
            facets["columnLineage"] = {**_facet("ColumnLineageDatasetFacet"), "fields": lineage}
        return {"namespace": self.data, "name": name, "facets": facets}

    def post(self, kind: str, job: str, run_id: str, seconds: int, **rest: Any) -> httpx.Response:
        run_facets = rest.pop("run_facets", {})
        return self.client.post(
            "/api/v1/lineage",
            json={
                "eventType": kind,
                "eventTime": (START + timedelta(seconds=seconds)).isoformat(),
                "producer": "https://floe.invalid/tests",
                "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
                "run": {"runId": run_id, "facets": run_facets},
                "job": {"namespace": self.jobs, "name": job, "facets": {}},
                "inputs": rest.get("inputs", []),
                "outputs": rest.get("outputs", []),
            },
        )

    def tell(self) -> Story:
        orders = self.dataset("bronze.orders", {"order_id": "bigint", "total": "decimal"})
        source = {"namespace": self.data, "name": "bronze.orders", "field": "total"}
        summed = {"inputFields": [source], "transformationType": "", "transformationDescription": ""}
        gold = self.dataset("gold.orders", {"order_id": "bigint", "revenue": "decimal"}, {"revenue": summed})
        daily = self.dataset("gold.daily", {"day": "date"})
        for job, inputs, outputs in (("model.orders", [orders], [gold]), ("model.daily", [gold], [daily])):
            run_id = self.run_id if job == "model.orders" else str(uuid.uuid4())
            assert self.post("START", job, run_id, 0, inputs=inputs, outputs=outputs).status_code == 201
            assert self.post("COMPLETE", job, run_id, 7, inputs=inputs, outputs=outputs).status_code == 201
        return self

    def job(self, name: str) -> str:
        return f"/api/v1/namespaces/{self.jobs}/jobs/{name}"

    def dataset_path(self, name: str) -> str:
        return f"/api/v1/namespaces/{quote(self.data, safe='')}/datasets/{name}"

    def get(self, path: str, **params: Any) -> Json:
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body


def _facet(name: str) -> Json:
    return {
        "_producer": "https://floe.invalid/tests",
        "_schemaURL": f"https://openlineage.io/spec/facets/{name}.json",
    }


@pytest.fixture
def story(marquez: httpx.Client) -> Story:
    return Story(marquez).tell()


def test_namespaces_appear_with_the_events_that_name_them(story: Story) -> None:
    names = {n["name"] for n in story.get("/api/v1/namespaces", limit=1000)["namespaces"]}
    assert {story.jobs, story.data} <= names


def test_a_job_lists_what_it_reads_and_writes_and_its_latest_run(story: Story) -> None:
    job = story.get(story.job("model.orders"))
    assert job["id"] == {"namespace": story.jobs, "name": "model.orders"}
    assert job["type"] == "BATCH"
    assert job["inputs"] == [{"namespace": story.data, "name": "bronze.orders"}]
    assert job["outputs"] == [{"namespace": story.data, "name": "gold.orders"}]
    run = job["latestRun"]
    assert (run["id"], run["state"], run["durationMs"]) == (story.run_id, "COMPLETED", 7000)
    assert run["startedAt"].startswith("2026-01-05T08:00:00")


def test_jobs_of_a_namespace_are_counted_and_paged(story: Story) -> None:
    page = story.get(f"/api/v1/namespaces/{story.jobs}/jobs", limit=1)
    assert page["totalCount"] == 2
    assert len(page["jobs"]) == 1


def test_a_failed_run_is_shown_as_failed(story: Story) -> None:
    run_id = str(uuid.uuid4())
    story.post("START", "model.orders", run_id, 20)
    story.post("FAIL", "model.orders", run_id, 21)
    assert story.get(f"/api/v1/jobs/runs/{run_id}")["state"] == "FAILED"
    runs = story.get(f"{story.job('model.orders')}/runs")["runs"]
    assert [r["state"] for r in runs] == ["FAILED", "COMPLETED"]


def test_run_facets_lead_from_lineage_to_the_run_and_the_snapshot(story: Story) -> None:
    run_id = str(uuid.uuid4())
    facets = {"floe": {**_facet("FloeRunFacet"), "traceId": "ab" * 16, "snapshotId": 42}}
    story.post("COMPLETE", "model.orders", run_id, 30, run_facets=facets)
    body = story.get(f"/api/v1/jobs/runs/{run_id}/facets", type="run")
    assert body["runId"] == run_id
    assert body["facets"]["floe"]["snapshotId"] == 42


def test_a_job_with_a_parent_is_named_after_it(story: Story) -> None:
    parent = {"run": {"runId": str(uuid.uuid4())}, "job": {"namespace": story.jobs, "name": "generate"}}
    facets = {"parent": {**_facet("ParentRunFacet"), **parent}}
    story.post("COMPLETE", "model.child", str(uuid.uuid4()), 40, run_facets=facets)
    job = story.get(story.job("generate.model.child"))
    assert (job["simpleName"], job["parentJobName"]) == ("model.child", "generate")
    assert story.get(story.job("generate"))["name"] == "generate"


def test_a_dataset_in_a_namespace_with_slashes_has_its_columns(story: Story) -> None:
    dataset = story.get(story.dataset_path("gold.orders"))
    assert [(f["name"], f["type"]) for f in dataset["fields"]] == [
        ("order_id", "bigint"),
        ("revenue", "decimal"),
    ]
    assert dataset["type"] == "DB_TABLE"
    assert dataset["currentVersion"]


def test_a_new_version_is_made_by_each_run_that_writes(story: Story) -> None:
    path = f"{story.dataset_path('gold.orders')}/versions"
    before = story.get(path)["totalCount"]
    run_id = str(uuid.uuid4())
    output = story.dataset("gold.orders", {"order_id": "bigint", "revenue": "decimal", "extra": "int"})
    story.post("COMPLETE", "model.orders", run_id, 50, outputs=[output])
    versions = story.get(path)["versions"]
    assert len(versions) == before + 1
    assert versions[0]["createdByRun"]["id"] == run_id
    assert [f["name"] for f in versions[0]["fields"]] == ["order_id", "revenue", "extra"]


def test_the_lineage_graph_walks_both_ways_and_stops_at_depth(story: Story) -> None:
    middle = f"dataset:{story.data}:gold.orders"
    graph = {n["id"]: n for n in story.get("/api/v1/lineage", nodeId=middle, depth=20)["graph"]}
    assert set(graph) == {
        middle,
        f"job:{story.jobs}:model.orders",
        f"job:{story.jobs}:model.daily",
        f"dataset:{story.data}:bronze.orders",
        f"dataset:{story.data}:gold.daily",
    }
    assert graph[middle]["type"] == "DATASET"
    assert graph[middle]["inEdges"] == [{"origin": f"job:{story.jobs}:model.orders", "destination": middle}]
    assert graph[middle]["outEdges"] == [{"origin": middle, "destination": f"job:{story.jobs}:model.daily"}]
    assert graph[f"job:{story.jobs}:model.orders"]["data"]["latestRun"]["state"] == "COMPLETED"
    near = story.get("/api/v1/lineage", nodeId=f"job:{story.jobs}:model.orders", depth=0)["graph"]
    assert {n["id"] for n in near} == {
        middle,
        f"job:{story.jobs}:model.orders",
        f"dataset:{story.data}:bronze.orders",
    }


def test_depth_counts_jobs_and_not_datasets(story: Story) -> None:
    near = story.get("/api/v1/lineage", nodeId=f"job:{story.jobs}:model.orders", depth=1)["graph"]
    assert f"dataset:{story.data}:gold.daily" in {n["id"] for n in near}


def test_what_failed_stays_in_the_graph_when_it_names_its_tables(story: Story) -> None:
    orders, run_id = f"dataset:{story.data}:gold.orders", str(uuid.uuid4())
    before = story.get(story.dataset_path("gold.orders"))
    source = story.dataset("bronze.orders", {"order_id": "bigint", "total": "decimal"})
    target = story.dataset("gold.orders", {"order_id": "bigint", "revenue": "decimal"})
    story.post("START", "model.orders", run_id, 20)
    story.post("FAIL", "model.orders", run_id, 21, inputs=[source], outputs=[target])
    graph = {n["id"]: n for n in story.get("/api/v1/lineage", nodeId=orders)["graph"]}
    assert graph[f"job:{story.jobs}:model.orders"]["data"]["latestRun"]["state"] == "FAILED"
    assert graph[orders]["inEdges"] == [{"origin": f"job:{story.jobs}:model.orders", "destination": orders}]
    assert story.get(story.dataset_path("gold.orders"))["currentVersion"] == before["currentVersion"]


def test_what_failed_without_naming_its_tables_leaves_the_graph(story: Story) -> None:
    run_id = str(uuid.uuid4())
    story.post("START", "model.orders", run_id, 20)
    story.post("FAIL", "model.orders", run_id, 21)
    graph = story.get("/api/v1/lineage", nodeId=f"dataset:{story.data}:bronze.orders")["graph"]
    assert [n["id"] for n in graph] == [f"dataset:{story.data}:bronze.orders"]


def test_column_lineage_names_the_column_a_value_came_from(story: Story) -> None:
    node = f"datasetField:{story.data}:gold.orders:revenue"
    graph = {n["id"]: n for n in story.get("/api/v1/column-lineage", nodeId=node, depth=5)["graph"]}
    fields = graph[node]["data"]["inputFields"]
    assert [(f["dataset"], f["field"]) for f in fields] == [("bronze.orders", "total")]
    assert f"datasetField:{story.data}:bronze.orders:total" in graph


def test_search_finds_by_a_part_of_the_name(story: Story) -> None:
    results = story.get("/api/v1/search", q="model.orders", limit=100)["results"]
    assert f"job:{story.jobs}:model.orders" in {r["nodeId"] for r in results}
    assert all(r["type"] == "JOB" for r in story.get("/api/v1/search", q="orders", filter="JOB")["results"])


def test_events_are_kept_as_they_came(story: Story) -> None:
    events = story.get("/api/v1/events/lineage", limit=100)["events"]
    assert story.run_id in {e["run"]["runId"] for e in events}


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/nowhere-at-all",
        "/api/v1/namespaces/nowhere/jobs/none",
        f"/api/v1/jobs/runs/{uuid.UUID(int=7)}",
    ],
)
def test_what_is_unknown_is_404(marquez: httpx.Client, path: str) -> None:
    assert marquez.get(path).status_code == 404


def test_an_event_that_is_not_one_is_refused(marquez: httpx.Client) -> None:
    assert (
        marquez.post(
            "/api/v1/lineage", content=b"{", headers={"content-type": "application/json"}
        ).status_code
        == 400
    )
    bad = {
        "eventType": "START",
        "eventTime": "2026-01-05T08:00:00Z",
        "run": {"runId": "x"},
        "job": {"namespace": "n"},
    }
    assert 400 <= marquez.post("/api/v1/lineage", json=bad).status_code < 500


def test_the_admin_port_says_it_is_well(marquez_admin: str) -> None:
    assert httpx.get(f"{marquez_admin}/ping").text.strip() == "pong"
    health = httpx.get(f"{marquez_admin}/healthcheck")
    assert health.status_code == 200
    assert health.json()["deadlocks"]["healthy"] is True
