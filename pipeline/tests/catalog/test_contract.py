"""What a catalog server promises, whichever it is: floe_catalog, and Apache Polaris when one is given.

Variables: FLOE_TEST_POSTGRES_URL (floe_catalog on PostgreSQL as well); FLOE_TEST_MINIO_URL, _ACCESS_KEY,
_SECRET_KEY (floe_catalog on S3 as well); FLOE_POLARIS_URL, _CLIENT_ID, _CLIENT_SECRET (a real Polaris as
well) and FLOE_POLARIS_STORAGE (storageConfigInfo of its catalogs as JSON).
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    ForbiddenError,
    NamespaceAlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": pa.array(["a", "b", "c"])})
DELEGATED = {"X-Iceberg-Access-Delegation": "vended-credentials"}


def assert_error(answer: httpx.Response, status: int, kind: str) -> str:
    """Check Iceberg's error model; returns the message."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == (status, kind), error
    return str(error["message"])


def filled(catalog: RestCatalog, namespace: str, name: str = "t", **properties: str) -> Table:
    """A table with the three rows."""
    table = catalog.create_table((namespace, name), ROWS.schema, properties=properties)
    table.append(ROWS)
    return table


def set_property(key: str, value: str, *requirements: dict[str, Any]) -> dict[str, Any]:
    """A commit that sets one property."""
    update = {"action": "set-properties", "updates": {key: value}}
    return {"requirements": list(requirements), "updates": [update]}


# ------------------------------------------------------------------ OAuth2


class TestTokens:
    def test_client_credentials_as_a_form(self, server: Any) -> None:
        client_id, secret = server.root
        answer = server.request_token(
            client_id=client_id, client_secret=secret, scope="PRINCIPAL_ROLE:ALL"
        ).json()
        assert answer["token_type"].lower() == "bearer"
        assert answer["expires_in"] > 0

    def test_client_credentials_in_a_basic_header(self, server: Any) -> None:
        form = {"grant_type": "client_credentials", "scope": "PRINCIPAL_ROLE:ALL"}
        answer = httpx.post(f"{server.uri}/v1/oauth/tokens", data=form, auth=server.root)
        assert answer.status_code == 200
        assert answer.json()["access_token"]

    @pytest.mark.parametrize("client_id", ["", "nobody"], ids=["wrong secret", "unknown client"])
    def test_wrong_credentials(self, server: Any, client_id: str) -> None:
        answer = server.request_token(
            client_id=client_id or server.root[0], client_secret="wrong", scope="PRINCIPAL_ROLE:ALL"
        )
        assert answer.status_code == 401
        assert answer.json()["error"] == "unauthorized_client"

    def test_json_body_is_refused(self, server: Any) -> None:
        client_id, secret = server.root
        body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        answer = httpx.post(f"{server.uri}/v1/oauth/tokens", json=body)
        assert answer.status_code in (400, 415)

    @pytest.mark.parametrize("scope", ["catalog", "", "PRINCIPAL_ROLE:", "PRINCIPAL_ROLE:ALL catalog"])
    def test_unknown_scope_is_refused(self, server: Any, scope: str) -> None:
        client_id, secret = server.root
        answer = server.request_token(client_id=client_id, client_secret=secret, scope=scope)
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_scope"

    def test_unknown_grant_type_is_refused(self, server: Any) -> None:
        answer = server.request_token(grant_type="password", client_id="a", client_secret="b")
        assert answer.status_code == 400
        assert answer.json()["error"] == "unsupported_grant_type"

    def test_no_token_and_forged_tokens(self, server: Any) -> None:
        url = f"{server.uri}/v1/config?warehouse=x"
        assert httpx.get(url).status_code == 401
        header, payload, signature = server.token(server.root).split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        forged = base64.urlsafe_b64encode(json.dumps({**claims, "exp": claims["exp"] + 9}).encode()).decode()
        unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        for token in (
            f"{header}.{forged.rstrip('=')}.{signature}",
            f"{unsigned}.{payload}.",
            f"{header}.{payload}",
            "nonsense",
        ):
            answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, token

    def test_scope_narrows_to_the_named_role(self, lake: Any, namespace: str) -> None:
        name = lake.add_principal({"type": "catalog", "privilege": "NAMESPACE_LIST"})
        creator = f"{name}_creator"
        lake.add_role(name, creator, {"type": "catalog", "privilege": "NAMESPACE_CREATE"})
        url, body = lake.path("namespaces"), {"namespace": [f"n{secrets.token_hex(4)}"]}
        assert_error(
            lake.client(name, f"PRINCIPAL_ROLE:{name}_role").post(url, json=body), 403, "ForbiddenException"
        )
        assert lake.client(name, f"PRINCIPAL_ROLE:{creator}").post(url, json=body).status_code == 200

    def test_scope_of_a_role_not_assigned(self, lake: Any) -> None:
        client = lake.client("writer", "PRINCIPAL_ROLE:service_admin")
        assert client.get(lake.path("namespaces")).status_code == 401

    def test_token_exchange_keeps_the_principal(self, lake: Any) -> None:
        token = lake.server.token(lake.credentials["writer"])
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "scope": "PRINCIPAL_ROLE:ALL",
        }
        bearer = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(f"{lake.server.uri}/v1/oauth/tokens", data=form, headers=bearer)
        assert answer.status_code == 200, answer.text
        renewed = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert httpx.get(lake.path("namespaces"), headers=renewed).status_code == 200


