"""Charts of the people: who buys, when, how their orders end, and whether they come back."""

from __future__ import annotations

import plotly.graph_objects as go

from floe_pipeline.report.chart import Chart, faded, styled
from floe_pipeline.report.patterns import AGES, STATUSES, WEEKDAYS, Patterns
from floe_pipeline.report.theme import Palette

MIN_COHORT = 10  # customers


def customer_charts(patterns: Patterns) -> list[Chart]:
    """Who buys, when, and whether they come back."""
    return [
        _pareto(patterns),
        _rhythm(patterns),
        _life_cycle(patterns),
        _growth(patterns),
        _cohorts(patterns),
    ]


def _pareto(patterns: Patterns) -> Chart:
    top_share = next(orders for buyers, orders in patterns.pareto if buyers >= 0.1)
    half = next(buyers for buyers, orders in patterns.pareto if orders >= 0.5)

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            [
                go.Scatter(
                    x=[0, 1],
                    y=[0, 1],
                    mode="lines",
                    line={"color": palette.muted, "dash": "dot", "width": 1.5},
                    hoverinfo="skip",
                ),
                go.Scatter(
                    x=[buyers for buyers, _ in patterns.pareto],
                    y=[orders for _, orders in patterns.pareto],
                    mode="lines",
                    fill="tozeroy",
                    fillcolor=faded(palette.accent, 0.14),
                    line={"color": palette.accent, "width": 3},
                    hovertemplate="%{x:.0%} of buyers place %{y:.0%} of orders<extra></extra>",
                ),
                go.Scatter(
                    x=[0.1],
                    y=[top_share],
                    mode="markers",
                    marker={"color": palette.warm, "size": 11, "line": {"color": palette.card, "width": 2}},
                    hoverinfo="skip",
                ),
            ]
        )
        figure.add_annotation(
            x=0.1,
            y=top_share,
            text=f"top 10% place<br><b>{top_share:.0%}</b> of orders",
            align="left",
            font={"color": palette.warm, "size": 13},
            showarrow=False,
            xanchor="left",
            xshift=12,
            yshift=-8,
        )
        figure.add_annotation(
            x=0.6,
            y=0.6,
            text="if all bought alike",
            font={"color": palette.muted, "size": 12},
            showarrow=False,
            xanchor="left",
            yanchor="top",
            xshift=8,
            yshift=-6,
        )
        return styled(
            figure,
            palette,
            xaxis={"tickformat": ".0%", "showgrid": False, "range": [0, 1], "title": {"text": "buyers"}},
            yaxis={"tickformat": ".0%", "range": [0, 1.04], "title": {"text": "orders"}},
        )

    return Chart(
        "pareto",
        f"A tenth of the buyers place {top_share:.0%} of the orders",
        "Running share of orders over the share of buyers, the most active first",
        f"A curve rising steeply: the top 10 per cent of buyers place {top_share:.0%} of orders, "
        f"and {half:.0%} of buyers place half of them.",
        draw,
    )


def _rhythm(patterns: Patterns) -> Chart:
    peak = max(
        ((day, hour) for day in range(7) for hour in range(24)), key=lambda at: patterns.rhythm[at[0]][at[1]]
    )

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            go.Heatmap(
                z=patterns.rhythm,
                x=list(range(24)),
                y=[weekday[:3] for weekday in WEEKDAYS],
                colorscale=palette.ramp,
                showscale=False,
                xgap=2,
                ygap=2,
                hovertemplate="%{y}, %{x}:00 to %{x}:59<br><b>%{z:,} orders</b><extra></extra>",
            )
        )
        return styled(
            figure,
            palette,
            xaxis={"tickvals": [0, 6, 12, 18, 23], "ticktext": ["0 h", "6 h", "12 h", "18 h", "23 h"],
                   "showgrid": False, "linecolor": "rgba(0,0,0,0)"},
            yaxis={"autorange": "reversed", "showgrid": False, "linecolor": "rgba(0,0,0,0)"},
        )  # fmt: skip

    return Chart(
        "rhythm",
        f"{WEEKDAYS[peak[0]]}, {peak[1]}:00 is the busiest hour",
        "Orders by weekday and hour of the day (UTC); the stronger the colour, the more",
        f"A grid of 7 weekdays by 24 hours. Most orders, {patterns.rhythm[peak[0]][peak[1]]:,}, fall on "
        f"{WEEKDAYS[peak[0]]} between {peak[1]} and {peak[1] + 1} o'clock; the fewest in one cell are "
        f"{min(min(day) for day in patterns.rhythm):,}.",
        draw,
    )


