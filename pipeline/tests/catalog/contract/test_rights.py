"""What a catalog server promises of the rights of a reader."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.exceptions import (
    ForbiddenError,
)

from catalog_contract import DELEGATED, ROWS, assert_error, filled, transaction


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
