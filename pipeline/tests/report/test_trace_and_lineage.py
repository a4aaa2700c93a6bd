"""The waterfall's rows and the lineage graph, read from the files that a run leaves."""

import json

import pytest

from floe_pipeline.report.graph import read_lineage
from floe_pipeline.report.lineage import _places
from floe_pipeline.report.spans import Span, read_trace
from floe_pipeline.report.trace import duration, kind_of, waterfall_rows


def span(name, start, end, span_id, parent=None, *, status="OK"):
    return Span("t", span_id, parent, name, int(start * 1e9), int(end * 1e9), status)


def test_reading_skips_other_traces_and_half_a_line(tmp_path):
    path = tmp_path / "traces.jsonl"
    record = {
        "trace_id": "a" * 32,
        "span_id": "1",
        "parent_id": None,
        "name": "x",
        "start_ns": 1,
        "end_ns": 2,
    }
    lines = [{**record, "attributes": {"k": 1}, "status": "OK"}, {**record, "trace_id": "b" * 32}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"trace_id": "' + "a" * 32)
    assert [found.name for found in read_trace(path, "a" * 32)] == ["x"]
    assert read_trace(tmp_path / "none.jsonl", "a" * 32) == []


def test_rows_keep_order_and_nesting_and_gather_what_is_short():
    spans = [
        span("run", 0, 10, "r"),
        span("late", 6, 9, "b", "r"),
        span("early", 1, 5, "a", "r"),
        *(span(f"test {n}", 1 + n * 0.1, 1.09 + n * 0.1, f"t{n}", "a") for n in range(20)),
        span("stray", 2, 3, "s", "unknown parent"),
    ]
    spans.sort(key=lambda each: each.start_ns)
    rows = waterfall_rows(spans, max_rows=4)
    assert [(row.label, row.depth) for row in rows] == [
        ("run", 0), ("early", 1), ("20 short dbt tests", 2), ("late", 1), ("stray", 0)
    ]  # fmt: skip
    gathered = rows[2]
    assert gathered.busy == pytest.approx(20 * 0.09)
    assert (gathered.start, gathered.end) == (pytest.approx(1.0), pytest.approx(2.99))


def test_spans_too_short_to_matter_get_no_row():
    spans = [span("run", 0, 10, "r"), span("GET", 1, 1.001, "g", "r")]
    assert [row.label for row in waterfall_rows(spans, max_rows=1)] == ["run"]


def test_a_failure_is_told_even_when_it_is_gathered():
    spans = [span("run", 0, 1, "r"), span("test", 0.1, 0.5, "t", "r", status="ERROR")]
    assert [row.failed for row in waterfall_rows(spans, max_rows=1)] == [False, True]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0002, "< 1 ms"), (0.0421, "42 ms"), (0.9996, "1.0 s"), (125, "2 min 5 s")]
)
def test_durations_read_like_people_say_them(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dbt.model orders", "dbt model"),
        ("dbt.test order_is_there_once", "dbt test"),
        ("iceberg.append bronze.orders", "Iceberg write"),
        ("catalog.commit", "catalog request"),
        ("Verify", "proof"),
        ("Cycle 1", "step"),
    ],
)
def test_a_span_has_the_colour_of_its_kind(name, kind):
    assert kind_of(name) == kind


@pytest.fixture
def lineage(make_report):
    return make_report().lineage


def test_lineage_knows_layers_edges_and_where_columns_come_from(lineage):
    assert lineage.layer("bronze.orders") == "bronze"
    assert lineage.layer("stg_orders") == "staging"
    assert lineage.layer("int_totals") == "intermediate"
    assert lineage.layer("gold.orders") == "gold"
    assert ("bronze.orders", "stg_orders") in lineage.edges
    assert ("gold.customers", "gold.customers") not in lineage.edges  # its own former rows are no source
    assert lineage.datasets["gold.products"].columns["product_id"] == ["stg_products.product_id"]


def test_what_uses_the_marts_is_not_drawn(tmp_path):
    path = tmp_path / "lineage.jsonl"
    mart, cube = (
        {"namespace": "iceberg://floe", "name": "gold.orders"},
        {"namespace": "cube://floe", "name": "Orders"},
    )
    path.write_text(json.dumps({"eventType": "COMPLETE", "inputs": [mart], "outputs": [cube]}) + "\n")
    assert read_lineage(path).datasets == {}


def test_places_run_from_left_to_right_and_never_coincide(lineage):
    places = _places(lineage)
    for source, target in lineage.edges:
        assert places[source][0] < places[target][0]
    assert len(set(places.values())) == len(lineage.datasets)


def test_no_events_no_graph(tmp_path):
    assert read_lineage(tmp_path / "none.jsonl").edges == set()
