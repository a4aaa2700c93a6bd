"""The page in a real browser: offline, without errors, every chart drawn at desktop and phone width."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from floe_pipeline.report.page import write_page
from floe_pipeline.report.theme import DARK, LIGHT

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
CHARTS = 12  # a stack's page has all that the demo's has, and how fast Cube answers
INK = "document.querySelector('[data-chart=revenue]').layout.font.color"
# What plotly draws data with: bars and boxes and lines and areas as paths, heat maps as images.
MARKS = """() => [...document.querySelectorAll(".chart")].map((chart) => {
  const box = chart.getBoundingClientRect();
  const svg = chart.querySelector("svg.main-svg").getBoundingClientRect();
  const marks = chart.querySelectorAll(".barlayer .point path, .boxlayer path.box, "
    + ".scatterlayer path.js-line, .heatmaplayer image, .shapelayer path");
  const size = (mark) => { const at = mark.getBoundingClientRect(); return at.width + at.height; };
  const texts = [...chart.querySelectorAll(".main-svg text")].filter((text) => text.textContent.trim());
  const outside = texts.filter((text) => {
    const at = text.getBoundingClientRect();
    return at.width && (at.left < box.left - 12 || at.right > box.right + 12);
  }).map((text) => text.textContent);
  return { id: chart.dataset.chart, marks: [...marks].filter((mark) => size(mark) > 0).length, outside,
           width: svg.width, height: svg.height, room: box.width, label: chart.getAttribute("aria-label") };
})"""

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        reason = f"no browser at {CHROMIUM}: apt-get install chromium, or set CHROMIUM to one"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, make_stack_report, tmp_path_factory):
    """The report, opened once at desktop width in the light theme, with everything it complains about."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(make_stack_report(), path)
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.complaints = []

    def only_files(route):
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            page.complaints.append(f"asked for {route.request.url}")
            route.abort()

    page.route("**/*", only_files)
    page.on("console", lambda message: page.complaints.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: page.complaints.append(f"error: {error}"))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
    return page


def wait_until_all_show(page, look):
    expect(page.locator(f'.chart[data-shown="{look}"]')).to_have_count(CHARTS, timeout=30_000)


def assert_drawn(page):
    charts = page.evaluate(MARKS)
    assert len(charts) == CHARTS
    for chart in charts:
        assert chart["marks"] > 0, chart
        assert chart["width"] == pytest.approx(chart["room"], abs=2), chart
        assert chart["height"] >= 200, chart
        assert len(chart["label"]) > 40, chart
        assert chart["outside"] == [], chart
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.complaints == []


def test_desktop_draws_every_chart_offline_and_without_errors(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    assert_drawn(page)


def test_pointing_at_a_dataset_tells_its_columns_and_lights_its_edges(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    name = page.locator("[data-chart=lineage] .annotation-text", has_text="stg_orders")
    name.scroll_into_view_if_needed()
    at = name.bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2, steps=3)
    hover = page.locator("[data-chart=lineage] .hoverlayer .hovertext")
    hover.wait_for()
    assert "orders_id" in hover.text_content()
    lit = page.evaluate(
        "document.querySelector('[data-chart=lineage]').data.filter(t => t.opacity === 1).length"
    )
    assert lit == 3  # from bronze.orders, to int_totals and gold.customers
    page.mouse.move(2, 2)


def test_the_theme_follows_the_system_and_the_button(page):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="dark")
    wait_until_all_show(page, "dark full")
    assert_drawn(page)
    assert page.evaluate(INK) == DARK.ink
    page.get_by_role("button", name="Switch between the light and the dark theme").click()
    wait_until_all_show(page, "light full")
    assert page.evaluate(INK) == LIGHT.ink
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(244, 247, 249)"


def test_phone_draws_every_chart_in_its_own_layout(page):
    page.set_viewport_size({"width": 390, "height": 844})
    wait_until_all_show(page, "light narrow")
    assert_drawn(page)
    assert page.evaluate("document.querySelector('[data-chart=trace]').layout.margin.l") == 8  # names inside