# -------------------------------------------------------------- management


class TestManagement:
    def test_second_creation_conflicts(self, lake: Any) -> None:
        role = f"r{secrets.token_hex(4)}"
        principal = lake.add_principal()
        lake.must("POST", "/principal-roles", {"principalRole": {"name": role}})
        lake.must("POST", f"/catalogs/{lake.name}/catalog-roles", {"catalogRole": {"name": role}})
        assert_error(lake.add_catalog(lake.name), 409, "AlreadyExistsException")
        for path, body in (
            ("/principals", {"principal": {"name": principal}}),
            ("/principal-roles", {"principalRole": {"name": role}}),
            (f"/catalogs/{lake.name}/catalog-roles", {"catalogRole": {"name": role}}),
        ):
            assert_error(lake.manage("POST", path, body), 409, "AlreadyExistsException")

    def test_catalog_is_shown_as_it_was_given_and_dropped_when_empty(self, lake: Any) -> None:
        name = f"c{secrets.token_hex(4)}"
        assert lake.add_catalog(name).status_code == 201
        shown = lake.must("GET", f"/catalogs/{name}").json()
        assert shown["properties"]["default-base-location"] == f"{lake.server.base_location}/{name}"
        assert shown["storageConfigInfo"]["storageType"] == lake.server.storage["storageType"]
        assert name in {catalog["name"] for catalog in lake.must("GET", "/catalogs").json()["catalogs"]}
        assert lake.manage("DELETE", f"/catalogs/{name}").status_code == 204
        assert lake.manage("GET", f"/catalogs/{name}").status_code == 404
        assert lake.manage("DELETE", f"/catalogs/{lake.name}").status_code == 400

    def test_base_location_must_be_allowed(self, lake: Any) -> None:
        base = f"{lake.server.base_location}/elsewhere"
        storage = {**lake.server.storage, "allowedLocations": [f"{lake.server.base_location}/allowed"]}
        catalog = {
            "name": f"c{secrets.token_hex(4)}",
            "type": "INTERNAL",
            "properties": {"default-base-location": base},
            "storageConfigInfo": storage,
        }
        assert lake.manage("POST", "/catalogs", {"catalog": catalog}).status_code == 400

    def test_reset_sets_chosen_credentials(self, lake: Any) -> None:
        name = lake.add_principal()
        old, chosen = lake.credentials[name], (secrets.token_hex(8), secrets.token_hex(16))
        body = {"clientId": chosen[0], "clientSecret": chosen[1]}
        answer = lake.must("POST", f"/principals/{name}/reset", body).json()
        assert answer["credentials"] == body
        assert lake.server.token(chosen)
        refused = lake.server.request_token(
            client_id=old[0], client_secret=old[1], scope="PRINCIPAL_ROLE:ALL"
        )
        assert refused.status_code == 401
        again = lake.manage("POST", f"/principals/{name}/reset", body)
        assert again.status_code == 200, "a bootstrap that runs again sets the same credentials"

    def test_only_root_may_reset_and_only_admins_create(self, lake: Any, writer: httpx.Client) -> None:
        management = lake.server.management_uri
        name = lake.add_principal()
        assert_error(writer.post(f"{management}/principals/{name}/reset", json={}), 403, "ForbiddenException")
        for path, body in (
            ("/principals", {"principal": {"name": "x"}}),
            ("/principal-roles", {"principalRole": {"name": "x"}}),
            (f"/catalogs/{lake.name}/catalog-roles", {"catalogRole": {"name": "x"}}),
        ):
            assert_error(writer.post(management + path, json=body), 403, "ForbiddenException")

    def test_assignments_and_grants_are_idempotent_and_listed(self, lake: Any, namespace: str) -> None:
        name = lake.add_principal()
        role, grants = f"{name}_role", f"/catalogs/{lake.name}/catalog-roles/{name}_role/grants"
        given = {"type": "namespace", "namespace": [namespace], "privilege": "TABLE_READ_DATA"}
        for _ in range(2):
            assert lake.manage("PUT", grants, {"grant": given}).status_code == 201
            body = {"principalRole": {"name": role}}
            assert lake.manage("PUT", f"/principals/{name}/principal-roles", body).status_code == 201
            body = {"catalogRole": {"name": role}}
            path = f"/principal-roles/{role}/catalog-roles/{lake.name}"
            assert lake.manage("PUT", path, body).status_code == 201
        assert lake.must("GET", grants).json()["grants"] == [given]
        assigned = lake.must("GET", f"/principals/{name}/principal-roles").json()["roles"]
        assert [entity["name"] for entity in assigned] == [role]
        lake.revoke(role, **given)
        assert lake.must("GET", grants).json()["grants"] == []

    def test_deleted_entities_are_gone(self, lake: Any) -> None:
        name = lake.add_principal({"type": "catalog", "privilege": "NAMESPACE_LIST"})
        client = lake.client(name)
        assert client.get(lake.path("namespaces")).status_code == 200
        for path in (
            f"/catalogs/{lake.name}/catalog-roles/{name}_role",
            f"/principal-roles/{name}_role",
            f"/principals/{name}",
        ):
            assert lake.manage("DELETE", path).status_code == 204
            assert lake.manage("GET", path).status_code == 404
        assert client.get(lake.path("namespaces")).status_code == 401, "its tokens die with a principal"

    def test_everything_is_listed(self, lake: Any) -> None:
        name = lake.add_principal()
        role, paths = f"{name}_role", f"/principal-roles/{name}_role/catalog-roles/{lake.name}"
        for path, key, expected in (
            ("/principals", "principals", name),
            ("/principal-roles", "roles", role),
            (f"/catalogs/{lake.name}/catalog-roles", "roles", role),
            (paths, "roles", role),
        ):
            assert expected in {entity["name"] for entity in lake.must("GET", path).json()[key]}, path
        assert lake.manage("DELETE", f"{paths}/{role}").status_code == 204
        assert lake.must("GET", paths).json()["roles"] == []
        assert lake.manage("DELETE", f"/principals/{name}/principal-roles/{role}").status_code == 204
        assert lake.must("GET", f"/principals/{name}/principal-roles").json()["roles"] == []

    def test_what_cannot_be_granted_is_refused(self, lake: Any) -> None:
        name = lake.add_principal()
        grants = f"/catalogs/{lake.name}/catalog-roles/{name}_role/grants"
        for grant in (
            {"type": "catalog", "privilege": "EVERYTHING"},
            {"type": "planet", "privilege": "TABLE_READ_DATA"},
        ):
            assert lake.manage("PUT", grants, {"grant": grant}).status_code == 400
        missing = {"type": "namespace", "namespace": ["nowhere"], "privilege": "TABLE_READ_DATA"}
        assert lake.manage("PUT", grants, {"grant": missing}).status_code == 404
        assert lake.manage("PUT", f"/principals/{name}/principal-roles", {}).status_code == 400


