"""What a catalog server promises of catalogs, principals, roles and grants."""

from __future__ import annotations

import secrets
from typing import Any

import httpx

from catalog_contract import assert_error


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
