"""What a catalog server promises of tables and where they may lie."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

import httpx
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    ForbiddenError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType

from catalog_contract import ROWS, assert_error, filled, set_property


class TestTables:
    def test_life_of_a_table(self, catalog: RestCatalog, namespace: str) -> None:
        table = filled(catalog, namespace, owner="me")
        assert catalog.load_table((namespace, "t")).scan().to_arrow().sort_by("id") == ROWS
        assert table.properties["owner"] == "me"
        assert catalog.list_tables(namespace) == [(namespace, "t")]
        with pytest.raises(TableAlreadyExistsError):
            catalog.create_table((namespace, "t"), ROWS.schema)
        catalog.rename_table((namespace, "t"), (namespace, "renamed"))
        assert not catalog.table_exists((namespace, "t"))
        assert catalog.load_table((namespace, "renamed")).scan().to_arrow().num_rows == 3
        catalog.drop_table((namespace, "renamed"))
        with pytest.raises(NoSuchTableError):
            catalog.load_table((namespace, "renamed"))
        with pytest.raises(NoSuchTableError):
            catalog.drop_table((namespace, "renamed"))

    def test_rename_refused(self, catalog: RestCatalog, namespace: str) -> None:
        for name in ("a", "b"):
            catalog.create_table((namespace, name), ROWS.schema)
        with pytest.raises(TableAlreadyExistsError):
            catalog.rename_table((namespace, "a"), (namespace, "b"))
        with pytest.raises(NoSuchTableError):
            catalog.rename_table((namespace, "nothing"), (namespace, "c"))
        with pytest.raises(NoSuchNamespaceError):
            catalog.rename_table((namespace, "a"), ("nowhere", "a"))

    def test_missing_tables(self, lake: Any, namespace: str, writer: httpx.Client) -> None:
        url = lake.path(f"namespaces/{namespace}/tables/nothing")
        assert_error(writer.get(url), 404, "NoSuchTableException")
        assert writer.head(url).status_code == 404
        assert_error(writer.post(url, json=set_property("a", "1")), 404, "NoSuchTableException")
        nowhere = writer.get(lake.path("namespaces/nowhere/tables/t"))
        assert nowhere.status_code == 404

    def test_staged_create(self, catalog: RestCatalog, namespace: str) -> None:
        identifier = (namespace, "t")
        with catalog.create_table_transaction(identifier, ROWS.schema) as transaction:
            transaction.append(ROWS)
            assert not catalog.table_exists(identifier), "a staged table is nobody's yet"
        assert catalog.load_table(identifier).scan().to_arrow().num_rows == 3

    def test_staged_create_lost_to_another(self, catalog: RestCatalog, namespace: str) -> None:
        identifier = (namespace, "t")
        late = catalog.create_table_transaction(identifier, ROWS.schema)
        late.append(ROWS)
        filled(catalog, namespace)
        with pytest.raises(CommitFailedException):
            late.commit_transaction()
        assert catalog.load_table(identifier).scan().to_arrow().num_rows == 3

    def test_schema_partitioning_and_snapshots_evolve(self, catalog: RestCatalog, namespace: str) -> None:
        table = filled(catalog, namespace)
        with table.update_schema() as schema:
            schema.add_column("extra", LongType())
        with table.update_spec() as spec:
            spec.add_field("name", IdentityTransform(), "by_name")
        table.append(ROWS)
        table.overwrite(ROWS)
        first = table.metadata.snapshots[0].snapshot_id
        table.maintenance.expire_snapshots().by_id(first).commit()
        table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "kept").commit()
        loaded = catalog.load_table((namespace, "t"))
        assert [f.name for f in loaded.schema().fields] == ["id", "name", "extra"]
        assert [f.name for f in loaded.spec().fields] == ["by_name"]
        assert first not in {snapshot.snapshot_id for snapshot in loaded.metadata.snapshots}
        assert "kept" in loaded.refs()
        assert loaded.scan().to_arrow().num_rows == 3

    def test_properties_set_and_removed(
        self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client
    ) -> None:
        filled(catalog, namespace, gone="soon")
        body = set_property("a", "1")
        body["updates"].append({"action": "remove-properties", "removals": ["gone", "never-there"]})
        assert writer.post(lake.path(f"namespaces/{namespace}/tables/t"), json=body).status_code == 200
        properties = catalog.load_table((namespace, "t")).properties
        assert (properties["a"], properties.get("gone")) == ("1", None)

    def test_failed_requirement_changes_nothing(
        self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client
    ) -> None:
        table = filled(catalog, namespace)
        url = lake.path(f"namespaces/{namespace}/tables/t")
        for requirement in (
            {"type": "assert-table-uuid", "uuid": str(uuid.uuid4())},
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 42},
            {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": None},
            {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 99},
            {"type": "assert-create"},
        ):
            answer = writer.post(url, json=set_property("a", "1", requirement))
            assert_error(answer, 409, "CommitFailedException")
        assert catalog.load_table((namespace, "t")).metadata_location == table.metadata_location

    def test_malformed_commits(
        self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client
    ) -> None:
        table = filled(catalog, namespace)
        url = lake.path(f"namespaces/{namespace}/tables/t")
        assert writer.post(url, content=b"{").status_code == 400
        unknown = {"requirements": [], "updates": [{"action": "explode"}]}
        assert writer.post(url, json=unknown).status_code == 400
        dangling = {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 42}
        assert writer.post(url, json={"requirements": [], "updates": [dangling]}).status_code == 400
        assert catalog.load_table((namespace, "t")).metadata_location == table.metadata_location

    def test_old_metadata_files_are_deleted_when_asked(
        self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client
    ) -> None:
        asked = {
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": "2",
        }
        table = catalog.create_table((namespace, "t"), ROWS.schema, properties=asked)
        locations = [table.metadata_location]
        for number in range(4):  # raw commits: pyiceberg would delete the files itself
            answer = writer.post(
                lake.path(f"namespaces/{namespace}/tables/t"), json=set_property("number", str(number))
            )
            locations.append(answer.json()["metadata-location"])
        loaded = catalog.load_table((namespace, "t"))
        assert [entry.metadata_file for entry in loaded.metadata.metadata_log] == locations[-3:-1]
        exist = [loaded.io.new_input(location).exists() for location in locations]
        assert exist == [False, False, True, True, True]

    def test_register_adopts_a_dropped_table(self, catalog: RestCatalog, namespace: str) -> None:
        location = filled(catalog, namespace).metadata_location
        catalog.drop_table((namespace, "t"))
        assert catalog.register_table((namespace, "t"), location).scan().to_arrow().num_rows == 3
        with pytest.raises(TableAlreadyExistsError):
            catalog.register_table((namespace, "t"), location)

    def test_purge_deletes_the_files(self, lake: Any, catalog: RestCatalog, namespace: str) -> None:
        table = filled(catalog, namespace)
        (task,) = table.scan().plan_files()
        catalog.purge_table((namespace, "t"))
        assert not catalog.table_exists((namespace, "t"))
        if lake.server.ours:  # Polaris deletes later, in a task of its own
            assert not table.io.new_input(task.file.file_path).exists()
            assert not table.io.new_input(table.metadata_location).exists()

    def test_purge_must_be_enabled(self, lake: Any) -> None:
        name = f"c{secrets.token_hex(4)}"
        assert lake.add_catalog(name).status_code == 201
        lake.must(
            "PUT",
            f"/catalogs/{name}/catalog-roles/catalog_admin/grants",
            {"grant": {"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"}},
        )
        lake.credentials["root"] = lake.server.root
        catalog = lake.pyiceberg("root", warehouse=name)
        catalog.create_namespace("n")
        filled(catalog, "n")
        with pytest.raises(ForbiddenError):
            catalog.purge_table("n.t")
        assert catalog.load_table("n.t").scan().to_arrow().num_rows == 3

    def test_metrics_are_taken(
        self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client
    ) -> None:
        filled(catalog, namespace)
        report = {
            "report-type": "scan-report",
            "table-name": "t",
            "snapshot-id": 1,
            "filter": {"type": "true"},
            "schema-id": 0,
            "projected-field-ids": [1],
            "projected-field-names": ["id"],
            "metrics": {},
        }
        answer = writer.post(lake.path(f"namespaces/{namespace}/tables/t/metrics"), json=report)
        assert answer.status_code in (200, 204)

    def test_only_referenced_snapshots_when_asked(
        self, lake: Any, catalog: RestCatalog, namespace: str
    ) -> None:
        table = filled(catalog, namespace)
        table.append(ROWS)
        lazy = lake.pyiceberg(**{"snapshot-loading-mode": "refs"}).load_table((namespace, "t"))
        assert [s.snapshot_id for s in lazy.metadata.snapshots] == [table.current_snapshot().snapshot_id]
        assert lazy.scan().to_arrow().num_rows == 6


class TestLocations:
    def test_outside_the_allowed_locations(self, lake: Any, catalog: RestCatalog, namespace: str) -> None:
        base = lake.server.base_location
        for location in (f"{base}/not-of-this-catalog/t", f"{base}/{lake.name}-too/t"):
            with pytest.raises(ForbiddenError):
                catalog.create_table((namespace, "t"), ROWS.schema, location=location)
        with pytest.raises(ForbiddenError):
            catalog.create_namespace("outside", {"location": f"{base}/not-of-this-catalog"})

    def test_a_commit_cannot_move_a_table_outside(
        self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client
    ) -> None:
        table = filled(catalog, namespace)
        elsewhere = f"{lake.server.base_location}/not-of-this-catalog"
        for update in (
            {"action": "set-location", "location": elsewhere},
            {"action": "set-properties", "updates": {"write.data.path": elsewhere}},
            {"action": "set-properties", "updates": {"write.metadata.path": elsewhere}},
        ):
            body = {"requirements": [], "updates": [update]}
            answer = writer.post(lake.path(f"namespaces/{namespace}/tables/t"), json=body)
            assert_error(answer, 403, "ForbiddenException")
        assert catalog.load_table((namespace, "t")).metadata_location == table.metadata_location

    def test_inside_another_table(self, catalog: RestCatalog, namespace: str) -> None:
        table = filled(catalog, namespace)
        with pytest.raises(ForbiddenError):
            catalog.create_table((namespace, "u"), ROWS.schema, location=f"{table.location()}/data")