# -------------------------------------------------------------- namespaces


class TestNamespaces:
    def test_configuration(self, lake: Any, writer: httpx.Client) -> None:
        url = f"{lake.server.uri}/v1/config"
        answer = writer.get(url, params={"warehouse": lake.name}).json()
        assert answer["overrides"]["prefix"] == lake.name
        assert "POST /v1/{prefix}/transactions/commit" in answer["endpoints"]
        assert_error(writer.get(url, params={"warehouse": "nowhere"}), 404, "NotFoundException")
        assert writer.get(url).status_code == 400

    def test_life_of_a_namespace(self, catalog: RestCatalog, namespace: str) -> None:
        inner = (namespace, "inner")
        catalog.create_namespace(inner, {"owner": "me", "kept": "yes"})
        assert catalog.list_namespaces(namespace) == [inner]
        assert (namespace,) in catalog.list_namespaces()
        assert inner not in catalog.list_namespaces()
        summary = catalog.update_namespace_properties(inner, {"owner", "never"}, {"new": "1"})
        assert (summary.removed, summary.updated, summary.missing) == (["owner"], ["new"], ["never"])
        properties = catalog.load_namespace_properties(inner)
        assert (properties.get("owner"), properties["kept"], properties["new"]) == (None, "yes", "1")
        with pytest.raises(NamespaceAlreadyExistsError):
            catalog.create_namespace(inner)
        with pytest.raises(NamespaceNotEmptyError):
            catalog.drop_namespace(namespace)
        catalog.drop_namespace(inner)
        assert not catalog.namespace_exists(inner)
        with pytest.raises(NoSuchNamespaceError):
            catalog.load_namespace_properties(inner)

    def test_what_holds_a_table_is_not_dropped(self, catalog: RestCatalog, namespace: str) -> None:
        catalog.create_table((namespace, "t"), ROWS.schema)
        with pytest.raises(NamespaceNotEmptyError):
            catalog.drop_namespace(namespace)

    def test_missing_parent(self, lake: Any, writer: httpx.Client) -> None:
        answer = writer.post(lake.path("namespaces"), json={"namespace": ["nowhere", "inner"]})
        assert_error(answer, 404, "NoSuchNamespaceException")
        answer = writer.get(lake.path("namespaces"), params={"parent": "nowhere"})
        assert_error(answer, 404, "NoSuchNamespaceException")

    def test_pages(self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client) -> None:
        names = [f"t{number}" for number in range(5)]
        for name in names:
            catalog.create_namespace((namespace, name))
            catalog.create_table((namespace, name), ROWS.schema)
        paged = lake.pyiceberg(**{"rest-page-size": "2"})
        assert sorted(paged.list_tables(namespace)) == [(namespace, name) for name in names]
        assert sorted(paged.list_namespaces(namespace)) == [(namespace, name) for name in names]
        first = writer.get(
            lake.path(f"namespaces/{namespace}/tables"), params={"pageSize": 2, "pageToken": ""}
        )
        assert len(first.json()["identifiers"]) == 2
        assert first.json()["next-page-token"]

    def test_no_views(self, lake: Any, catalog: RestCatalog, namespace: str, writer: httpx.Client) -> None:
        assert catalog.list_views(namespace) == []
        assert not catalog.view_exists((namespace, "v"))
        answer = writer.get(lake.path(f"namespaces/{namespace}/views/v"))
        assert_error(answer, 404, "NoSuchViewException")


