"""Figures of the plots of a stage: lines with bands, or bars for a categorical axis.

Made only from the `plots:` entries of dvc.yaml, so that new stages have figures too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from patchlens.display.palette import Look
from patchlens.site import lexicon
from patchlens.site.figure import HEIGHT, Control, Figure, base, choices, spec
from patchlens.site.lexicon import Lexicon
from patchlens.site.plots import Panels, Plot

BANDED = 3  # models whose bands can be told apart
WIDE_RANGE = 30  # an axis that spans more is logarithmic
FEW = 8  # values on an axis that each have a tick
BAR = 9  # pixels


def curve(plot: Plot, data: pd.DataFrame, looks: Mapping[str, Look]) -> Figure:
    """The figure of one plot.

    Args:
        plot: its axes, and the columns that distinguish its rows.
        data: its rows of all configured cells, with columns dataset and model.
        looks: colour and shape of each model, in order.
    """
    bars, words = plot.bars(data), lexicon.of(plot.stage)
    names = ["dataset", "model", *(n for n in plot.names(data) if n not in ("dataset", "model"))]
    value, over = (plot.x, plot.y) if bars else (plot.y, plot.x)
    tidy, mean_of = _averaged(data, [*names, over], value)
    models = [model for model in looks if model in set(tidy["model"])]
    controls = choices(tidy, [name for name in names if name != "model"], words)
    title = f"{words.column(value)} {'of each' if bars else 'by'} {words.column(over)}"
    band = _band(tidy, value)
    notes = [f"Each point is the mean of {mean_of} values."] if mean_of > 1 else []
    notes += {"ci": ["Bands: 95 % intervals."], "std": ["Bands: ± one standard deviation."]}.get(
        band, []
    )
    if bars:
        layers = _bars(tidy, value, over, models, looks, controls, words)
    else:
        layers = _lines(tidy, value, over, band, models, looks, controls, words)
    rows = len(tidy[over].unique()) * (len(models) * BAR + 8) if bars else HEIGHT
    return Figure(
        key=plot.key,
        title=lexicon.sentence(title),
        alt=f"{title}, for {', '.join(models)}. {_extent(tidy, value)}",
        spec=spec(layers, tidy, rows),
        data=tidy,
        controls=controls,
        models=models,
        note=" ".join(notes),
    )


def lines(chart: alt.Chart, x: alt.X, y: alt.Y, color: alt.Color) -> alt.Chart:
    """Lines, one per colour."""
    drawn: alt.Chart = chart.mark_line(strokeWidth=2).encode(x=x, y=y, color=color)
    return drawn


def points(of_lines: alt.Chart, size: int = 70, **more: Any) -> alt.Chart:
    """The points of lines, of `size` square pixels; `more` are properties of the mark."""
    drawn: alt.Chart = of_lines.mark_point(filled=True, size=size, opacity=1, **more)
    return drawn


def dvc_template(panels: Panels) -> dict[str, Any]:
    """DVC's template of a plot: the same lines, with anchors in place of data, axes and title."""
    channels: dict[str, Any] = {
        name: channel(
            field=f"<DVC_METRIC_{name.upper()}>",
            type="quantitative",
            title=f"<DVC_METRIC_{name.upper()}_LABEL>",
            scale=alt.Scale(zero=False),
        )
        for name, channel in (("x", alt.X), ("y", alt.Y))
    }
    chart = alt.Chart(alt.NamedData("rows"))
    if panels.only:
        chart = chart.transform_filter(panels.only)
    of_rev = lines(chart, **channels, color=alt.Color(f"{panels.colour}:N"))
    of_rev = of_rev.encode(strokeDash="rev:N")
    layers = of_rev, points(of_rev, size=25, tooltip=alt.TooltipContent("data"))
    width, height = panels.size
    drawn: Any = alt.layer(*layers).properties(width=width, height=height)
    facets = {"row": panels.row, "column": panels.column}
    if facets := {name: f"{of}:N" for name, of in facets.items() if of}:
        drawn = drawn.facet(**facets).resolve_scale(**{panels.free: "independent"})
    spec: dict[str, Any] = drawn.to_dict()
    del spec["config"]
    return spec | {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",  # what DVC's pages load
        "data": {"values": "<DVC_METRIC_DATA>"},
        "title": {"text": "<DVC_METRIC_TITLE>", "anchor": "middle"},
    }


def colour(models: Sequence[str], looks: Mapping[str, Look]) -> alt.Color:
    """The colour of a model; the page has the legend."""
    scale = alt.Scale(domain=list(models), range=[looks[m].colour for m in models])
    return alt.Color("model:N", scale=scale, legend=None)


def shape(models: Sequence[str], looks: Mapping[str, Look]) -> alt.Shape:
    """The shape of a model."""
    scale = alt.Scale(domain=list(models), range=[looks[m].shape for m in models])
    return alt.Shape("model:N", scale=scale, legend=None)


def axis(name: str, words: Lexicon, values: Sequence[float] = ()) -> alt.Axis:
    """An axis titled with its column in words, in per cent for shares.

    Args:
        name: the column.
        words: its name in words, and its unit.
        values: positions of its ticks; by default, round numbers.
    """
    share, title = words.is_share(name), words.column(name)
    whole = bool(values) and all(float(value).is_integer() for value in values)
    return alt.Axis(
        title=f"{title} (%)" if share else title,
        # Vega rounds g to the step of its own ticks, so that 11 would be 1e+1.
        format="~%" if share else "d" if whole else "~g",
        labelExpr="replace(datum.label, '%', '')" if share else alt.Undefined,
        labelOverlap=True,
        tickCount=6,
        values=list(values) or alt.Undefined,
    )


