"""`floe demo`: what it makes, what it says, and that a second one goes on."""

import json
import re


def test_it_prints_one_table_of_steps_with_seconds(demo):
    assert demo.ran.code == 0, demo.ran.err
    assert demo.ran.err == ""
    steps = re.findall(r"^(\w[\w ]*?)  +(.*?) +([\d.]+) s$", demo.ran.out, re.MULTILINE)
    assert [name for name, _, _ in steps] == [
        "Start", "Seed", "Marts", "Cycle 1", "Verify", "Report", "Together"
    ]  # fmt: skip
    made = {name: what for name, what, _ in steps}
    assert made["Seed"].startswith("400 orders, ")
    assert "80 customers, 200 products" in made["Seed"]
    assert made["Marts"].startswith("4 marts published")
    seconds = [float(value) for _, _, value in steps]
    assert abs(seconds[-1] - sum(seconds[:-1])) < 0.05
    assert "\x1b" not in demo.ran.out  # no colours where no terminal is


def test_it_compares_the_generators_own_totals_and_leaves_evidence(demo):
    evidence = json.loads((demo.out / "evidence" / "demo.json").read_text())
    assert (evidence["name"], evidence["target"], evidence["failed"]) == ("demo", "embedded", 0)
    b1 = evidence["checks"][0]
    assert b1["id"] == "B1"
    orders = next(
        entry["seen"]
        for entry in b1["evidence"]["quantities"]
        if (entry["table"], entry["unit"]) == ("orders", "rows")
    )
    assert set(orders) == {
        "generator", "ledger", "bronze.orders", "gold.orders", "gold.customers", "gold.daily_revenue"
    }  # fmt: skip
    assert set(orders.values()) == {demo.orders}


def test_the_report_shows_the_run_with_its_trace_and_lineage(demo):
    page = (demo.out / "report.html").read_text()
    assert "Every cent accounted for." in page
    assert f"{demo.orders}</dd>" in page
    assert 'data-chart="trace"' in page
    assert 'data-chart="lineage"' in page
    spans = [json.loads(line) for line in (demo.home / "traces.jsonl").read_text().splitlines()]
    roots = [span for span in spans if span["parent_id"] is None]
    assert [span["name"] for span in roots][:1] == ["demo"]
    of_run = {span["name"] for span in spans if span["trace_id"] == roots[0]["trace_id"]}
    assert {
        "Seed",
        "iceberg.append bronze.orders",
        "dbt.build",
        "dbt.model orders",
        "verify",
        "catalog.commit",
    } <= of_run


def test_a_second_demo_goes_on_and_doubles_nothing(tmp_path, small_lake, floe, number):
    ran = floe("demo", "--home", small_lake, "--out", tmp_path, "--cycles", 2)
    assert ran.code == 0, ran.err
    assert "The lake of an earlier run was continued" in ran.out
    assert re.search(r"^Go on +after batch 1, 120 orders", ran.out, re.MULTILINE)
    assert "\nSeed " not in ran.out
    assert number(small_lake, "SELECT count(*) FROM bronze.orders") == 120 + 2 * 100
    assert number(small_lake, "SELECT count(DISTINCT order_id) FROM gold.orders") == 120 + 2 * 100


def test_fresh_begins_anew_and_spares_what_is_not_its_own(tmp_path, small_lake, floe, number):
    (small_lake / "notes.txt").write_text("mine")
    sizes = ("--orders", 50, "--customers", 10, "--cycles", 0)
    ran = floe("demo", "--home", small_lake, "--out", tmp_path, "--fresh", *sizes)
    assert ran.code == 0, ran.err
    assert "continued" not in ran.out
    assert number(small_lake, "SELECT count(*) FROM gold.orders") == 50
    assert (small_lake / "notes.txt").read_text() == "mine"