# ------------------------------------------------------------------ tables


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


# --------------------------------------------------- concurrency and atomicity


def transaction(*changes: tuple[Table, str]) -> dict[str, Any]:
    """A multi-table commit: each table must be as loaded, and gets property `by`."""
    body = []
    for table, value in changes:
        requirement = {
            "type": "assert-ref-snapshot-id",
            "ref": "main",
            "snapshot-id": table.metadata.current_snapshot_id,
        }
        identifier = {"namespace": list(table.name()[:-1]), "name": table.name()[-1]}
        body.append({"identifier": identifier, **set_property("by", value, requirement)})
    return {"table-changes": body}


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


# ------------------------------------------------------------------ rights


@pytest.fixture(scope="session")
def gold(lake: Any) -> Any:
    """Namespaces `gold` and `bronze` with a table each, and `cube`, which may read gold alone."""
    catalog = lake.pyiceberg()
    for namespace in ("gold", "bronze"):
        catalog.create_namespace(namespace)
        filled(catalog, namespace)
    cube = lake.add_principal(
        {"type": "namespace", "namespace": ["gold"], "privilege": "TABLE_READ_DATA"},
        {"type": "catalog", "privilege": "NAMESPACE_LIST"},
    )
    lake.credentials["cube"] = lake.credentials[cube]
    return lake


