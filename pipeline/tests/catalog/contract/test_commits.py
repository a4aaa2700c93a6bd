"""What a catalog server promises of commits: concurrent, atomic, over several tables."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog

from catalog_contract import ROWS, assert_error, filled, set_property, transaction


class TestCommits:
    def test_eight_writers_append_every_row_once(self, lake: Any, namespace: str) -> None:
        writers, appends = 8, 2
        patient = {"commit.retry.num-retries": "200", "commit.retry.min-wait-ms": "5"}
        patient["commit.retry.max-wait-ms"] = "50"
        lake.pyiceberg().create_table((namespace, "t"), ROWS.schema, properties=patient)
        ready = threading.Barrier(writers)

        def append(writer: int) -> None:
            table = lake.pyiceberg().load_table((namespace, "t"))
            ready.wait()
            for number in range(appends):
                identity = pa.array([writer * appends + number], pa.int64())
                table.append(pa.table({"id": identity, "name": pa.array([f"w{writer}"])}))

        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(append, range(writers)))
        rows = lake.pyiceberg().load_table((namespace, "t")).scan().to_arrow()
        assert sorted(rows["id"].to_pylist()) == list(range(writers * appends))

    def test_unrelated_commits_do_not_refuse_each_other(
        self, lake: Any, catalog: RestCatalog, namespace: str
    ) -> None:
        filled(catalog, namespace)
        url = lake.path(f"namespaces/{namespace}/tables/t")
        with lake.client("writer") as client, ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: client.post(url, json=set_property(f"k{n}", "1")), range(4)))
        assert [answer.status_code for answer in answers] == [200] * 4
        properties = catalog.load_table((namespace, "t")).properties
        assert {f"k{number}" for number in range(4)} <= properties.keys()

    def test_multi_table_commit_changes_all_or_nothing(
        self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client
    ) -> None:
        a, b = filled(catalog, namespace, "a"), filled(catalog, namespace, "b")
        url = lake.path("transactions/commit")
        assert writer.post(url, json=transaction((a, "first"), (b, "first"))).status_code == 204
        a.refresh(), b.refresh()
        assert (a.properties["by"], b.properties["by"]) == ("first", "first")
        filled_later = catalog.load_table((namespace, "b"))
        filled_later.append(ROWS)
        answer = writer.post(url, json=transaction((a, "second"), (b, "second")))
        assert_error(answer, 409, "CommitFailedException")
        for name in ("a", "b"):
            assert catalog.load_table((namespace, name)).properties["by"] == "first"

    def test_of_two_conflicting_multi_table_commits_one_wins(
        self, lake: Any, catalog: RestCatalog, namespace: str
    ) -> None:
        names, rounds = ("a", "b", "c"), 4
        tables = {name: filled(catalog, namespace, name) for name in names}
        uuids = {name: str(table.metadata.table_uuid) for name, table in tables.items()}

        def commit(names: list[str], column: str) -> httpx.Response:
            changes = []
            for name in names:
                schema = catalog.load_table((namespace, name)).schema()
                requirement = {"type": "assert-current-schema-id", "current-schema-id": schema.schema_id}
                same = {"type": "assert-table-uuid", "uuid": uuids[name]}
                wanted = schema.model_dump(mode="json", by_alias=True)
                wanted["schema-id"] = schema.schema_id + 1
                field = {"id": schema.highest_field_id + 1, "name": column, "type": "long", "required": False}
                wanted["fields"] = [*wanted["fields"], field]
                updates = [
                    {"action": "add-schema", "schema": wanted, "last-column-id": schema.highest_field_id + 1},
                    {"action": "set-current-schema", "schema-id": -1},
                ]
                identifier = {"namespace": [namespace], "name": name}
                change = {"identifier": identifier, "requirements": [requirement, same], "updates": updates}
                changes.append(change)
            ready.wait()
            with lake.client("writer") as client:
                return client.post(lake.path("transactions/commit"), json={"table-changes": changes})

        ready = threading.Barrier(2)
        for number in range(rounds):
            with ThreadPoolExecutor(2) as pool:
                one = pool.submit(commit, ["a", "b"], f"one{number}")
                two = pool.submit(commit, ["c", "b", "a"], f"two{number}")
                answers = {"one": one.result(), "two": two.result()}
            winners = [who for who, answer in answers.items() if answer.status_code == 204]
            assert len(winners) == 1, {who: answer.text for who, answer in answers.items()}
            (loser,) = answers.keys() - set(winners)
            assert_error(answers[loser], 409, "CommitFailedException")
            for name in ("a", "b") if winners == ["one"] else names:
                columns = [f.name for f in catalog.load_table((namespace, name)).schema().fields]
                assert f"{winners[0]}{number}" in columns
                assert f"{loser}{number}" not in columns

    def test_multi_table_commit_cannot_create(self, lake: Any, namespace: str, writer: httpx.Client) -> None:
        identifier = {"namespace": [namespace], "name": "new"}
        change = {"identifier": identifier, "requirements": [{"type": "assert-create"}], "updates": []}
        answer = writer.post(lake.path("transactions/commit"), json={"table-changes": [change]})
        assert answer.status_code in (400, 404)