def _life_cycle(patterns: Patterns) -> Chart:
    ages = [(age, counts) for age, counts in zip(AGES, patterns.status_by_age, strict=True) if sum(counts)]
    oldest = dict(zip(STATUSES, ages[-1][1], strict=True))
    delivered, returned = (oldest[status] / sum(oldest.values()) for status in ("delivered", "returned"))

    def draw(palette: Palette) -> go.Figure:
        shades = [palette.ramp[step][1] for step in (1, 2, 3)] + [palette.series[1], palette.series[3]]
        shades.append(palette.series[5])
        figure = go.Figure(
            [
                go.Bar(
                    name=status,
                    y=[age for age, _ in ages],
                    x=[counts[at] / sum(counts) for _, counts in ages],
                    orientation="h",
                    marker={"color": shades[at]},
                    customdata=[counts[at] for _, counts in ages],
                    hovertemplate=f"<b>{status}</b>, %{{y}} old<br>%{{customdata:,}} orders (%{{x:.1%}})"
                    "<extra></extra>",
                )
                for at, status in enumerate(STATUSES)
            ]
        )
        return styled(
            figure,
            palette,
            barmode="stack",
            bargap=0.18,
            showlegend=True,
            legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal",
                    "font": {"size": 12}, "itemclick": False, "itemdoubleclick": False},
            xaxis={"tickformat": ".0%", "range": [0, 1], "showgrid": False},
            yaxis={"autorange": "reversed", "showgrid": False},
        )  # fmt: skip

    return Chart(
        "life-cycle",
        f"{delivered:.0%} of the oldest orders are delivered, {returned:.0%} came back",
        "Share of orders in each status by the order's age when its batch was written",
        "Stacked bars by age: young orders are placed or paid, older ones shipped, then delivered; "
        f"of the oldest group {delivered:.0%} are delivered, {oldest['returned']:,} orders returned and "
        f"{oldest['cancelled']:,} cancelled.",
        draw,
    )


def _growth(patterns: Patterns) -> Chart:
    months = patterns.growth

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            go.Scatter(
                x=[month for month, _ in months],
                y=[customers for _, customers in months],
                mode="lines",
                fill="tozeroy",
                fillcolor=faded(palette.series[1], 0.16),
                line={"color": palette.series[1], "width": 3},
                hovertemplate="<b>%{x|%B %Y}</b><br>%{y:,} customers<extra></extra>",
            )
        )
        return styled(
            figure,
            palette,
            xaxis={"showgrid": False, "tickformat": "%b<br>%Y", "nticks": 6},
            yaxis={"rangemode": "tozero", "tickformat": "~s"},
        )

    return Chart(
        "growth",
        f"The customer base grew to {patterns.headline.customers:,}",
        "Customers that had signed up by the end of each month",
        f"A rising line from {months[0][1]:,} customers in {months[0][0]:%B %Y} to {months[-1][1]:,} in "
        f"{months[-1][0]:%B %Y}.",
        draw,
    )


def _cohorts(patterns: Patterns) -> Chart:
    # In a cohort of a few, each customer is a large share: its row would be noise in the strongest colours.
    large = [cohort for cohort in patterns.cohorts if cohort.size >= MIN_COHORT]
    cohorts = large or patterns.cohorts
    depth = max(max(cohort.active) for cohort in cohorts)
    share = [
        [cohort.active[k] / cohort.size if k in cohort.active else None for k in range(1, depth + 1)]
        for cohort in cohorts
    ]
    headline = patterns.headline
    repeat = headline.repeat_buyers / headline.buyers

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure(
            go.Heatmap(
                z=share,
                x=list(range(1, depth + 1)),
                y=[f"{cohort.month:%b %Y}" for cohort in cohorts],
                colorscale=palette.ramp,
                zmin=0,
                showscale=False,
                xgap=1,
                ygap=1,
                hoverongaps=False,
                customdata=[[cohort.size] * depth for cohort in cohorts],
                hovertemplate="First order in %{y} (%{customdata:,} customers)<br>%{x} months later: "
                "<b>%{z:.0%} ordered</b><extra></extra>",
            )
        )
        return styled(
            figure,
            palette,
            xaxis={"showgrid": False, "title": {"text": "months after the first order"}, "nticks": 8,
                   "linecolor": "rgba(0,0,0,0)"},
            yaxis={"autorange": "reversed", "showgrid": False, "nticks": 8, "linecolor": "rgba(0,0,0,0)"},
        )  # fmt: skip

    return Chart(
        "cohorts",
        f"{repeat:.0%} of the buyers came back for another order",
        "Share of a month's new buyers who ordered again, by months since (months with ten or more)",
        f"A triangle of {len(cohorts)} monthly cohorts. {headline.repeat_buyers:,} of {headline.buyers:,} "
        "buyers have ordered more than once.",
        draw,
    )