class TestRights:
    def test_reader_reads_its_namespace_and_no_other(self, gold: Any) -> None:
        catalog = gold.pyiceberg("cube")
        assert catalog.load_table("gold.t").scan().to_arrow().num_rows == 3
        assert catalog.list_tables("gold") == [("gold", "t")]
        assert {("gold",), ("bronze",)} <= set(catalog.list_namespaces())
        with pytest.raises(ForbiddenError, match=r"is not authorized for op LOAD_TABLE_WITH_READ_DELEGATION"):
            catalog.load_table("bronze.t")
        with pytest.raises(ForbiddenError):
            catalog.list_tables("bronze")

    def test_reader_writes_nothing(self, gold: Any) -> None:
        catalog = gold.pyiceberg("cube")
        table = catalog.load_table("gold.t")
        with pytest.raises((ForbiddenError, OSError), match=r"not authorized|ACCESS_DENIED"):
            table.append(ROWS)  # on S3 its keys already do not let it write the file
        for attempt in (
            lambda: table.transaction().set_properties(a="1").commit_transaction(),
            lambda: catalog.create_table("gold.u", ROWS.schema),
            lambda: catalog.create_table_transaction("gold.u", ROWS.schema),
            lambda: catalog.drop_table("gold.t"),
            lambda: catalog.purge_table("gold.t"),
            lambda: catalog.rename_table("gold.t", "gold.u"),
            lambda: catalog.register_table("gold.u", table.metadata_location),
            lambda: catalog.create_namespace("mine"),
            lambda: catalog.drop_namespace("gold"),
            lambda: catalog.update_namespace_properties("gold", updates={"a": "1"}),
        ):
            with pytest.raises(ForbiddenError):
                attempt()
        with gold.client("cube") as client:
            answer = client.post(gold.path("transactions/commit"), json=transaction((table, "cube")))
            assert_error(answer, 403, "ForbiddenException")
        assert gold.pyiceberg().load_table("gold.t").metadata_location == table.metadata_location

    def test_message_names_principal_roles_and_operation(self, gold: Any) -> None:
        name = gold.add_principal()
        with gold.client(name) as client:
            answer = client.get(gold.path("namespaces/gold/tables/t"))
        message = assert_error(answer, 403, "ForbiddenException")
        assert message.startswith(f"Principal '{name}' with activated PrincipalRoles '[{name}_role]'")
        assert message.endswith("is not authorized for op LOAD_TABLE")

    def test_reading_properties_is_not_reading_data(self, gold: Any) -> None:
        name = gold.add_principal({"type": "catalog", "privilege": "TABLE_READ_PROPERTIES"})
        url = gold.path("namespaces/gold/tables/t")
        with gold.client(name) as client:
            assert client.get(url).status_code == 200
            assert_error(client.get(url, headers=DELEGATED), 403, "ForbiddenException")

    def test_root_manages_but_does_not_read_data(self, gold: Any) -> None:
        url = gold.path("namespaces/gold/tables/t")
        assert gold.root.get(url).status_code == 200
        assert_error(gold.root.get(url, headers=DELEGATED), 403, "ForbiddenException")

    def test_grant_on_one_table_ends_with_it(self, gold: Any, namespace: str) -> None:
        catalog = gold.pyiceberg()
        filled(catalog, namespace, "mine"), filled(catalog, namespace, "other")
        grant = {"type": "table", "namespace": [namespace], "tableName": "mine"}
        name = gold.add_principal({**grant, "privilege": "TABLE_WRITE_DATA"})
        own = gold.pyiceberg(name)
        own.load_table((namespace, "mine")).append(ROWS)
        with pytest.raises(ForbiddenError):
            own.load_table((namespace, "other"))
        catalog.rename_table((namespace, "mine"), (namespace, "renamed"))
        assert own.load_table((namespace, "renamed")).scan().to_arrow().num_rows == 6
        catalog.drop_table((namespace, "renamed"))
        filled(catalog, namespace, "renamed")
        with pytest.raises(ForbiddenError):
            own.load_table((namespace, "renamed"))
        shown = gold.must("GET", f"/catalogs/{gold.name}/catalog-roles/{name}_role/grants").json()
        assert shown["grants"] == []

    def test_revoked_grant_holds_no_longer(self, gold: Any) -> None:
        grant = {"type": "namespace", "namespace": ["gold"], "privilege": "TABLE_READ_DATA"}
        name = gold.add_principal(grant)
        catalog = gold.pyiceberg(name)
        assert catalog.load_table("gold.t")
        gold.revoke(f"{name}_role", **grant)
        with pytest.raises(ForbiddenError):
            catalog.load_table("gold.t")


