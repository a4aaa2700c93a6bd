"""The marts hold what bronze says, to the row and to the cent, however they came to be."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from dbt.contracts.graph.manifest import Manifest

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.tables import GOLD
from floe_pipeline.transform import dbt_plugin, runner
from floe_pipeline.transform.runner import TransformError, TransformResult
from floe_synthetic.schemas import CUSTOMERS, ORDERS

from .conftest import MARTS, Shop
from .expected import expected_marts, mart

pytestmark = pytest.mark.slow


def published(result: TransformResult) -> dict[str, int | None]:
    return {node.name: node.rows for node in result.nodes if node.rows is not None}


def assert_marts_are_right(shop: Shop) -> None:
    for name, rows in expected_marts(shop.lake).items():
        assert mart(shop.lake, name) == rows, name


def test_a_growing_shop(shop: Shop) -> None:
    first = shop.build()
    assert published(first)["orders"] == 400
    assert published(first)["customers"] == 60
    assert_marts_are_right(shop)
    for spec in GOLD:
        assert shop.lake.load(spec.identifier).schema().as_struct() == spec.schema.as_struct()
        assert shop.lake.load(spec.identifier).spec().fields == spec.partition_spec.fields

    shop.add(orders=30, customers=3, products=2)
    second = shop.build(run_id="the-second-run")
    assert second.success
    assert published(second)["orders"] == 30, "only the new orders are written"
    assert published(second)["customers"] == 63
    assert second.snapshots == shop.snapshots()
    assert_marts_are_right(shop)
    summary = shop.lake.load("gold.customers").current_snapshot().summary  # type: ignore[union-attr]
    assert summary is not None
    assert (summary["floe.run_id"], summary["floe.through"]) == ("the-second-run", "430")

    added_up = {name: mart(shop.lake, name) for name in MARTS}
    refreshed = shop.build(full_refresh=True)
    assert published(refreshed)["orders"] == 430
    assert {name: mart(shop.lake, name) for name in MARTS} == added_up
    assert runner.check(shop.settings, lake=shop.lake).success


def test_nothing_new_is_no_commit(open_shop: Shop) -> None:
    before = open_shop.snapshots()
    result = open_shop.build()
    assert published(result) == dict.fromkeys(MARTS, 0)
    assert result.snapshots == {}
    assert open_shop.snapshots() == before


def test_a_customer_without_orders_appears(open_shop: Shop) -> None:
    open_shop.add(orders=0, customers=2)
    result = open_shop.build()
    assert published(result) == {"orders": 0, "customers": 62, "products": 0, "daily_revenue": 0}
    assert set(result.snapshots) == {"gold.customers"}
    assert_marts_are_right(open_shop)


def test_an_attribute_that_was_corrected_is_taken_over(open_shop: Shop) -> None:
    customers = open_shop.lake.load("bronze.customers")
    rows = customers.scan().to_arrow()
    emails = pa.array(["new@example.com", *rows["email"].to_pylist()[1:]])
    customers.overwrite(
        rows.set_column(rows.schema.get_field_index("email"), CUSTOMERS.field("email"), emails)
    )
    assert set(open_shop.build().snapshots) == {"gold.customers"}
    assert_marts_are_right(open_shop)


def test_new_orders_are_read_by_constants(open_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watermark is a literal in the SQL, so that the engine can leave old files unread."""
    compiled = {}

    def remember(settings: object, manifest: Manifest, *_: object, **__: object) -> None:
        compiled.update({node.name: getattr(node, "compiled_code", None) for node in manifest.nodes.values()})

    monkeypatch.setattr(runner.lineage, "emit_transform", remember)
    last = open_shop.orders
    open_shop.add(orders=5)
    open_shop.build()
    assert f"where order_id > {last}\n" in f"{compiled['int_pending_orders']}\n"
    assert f"where order_id >= {last + 1}\n" in f"{compiled['int_pending_lines']}\n"
    assert f"where order_id > {last}\n" in f"{compiled['orders']}\n"


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        ({"total_amount": Decimal("1.00")}, "order_total_is_the_sum_of_its_lines"),
        ({"customer_id": 999_999}, "order_agrees_with_its_customer"),
        ({"status": "lost"}, "order_status_is_known"),
    ],
)
def test_a_bad_row_never_reaches_gold(open_shop: Shop, broken: dict[str, object], test: str) -> None:
    before, orders = open_shop.snapshots(), open_shop.lake.load("bronze.orders")
    last = orders.scan(selected_fields=tuple(ORDERS.names)).to_arrow().sort_by("order_id").to_pylist()[-1]
    row = last | {"order_id": last["order_id"] + 1, "total_amount": Decimal("0.00")} | broken
    orders.append(pa.Table.from_pylist([row], schema=ORDERS))
    try:
        with pytest.raises(TransformError) as error:
            open_shop.build()
    finally:
        orders.delete(f"order_id = {row['order_id']}")
    assert f"test {test}: Got 1 result" in str(error.value)
    assert "not built because of that: " in str(error.value)
    assert "\n" not in str(error.value)
    assert open_shop.snapshots() == before


def test_full_tests_name_what_differs(open_shop: Shop) -> None:
    orders = open_shop.lake.load("gold.orders")
    orders.delete("order_id = 17")
    try:
        with pytest.raises(TransformError, match="test marts_equal_bronze: Got 1 result"):
            runner.check(open_shop.settings, lake=open_shop.lake)
    finally:
        assert open_shop.build(full_refresh=True).success


def test_an_unreachable_catalog_is_one_clear_line(open_shop: Shop) -> None:
    gone = open_shop.settings.model_copy(update={"catalog_uri": "http://127.0.0.1:9/api/catalog"})
    with pytest.raises(TransformError) as error:
        runner.build(gone, lake=Lake(gone, open_shop.lake.catalog))
    assert "127.0.0.1:9" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("killed_at", ["gold.orders", "gold.products"])
def test_a_build_that_was_killed_is_run_again(
    open_shop: Shop, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    open_shop.add(orders=25, customers=2)
    publish = dbt_plugin.publish
    done: list[str] = []

    def die(lake: object, identifier: str, *arguments: object, **options: object) -> object:
        if identifier == killed_at:
            raise MemoryError("killed")
        done.append(identifier)
        return publish(lake, identifier, *arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(dbt_plugin, "publish", die)
        with pytest.raises(TransformError, match=f"model {killed_at.removeprefix('gold.')}: .*killed"):
            open_shop.build()
    assert done, "other marts were published before or beside it"
    open_shop.add(orders=5)
    assert published(open_shop.build())["orders"] == (30 if killed_at == "gold.orders" else 5)
    assert_marts_are_right(open_shop)


def test_one_mart_alone_and_the_others_later(shop: Shop) -> None:
    shop.build(select="customers")
    assert shop.lake.exists("gold.customers")
    assert not shop.lake.exists("gold.orders")
    shop.add(orders=7)
    assert published(shop.build())["orders"] == 407
    assert_marts_are_right(shop)
