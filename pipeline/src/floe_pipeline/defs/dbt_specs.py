"""The dbt project as Dagster sees it: an asset for each table, a check for each test, keys by layer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtProject, build_dbt_asset_specs

BRONZE: Final = "bronze"
CUBE: Final = "cube"  # where the exposures are shown
FULL: Final = "full"  # tag of the tests that look at whole tables, not at a cycle's new rows

Props = Mapping[str, Any]  # what a dbt manifest says about one node


class LayerTranslator(DagsterDbtTranslator):
    """Keys and groups are layers: bronze (sources), staging and intermediate (in memory), gold (Iceberg)."""

    def get_asset_key(self, dbt_resource_props: Props) -> dg.AssetKey:
        """`gold/orders`, `staging/stg_orders`, `bronze/orders`."""
        return dg.AssetKey([layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Props) -> str:
        """The layer, which is also how the asset graph is laid out."""
        return layer(dbt_resource_props)

    def get_asset_spec(self, manifest: Props, unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """As dagster-dbt makes it, with a badge that says where the rows live."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        where = "iceberg" if layer(self.get_resource_props(manifest, unique_id)) == "gold" else "memory"
        return spec.replace_attributes(kinds={"dbt", "duckdb", where})


def layer(props: Props) -> str:
    """A source's name, the schema that a model is published to, or the folder of a model that is not."""
    if props["resource_type"] == "source":
        return str(props["source_name"])
    return str(props["config"].get("schema") or props["fqn"][1])


@dataclass(frozen=True)
class DbtSpecs:
    """Assets and checks of one manifest.

    Attributes:
        manifest: dbt's manifest.json, parsed.
    """

    manifest: Props

    @classmethod
    def read(cls, path: Path) -> DbtSpecs:
        """From a manifest.json on disk."""
        return cls(json.loads(path.read_bytes()))

    @cached_property
    def _translator(self) -> LayerTranslator:
        return LayerTranslator()

    @cached_property
    def bronze(self) -> list[dg.AssetSpec]:
        """An asset for each source; described once, in the dbt project."""
        return [self._bronze_spec(props) for props in self.manifest["sources"].values()]

    def _bronze_spec(self, props: Props) -> dg.AssetSpec:
        described = self._translator.get_metadata(props)
        return dg.AssetSpec(
            key=self._translator.get_asset_key(props),
            description=props["description"],
            group_name=BRONZE,
            kinds={"python", "iceberg"},
            metadata={
                name: value for name, value in described.items() if name.startswith("dagster/") and value
            },
        )

    @cached_property
    def models(self) -> list[dg.AssetSpec]:
        """An asset for each model."""
        return list(build_dbt_asset_specs(manifest=self.manifest, dagster_dbt_translator=self._translator))

    @cached_property
    def exposures(self) -> list[dg.AssetSpec]:
        """An asset for each exposure: nothing here makes it, but the graph shows what uses the marts."""
        return [self._exposure_spec(props) for props in self.manifest["exposures"].values()]

    def _exposure_spec(self, props: Props) -> dg.AssetSpec:
        return dg.AssetSpec(
            key=[CUBE, props["name"]],
            deps=[self.key_of[parent] for parent in props["depends_on"]["nodes"]],
            description=props["description"],
            group_name=CUBE,
            kinds={CUBE},
            owners=[props["owner"]["email"]],
            metadata={"url": dg.MetadataValue.url(props["url"])},
        )

    @cached_property
    def key_of(self) -> dict[str, dg.AssetKey]:
        """Asset key of each source and model by dbt's unique id."""
        nodes = {**self.manifest["sources"], **self.manifest["nodes"]}
        return {
            unique_id: self._translator.get_asset_key(props)
            for unique_id, props in nodes.items()
            if props["resource_type"] in {"source", "model"}
        }

    def checks(self, *, full: bool) -> list[dg.AssetCheckSpec]:
        """A check for each test.

        Args:
            full: The tests that look at whole tables, or those that belong to each build.
        """
        return [self._check_spec(test, blocking=not full) for test in self._tests() if _is_full(test) == full]

    @cached_property
    def check_of(self) -> dict[str, dg.AssetCheckKey]:
        """Asset check key of each test by dbt's unique id."""
        return {test["unique_id"]: dg.AssetCheckKey(self._home(test), test["name"]) for test in self._tests()}

    def _check_spec(self, test: Props, *, blocking: bool) -> dg.AssetCheckSpec:
        key = self.check_of[test["unique_id"]]
        others = {self.key_of[parent] for parent in test["depends_on"]["nodes"]} - {key.asset_key}
        return dg.AssetCheckSpec(
            name=key.name,
            asset=key.asset_key,
            description=test["description"] or None,
            additional_deps=sorted(others),
            blocking=blocking and test["config"]["severity"].lower() == "error",
        )

    def _home(self, test: Props) -> dg.AssetKey:
        """The asset that shows a test: where it is declared, else the furthest down of those it reads."""
        order = [BRONZE, "staging", "intermediate", "gold"]
        read = [self.key_of[parent] for parent in test["depends_on"]["nodes"]]
        furthest = max(read, key=lambda key: order.index(key.path[0]))  # the first one when several are equal
        return self.key_of.get(test.get("attached_node") or "", furthest)

    def _tests(self) -> Iterable[Props]:
        return (props for props in self.manifest["nodes"].values() if props["resource_type"] == "test")


def _is_full(test: Props) -> bool:
    return FULL in test["tags"]