# ------------------------------------------------------------------ DuckDB


class TestDuckDB:
    def test_creates_writes_and_reads(self, attach: Any, namespace: str, catalog: RestCatalog) -> None:
        db = attach()
        at = f"lake.{namespace}"
        db.execute(f"CREATE TABLE {at}.made AS SELECT i AS id, 'n' || i AS name FROM range(3) r(i)")
        db.execute(f"INSERT INTO {at}.made VALUES (3, 'n3')")
        db.execute(f"CREATE TABLE {at}.empty (id BIGINT)")
        db.execute("BEGIN")
        db.execute(f"DELETE FROM {at}.made WHERE id = 0")
        db.execute(f"INSERT INTO {at}.empty SELECT id FROM {at}.made")
        db.execute("COMMIT")
        assert db.execute(f"SELECT id FROM {at}.made ORDER BY id").fetchall() == [(1,), (2,), (3,)]
        assert db.execute(f"SELECT count(*) FROM {at}.empty").fetchall() == [(3,)]
        assert catalog.load_table((namespace, "made")).scan().to_arrow().num_rows == 3
        db.execute(f"ALTER TABLE {at}.made RENAME TO renamed")
        db.execute(f"DROP TABLE {at}.renamed")
        assert catalog.list_tables(namespace) == [(namespace, "empty")]

    def test_sees_what_pyiceberg_commits(self, attach: Any, namespace: str, catalog: RestCatalog) -> None:
        table = filled(catalog, namespace)
        db = attach()
        count = f"SELECT count(*) FROM lake.{namespace}.t"
        assert db.execute(count).fetchall() == [(3,)]
        table.append(ROWS)
        assert db.execute(count).fetchall() == [(6,)]

    def test_read_only(self, attach: Any, gold: Any) -> None:
        db = attach("cube", ", READ_ONLY, MAX_TABLE_STALENESS '5 seconds'")
        assert db.execute("SELECT count(*) FROM lake.gold.t").fetchall() == [(3,)]
        with pytest.raises(duckdb.Error):
            db.execute("INSERT INTO lake.gold.t VALUES (4, 'd')")
        with pytest.raises(duckdb.Error, match="not authorized"):
            db.execute("SELECT count(*) FROM lake.bronze.t")

    def test_reader_is_refused_without_read_only_too(self, attach: Any, gold: Any) -> None:
        db = attach("cube")
        with pytest.raises(duckdb.Error, match=r"not authorized|AccessDenied"):
            db.execute("INSERT INTO lake.gold.t VALUES (4, 'd')")
