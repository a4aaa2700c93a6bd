"""What the page says, and what must never get into it."""

import json
import re
import sys
from dataclasses import replace

import pytest

from floe_pipeline.report.graph import Lineage
from floe_pipeline.report.page import ReportError, render, write_page
from floe_pipeline.report.spans import Span
from floe_pipeline.report.step import Step


def figures(page):
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def page(make_report):
    return render(make_report())


def test_the_first_screen_says_what_was_made_and_that_it_adds_up(page):
    assert "Every cent accounted for." in page
    assert "<dd>6,000</dd>" in page
    assert page.count("1,016,293.20") >= 3  # in the generator, in bronze and in gold
    assert "B1 holds to the cent" in page


def test_a_broken_b1_is_the_first_thing_seen(make_report, broken_b1):
    page = render(make_report(checks=[broken_b1]))
    assert "The totals do not agree." in page
    assert "B1 is broken" in page
    assert "gold.orders: 1,016,293.19, the generator made 1,016,293.20" in page
    assert "Every cent accounted for" not in page


def test_every_figure_is_there_in_both_themes_and_without_plotlys_default_template(page):
    made = figures(page)
    assert list(made) == [
        "revenue", "categories", "prices", "basket",
        "pareto", "rhythm", "life-cycle", "growth", "cohorts",
        "trace", "lineage",
    ]  # fmt: skip
    for themes in made.values():
        assert list(themes) == ["light", "dark"]
        assert themes["light"]["layout"]["font"]["color"] != themes["dark"]["layout"]["font"]["color"]
        assert "template" not in themes["light"]["layout"]


def test_the_page_reads_without_javascript(page):
    words = re.search(r"<noscript>(.*?)</noscript>", page, re.DOTALL).group(1)
    assert words.count("<li>") == 11
    assert "per cent of buyers place" in words


def test_the_page_asks_nobody_for_anything(page):
    without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', without_scripts) == []
    assert "default-src 'none'" in page  # and the browser would refuse


def test_what_others_wrote_stays_text(make_report):
    evil = "</script><script>alert(1)</script>"
    span = Span("e" * 32, "1", None, evil, start_ns=0, end_ns=9)
    page = render(make_report(spans=[span], steps=[Step(evil, "<img src=x>", 1)]))
    assert evil not in page
    assert "<img src=x>" not in page
    assert figures(page)["trace"]["light"]["data"][0]["customdata"][0][0] == evil


def test_a_run_without_trace_and_lineage_still_has_its_page(make_report):
    page = render(make_report(spans=(), lineage=Lineage()))
    assert list(figures(page))[-1] == "cohorts"
    assert 'id="lineage-section"' not in page


def test_the_page_of_a_stack_shows_cube_beside_the_lake_and_how_fast_it_answers(make_stack_report):
    page = render(make_stack_report())
    made = figures(page)
    assert list(made)[-3:] == ["answers", "trace", "lineage"]
    assert "An answer takes 2 ms from Cube&#39;s cache and 12 ms past it" in page
    assert page.count('<span class="money">1,016,293.20</span>') == 5
    assert '<span class="what">Cube SQL</span>' in page
    assert "<dd>12 ms</dd>" in page  # in the place of the demo's whole run
    assert "The newest run." in page
    assert "floe verify" not in page
    slowest = made["answers"]["light"]["data"][1]
    assert slowest["y"] == ["Orders by weekday and hour", "Totals of all orders"]
    assert any("Customers" in label["text"] for label in made["lineage"]["light"]["layout"]["annotations"])


def test_a_cube_that_says_something_else_breaks_the_equation(make_stack_report):
    check = make_stack_report().checks[0]
    told = [
        {**entry, "seen": {**entry["seen"], "Cube REST Orders.count": 5999}}
        if entry["unit"] == "rows"
        else entry
        for entry in check.evidence["quantities"]
    ]
    broken = replace(check, passed=False, evidence={"quantities": told, "differences": ["one is missing"]})
    page = render(make_stack_report(checks=[broken]))
    assert "B1 is broken" in page
    assert page.count('aria-label="differs from"') == 1


def test_without_the_optional_packages_the_error_says_what_to_install(make_report, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ReportError, match="extra 'report'"):
        write_page(make_report(), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
