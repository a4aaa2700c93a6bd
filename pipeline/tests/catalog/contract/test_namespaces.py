"""What a catalog server promises of namespaces and configuration."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
)

from catalog_contract import ROWS, assert_error


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
