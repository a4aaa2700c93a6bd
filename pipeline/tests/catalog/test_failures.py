"""What our own server does when it refuses, and when it or its database fails."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from catalog_server import SCHEMA, WRITER, add_catalog, bearer, config
from floe_catalog.app import api_app, build_services
from floe_catalog.serve import start


class InProcess:
    """The API without a network, its services within reach, and a table n.t."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.services = build_services(config(database_url))
        self.client = TestClient(api_app(self.services), raise_server_exceptions=False)
        form = {
            "grant_type": "client_credentials",
            "client_id": "root",
            "client_secret": "root-secret",
            "scope": WRITER,
        }
        token = self.client.post("/api/catalog/v1/oauth/tokens", data=form).json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        name = add_catalog(self.client, "/api/management/v1", directory)
        self.namespaces = f"/api/catalog/v1/{name}/namespaces"
        self.client.post(self.namespaces, json={"namespace": ["n"]}).raise_for_status()
        self.table = f"{self.namespaces}/n/tables/t"
        self.client.post(
            f"{self.namespaces}/n/tables", json={"name": "t", "schema": SCHEMA}
        ).raise_for_status()

    @property
    def metadata_directory(self) -> Path:
        location = self.client.get(self.table).json()["metadata-location"]
        return Path(urlsplit(location).path).parent

    def commit(self) -> httpx.Response:
        update = {"action": "set-properties", "updates": {"a": secrets.token_hex(4)}}
        return self.client.post(self.table, json={"requirements": [], "updates": [update]})


@pytest.fixture
def inside(database_url: str, tmp_path: Path) -> Iterator[InProcess]:
    inside = InProcess(database_url, tmp_path)
    yield inside
    inside.services.database.close()


class TestRefusals:
    """Requests that are wrong in themselves: 400 with the field and the value."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("pageSize=0", "pageSize '0' must be a positive integer"),
            ("pageSize=many", "pageSize 'many' must be a positive integer"),
            ("pageSize=1&pageToken=%C3%BC", "pageToken 'ü' is not one"),
        ],
    )
    def test_pages(self, inside: InProcess, query: str, expected: str) -> None:
        answer = inside.client.get(f"{inside.namespaces}?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(expected)

    @pytest.mark.parametrize("name", ["", "a/b", "..", "a\x1fb"])
    def test_names_that_could_not_be_addressed(self, inside: InProcess, name: str) -> None:
        for url, body in (
            (inside.namespaces, {"namespace": ["n", name]}),
            (f"{inside.namespaces}/n/tables", {"name": name, "schema": SCHEMA}),
        ):
            answer = inside.client.post(url, json=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")
            assert repr(name) in answer.json()["error"]["message"]

    def test_format_version_3(self, inside: InProcess) -> None:
        body = {"name": "v3", "schema": SCHEMA, "properties": {"format-version": "3"}}
        answer = inside.client.post(f"{inside.namespaces}/n/tables", json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (
            400,
            "format-version 3 is not supported; use 1 or 2",
        )

    def test_incomplete_create(self, inside: InProcess) -> None:
        body = {"requirements": [{"type": "assert-create"}], "updates": []}
        answer = inside.client.post(f"{inside.namespaces}/n/tables/new", json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")

    def test_bodies(self, inside: InProcess) -> None:
        for content in (b"", b"[1]", b"{"):
            answer = inside.client.post(inside.namespaces, content=content)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")
        answer = inside.client.post(inside.namespaces, json={"namespace": "n"})
        assert answer.json()["error"]["message"] == "Malformed request: namespace must be list, got 'n'"


class TestFailures:
    def test_metadata_file_lost(self, inside: InProcess, database_url: str) -> None:
        shutil.rmtree(inside.metadata_directory)
        with start(config(database_url)) as fresh:  # nothing cached
            headers = bearer(fresh.uri)
            url = fresh.uri + inside.table.removeprefix("/api/catalog")
            answer = httpx.get(url, headers=headers)
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFoundException")
            assert "Location does not exist: file://" in answer.json()["error"]["message"]
            assert httpx.delete(url, headers=headers).status_code == 204, "so that it can be made anew"

    def test_purge_goes_on_past_lost_files(self, inside: InProcess, caplog: pytest.LogCaptureFixture) -> None:
        location = inside.metadata_directory
        snapshot = {
            "snapshot-id": 1,
            "sequence-number": 1,
            "timestamp-ms": time.time_ns() // 1_000_000,
            "manifest-list": f"file://{location}/lost.avro",
            "summary": {"operation": "append"},
            "schema-id": 0,
        }
        update = {"action": "add-snapshot", "snapshot": snapshot}
        inside.client.post(inside.table, json={"requirements": [], "updates": [update]}).raise_for_status()
        assert inside.client.delete(f"{inside.table}?purgeRequested=true").status_code == 204
        assert list(location.iterdir()) == []
        assert "purge leaves what" in caplog.text

    def test_storage_failure_is_503_and_names_the_storage(self, inside: InProcess) -> None:
        directory = inside.metadata_directory
        shutil.rmtree(directory)
        directory.write_text("in the way")
        answer = inside.commit()
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "ServiceUnavailableException")
        assert f"Storage failed to write file://{directory}" in answer.json()["error"]["message"]

    def test_database_failure_before_the_commit_leaves_nothing(self, inside: InProcess) -> None:
        before = sorted(inside.metadata_directory.iterdir())

        def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("UPDATE tables"):
                raise OperationalError(statement, {}, Exception("gone"))

        sa.event.listen(inside.services.database._engine, "before_cursor_execute", fail)
        answer = inside.commit()
        sa.event.remove(inside.services.database._engine, "before_cursor_execute", fail)
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "ServiceUnavailableException")
        assert sorted(inside.metadata_directory.iterdir()) == before

    def test_database_failure_at_the_commit_itself_is_unknown_and_keeps_the_file(
        self, inside: InProcess
    ) -> None:
        before = set(inside.metadata_directory.iterdir())

        def fail(_connection: Any) -> None:
            raise OperationalError("COMMIT", {}, Exception("gone"))

        sa.event.listen(inside.services.database._engine, "commit", fail)
        answer = inside.commit()
        sa.event.remove(inside.services.database._engine, "commit", fail)
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "CommitStateUnknownException")
        assert len(set(inside.metadata_directory.iterdir()) - before) == 1

    def test_refused_multi_table_commit_leaves_no_file(self, inside: InProcess) -> None:
        tables = f"{inside.namespaces}/n/tables"
        inside.client.post(tables, json={"name": "u", "schema": SCHEMA}).raise_for_status()
        before = sorted(inside.metadata_directory.iterdir())
        update = {"action": "set-properties", "updates": {"a": "1"}}
        changes = [
            {"identifier": {"namespace": ["n"], "name": name}, "requirements": needs, "updates": [update]}
            for name, needs in (
                ("t", []),
                ("u", [{"type": "assert-current-schema-id", "current-schema-id": 7}]),
            )
        ]
        url = inside.namespaces.replace("/namespaces", "/transactions/commit")
        assert inside.client.post(url, json={"table-changes": changes}).status_code == 409
        assert sorted(inside.metadata_directory.iterdir()) == before

    def test_a_bug_is_told_in_the_error_model(
        self, inside: InProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("floe_catalog.commits.get_table", lambda *_: 1 / 0)
        answer = inside.commit()
        assert answer.status_code == 500
        assert answer.json()["error"] == {
            "message": "ZeroDivisionError: division by zero",
            "type": "ZeroDivisionError",
            "code": 500,
        }