def ticks(data: pd.Series, log: bool = False) -> list[float]:
    """The ticks of an axis: each value if there are few; 1, 2, 5 steps if logarithmic."""
    distinct = sorted(float(value) for value in data.unique())
    if len(distinct) <= FEW:
        return distinct
    if not log:
        return []
    low, high = int(np.floor(np.log10(distinct[0]))), int(np.ceil(np.log10(distinct[-1])))
    steps = (round(d * 10.0**e, 9) for e in range(low, high + 1) for d in (1, 2, 5))
    return [step for step in steps if distinct[0] <= step <= distinct[-1]]


def tips(columns: Sequence[str], words: Lexicon) -> list[alt.Tooltip]:
    """The tooltip of a point: each column by its name in words, shares in per cent."""
    return [
        alt.Tooltip(f"{name}:Q", title=words.column(name), format=".1%")
        if words.is_share(name)
        else alt.Tooltip(f"{name}:N", title=words.column(name))
        for name in columns
    ]


def _averaged(data: pd.DataFrame, keys: list[str], value: str) -> tuple[pd.DataFrame, int]:
    """One row per combination of `keys` with its mean scores, and the most rows averaged."""
    scores = [
        c
        for c in data.columns
        if c == value or (c.startswith(f"{value}_") and is_numeric_dtype(data[c]))
    ]
    scores = [
        c for c in scores if c == value or c.removeprefix(value) in ("_std", "_ci_low", "_ci_high")
    ]
    known = data[data[value].notna()]
    grouped = known.groupby(keys, sort=False, observed=True, dropna=False)
    return grouped[scores].mean().round(6).reset_index(), int(grouped.size().max())


def _band(data: pd.DataFrame, value: str) -> str:
    if {f"{value}_ci_low", f"{value}_ci_high"} <= set(data.columns):
        return "ci"
    return "std" if f"{value}_std" in data.columns else ""


def _extent(data: pd.DataFrame, value: str) -> str:
    low, high = data[value].min(), data[value].max()
    return f"Values from {low:.3g} to {high:.3g}; all values are in the CSV file."


def _lines(
    data: pd.DataFrame,
    value: str,
    over: str,
    band: str,
    models: Sequence[str],
    looks: Mapping[str, Look],
    controls: Sequence[Control],
    words: Lexicon,
) -> list[alt.Chart]:
    x: alt.X
    if is_numeric_dtype(data[over]):
        chosen = [control.field for control in controls]
        spans = (
            data.groupby(chosen)[over].agg(["min", "max"])
            if chosen
            else data[over].agg(["min", "max"]).to_frame().T
        )
        wide = bool((spans["min"] > 0).all() and (spans["max"] / spans["min"] >= WIDE_RANGE).all())
        scale = (
            alt.Scale(type="log", nice=False)
            if wide
            else alt.Scale(zero=False, nice=False, padding=8)
        )
        x = alt.X(f"{over}:Q", axis=axis(over, words, ticks(data[over], wide)), scale=scale)
    else:
        order = list(dict.fromkeys(data[over].astype(str)))
        x = alt.X(f"{over}:O", axis=alt.Axis(title=words.column(over), labelAngle=0), sort=order)
    chart = base(controls)
    y = alt.Y(f"{value}:Q", axis=axis(value, words), scale=alt.Scale(zero=False))
    layers = [lines(chart, x, y, colour(models, looks))]
    if data.groupby(["model"])[over].nunique().max() <= 40:
        layers.append(
            points(layers[0]).encode(
                shape=shape(models, looks), tooltip=tips(list(data.columns), words)
            )
        )
    if band:
        spread = chart.transform_calculate(**ends(value, band))
        # Areas of many models lie on each other: single whiskers stay legible.
        drawn = (
            spread.mark_area(opacity=0.18)
            if len(models) <= BANDED
            else spread.mark_rule(opacity=0.6, strokeWidth=1.5)
        )
        layers.insert(
            0,
            drawn.encode(x=x, y=alt.Y("band_low:Q"), y2="band_high:Q", color=colour(models, looks)),
        )
    return layers


def _bars(
    data: pd.DataFrame,
    value: str,
    over: str,
    models: Sequence[str],
    looks: Mapping[str, Look],
    controls: Sequence[Control],
    words: Lexicon,
) -> list[alt.Chart]:
    order = list(dict.fromkeys(data[over].astype(str)))
    bars = (
        base(controls)
        .mark_bar()
        .encode(
            x=alt.X(f"{value}:Q", axis=axis(value, words)),
            y=alt.Y(f"{over}:N", sort=order, axis=alt.Axis(title=None)),
            yOffset=alt.YOffset("model:N", sort=list(models)),
            color=colour(models, looks),
            tooltip=tips(list(data.columns), words),
        )
    )
    return [bars]


def ends(value: str, band: str) -> dict[str, str]:
    """Expressions for `band_low` and `band_high` of a score, from its `ci` or `std` columns."""
    if band == "ci":
        return {"band_low": f"datum.{value}_ci_low", "band_high": f"datum.{value}_ci_high"}
    return {
        "band_low": f"datum.{value} - datum.{value}_std",
        "band_high": f"datum.{value} + datum.{value}_std",
    }
