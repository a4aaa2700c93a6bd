"""The stand-ins for Marquez beyond the contract: restarts, the page, what they say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
from starlette.testclient import TestClient

from loopback_servers import answers, free_port, serving
from marquez_double.app import MarquezDouble, api
from marquez_double.journal import Journal

from .conftest import IMAGES

NAMESPACE = "s3://lake/house"


def event(run_id: str) -> dict[str, object]:
    return {
        "eventType": "COMPLETE",
        "eventTime": "2026-01-05T08:00:00Z",
        "run": {"runId": run_id},
        "job": {"namespace": NAMESPACE, "name": "model"},
        "outputs": [{"namespace": NAMESPACE, "name": "gold.orders"}],
    }


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    url, run_id = f"sqlite:///{tmp_path}/events.db", str(uuid.uuid4())
    first = Journal(url)
    assert (
        TestClient(api(MarquezDouble(first))).post("/api/v1/lineage", json=event(run_id)).status_code == 201
    )
    first.close()
    second = Journal(url)
    assert (
        TestClient(api(MarquezDouble(second))).get(f"/api/v1/jobs/runs/{run_id}").json()["state"]
        == "COMPLETED"
    )
    second.close()


def test_a_refused_event_leaves_no_trace(tmp_path: Path) -> None:
    journal = Journal(f"sqlite:///{tmp_path}/events.db")
    client = TestClient(api(MarquezDouble(journal)))
    assert client.post("/api/v1/lineage", json=event("not-a-uuid")).status_code == 422
    assert client.get("/api/v1/namespaces").json() == {"namespaces": []}
    assert journal.count() == 0
    journal.close()


def test_the_journal_keeps_the_newest_events_only(tmp_path: Path) -> None:
    journal = Journal(f"sqlite:///{tmp_path}/events.db", kept=3)
    for number in range(5):
        journal.append({"number": number})
    assert [event["number"] for event in journal.events()] == [2, 3, 4]
    journal.close()


def test_the_web_page_reaches_the_api_through_its_own_port(
    marquez_urls: tuple[str, str | None], tmp_path: Path
) -> None:
    api_url = httpx.URL(marquez_urls[0])
    port = free_port()
    env = {
        "MARQUEZ_HOST": api_url.host,
        "MARQUEZ_PORT": str(api_url.port),
        "WEB_PORT": str(port),
        "MARQUEZ_DOUBLE_HOST": "127.0.0.1",
    }
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    with serving(
        [sys.executable, "-m", "marquez_web_double"],
        env=env,
        cwd=IMAGES / "marquez-web-double",
        ready=answers(f"{url}/healthcheck"),
        log=log,
    ):
        assert "<title>Lineage" in httpx.get(f"{url}/").text
        assert httpx.get(f"{url}/layout.js").headers["content-type"].startswith("text/javascript")
        assert httpx.post(f"{url}/api/v1/lineage", json=event(str(uuid.uuid4()))).status_code == 201
        escaped = "s3%3A%2F%2Flake%2Fhouse"
        assert (
            httpx.get(f"{url}/api/v1/namespaces/{escaped}/datasets/gold.orders").json()["name"]
            == "gold.orders"
        )
        page = httpx.get(f"{url}/lineage/dataset/{escaped}/gold.orders")
        assert page.headers["location"] == f"/#dataset%3A{escaped}%3Agold.orders"
        assert httpx.get(f"{url}/api/v1/lineage", params={"nodeId": "job:no:thing"}).status_code == 404
    assert "stand-in" in log.read_text()


def test_the_web_page_needs_to_know_its_api() -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MARQUEZ_")}
    command = [sys.executable, "-m", "marquez_web_double"]
    done = subprocess.run(
        command, env=env, cwd=IMAGES / "marquez-web-double", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "MARQUEZ_HOST and MARQUEZ_PORT must be set" in done.stderr
