"""Charts of the money: revenue by month, categories, prices, baskets."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from floe_pipeline.report.chart import Chart, faded, styled
from floe_pipeline.report.patterns import MAX_BASKET, Month, Patterns
from floe_pipeline.report.theme import Palette

LADDER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # ticks of the price axis


def sales_charts(patterns: Patterns) -> list[Chart]:
    """What is sold, when and for how much."""
    return [_revenue(patterns), _categories(patterns), _prices(patterns), _basket(patterns)]


def _revenue(patterns: Patterns) -> Chart:
    months = patterns.months
    in_q4 = [entry.month.month >= 10 for entry in months]
    lift = _season(months)
    finding = "Revenue by month"
    if lift:
        finding = f"A day in the fourth quarter earns {lift:.1f} times a day of the quarters around it"
    best = max(months, key=lambda entry: entry.revenue)

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            go.Bar(
                x=[entry.month for entry in months],
                y=[entry.revenue for entry in months],
                marker={"color": [palette.warm if q4 else palette.accent for q4 in in_q4], "cornerradius": 3},
                customdata=[(entry.net_revenue, entry.days) for entry in months],
                hovertemplate="<b>%{x|%B %Y}</b><br>%{y:,.2f} in all<br>%{customdata[0]:,.2f} kept"
                "<br>%{customdata[1]} days with orders<extra></extra>",
            )
        )
        return styled(
            figure,
            palette,
            height=320,
            xaxis={"showgrid": False, "tickformat": "%b<br>%Y", "dtick": "M3"},
            yaxis={"tickformat": "~s"},
        )

    return Chart(
        "revenue",
        finding,
        "Revenue of all orders by calendar month (UTC), October to December set apart; the ends are partial",
        f"Bars for {len(months)} months. The highest is {best.month:%B %Y} with {best.revenue:,.2f}. "
        f"{finding}.",
        draw,
        narrow=lambda _: {"height": 260, "xaxis.dtick": "M6"},
        wide=True,
    )


def _season(months: Sequence[Month]) -> float | None:
    """Daily revenue of fourth quarters over that of the quarters before and after, which cancels growth out.

    None when no fourth quarter has both neighbours whole.
    """
    revenue: dict[int, float] = {}
    days: dict[int, int] = {}
    for entry in months:
        quarter = entry.month.year * 4 + (entry.month.month - 1) // 3
        revenue[quarter] = revenue.get(quarter, 0.0) + entry.revenue
        days[quarter] = days.get(quarter, 0) + entry.days
    whole = sorted(revenue)[1:-1]  # the first and the last may be partial
    per_day = {quarter: revenue[quarter] / days[quarter] for quarter in whole}
    lifts = [
        2 * per_day[quarter] / (per_day[quarter - 1] + per_day[quarter + 1])
        for quarter in whole
        if quarter % 4 == 3 and quarter - 1 in per_day and quarter + 1 in per_day
    ]
    return sum(lifts) / len(lifts) if lifts else None


def _categories(patterns: Patterns) -> Chart:
    total = sum(category.revenue for category in patterns.categories) or 1.0
    leader = patterns.categories[0]

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            go.Bar(
                y=[category.name for category in patterns.categories],
                x=[category.revenue for category in patterns.categories],
                orientation="h",
                marker={
                    "color": [palette.accent, *[palette.soft] * (len(patterns.categories) - 1)],
                    "cornerradius": 3,
                },
                text=[f"{category.revenue / total:.0%}" for category in patterns.categories],
                textposition="outside",
                textfont={"color": palette.ink},
                cliponaxis=False,
                customdata=[(category.units, category.products) for category in patterns.categories],
                hovertemplate="<b>%{y}</b><br>%{x:,.2f} revenue<br>%{customdata[0]:,} units of "
                "%{customdata[1]} products<extra></extra>",
            )
        )
        return styled(
            figure,
            palette,
            xaxis={"tickformat": "~s", "nticks": 5, "range": [0, leader.revenue * 1.12]},
            yaxis={"autorange": "reversed", "showgrid": False},
        )

    return Chart(
        "categories",
        f"{leader.name} brings {leader.revenue / total:.0%} of the revenue",
        "Revenue by product category, and its share of the whole",
        "Bars by category: "
        + ", ".join(f"{category.name} {category.revenue / total:.0%}" for category in patterns.categories)
        + ".",
        draw,
    )


def _prices(patterns: Patterns) -> Chart:
    ladder = sorted(patterns.categories, key=lambda category: category.prices[2])
    low = min(category.prices[0] for category in ladder)
    high = max(category.prices[4] for category in ladder)

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            go.Box(
                y=[category.name for category in ladder],
                lowerfence=[category.prices[0] for category in ladder],
                q1=[category.prices[1] for category in ladder],
                median=[category.prices[2] for category in ladder],
                q3=[category.prices[3] for category in ladder],
                upperfence=[category.prices[4] for category in ladder],
                orientation="h",
                line={"color": palette.accent, "width": 2},
                fillcolor=faded(palette.accent, 0.2),
                hoverinfo="x+y",
                width=0.5,
            )
        )
        return styled(
            figure,
            palette,
            xaxis={"type": "log", "tickvals": LADDER,
                   "ticktext": [f"{rung:,}" for rung in LADDER], "hoverformat": ",.2f"},
            yaxis={"showgrid": False},
        )  # fmt: skip

    return Chart(
        "prices",
        f"The price ladder climbs from {low:,.2f} to {high:,.2f}",
        "Product prices by category on a logarithmic scale: range, middle half and median",
        "Box plots of price by category; medians: "
        + ", ".join(f"{category.name} {category.prices[2]:,.2f}" for category in ladder)
        + ".",
        draw,
        narrow=lambda _: {
            "xaxis.tickvals": LADDER[::3],
            "xaxis.ticktext": [f"{rung:,}" for rung in LADDER[::3]],
        },
    )


def _basket(patterns: Patterns) -> Chart:
    orders, lines = patterns.headline.orders, patterns.headline.lines
    labels = [f"{items}+" if items == MAX_BASKET else str(items) for items, _ in patterns.basket]
    single = sum(count for items, count in patterns.basket if items == 1) / orders

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            go.Bar(
                x=labels,
                y=[count / orders for _, count in patterns.basket],
                marker={"color": palette.accent, "cornerradius": 3},
                text=[f"{count / orders:.0%}" for _, count in patterns.basket],
                textposition="outside",
                textfont={"color": palette.ink},
                cliponaxis=False,
                customdata=[count for _, count in patterns.basket],
                hovertemplate="<b>%{x} lines</b><br>%{customdata:,} orders (%{y:.1%})<extra></extra>",
            )
        )
        return styled(
            figure,
            palette,
            xaxis={"type": "category", "showgrid": False, "title": {"text": "lines in the order"}},
            yaxis={"tickformat": ".0%", "nticks": 5},
        )

    return Chart(
        "basket",
        f"An average order has {lines / orders:.1f} lines and {patterns.headline.units / orders:.1f} units",
        "Share of orders by number of lines",
        f"Bars by number of lines: {single:.0%} of orders have one line, the mean is {lines / orders:.2f}.",
        draw,
    )
