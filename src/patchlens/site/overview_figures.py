"""Figures of the overview: verdicts, rankings, scores against cost."""

import json
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Literal

import altair as alt
import pandas as pd

from patchlens.display.grid import COST
from patchlens.display.palette import Look
from patchlens.report.headlines import Headline
from patchlens.report.verdict_words import is_share
from patchlens.site.curves import colour, shape
from patchlens.site.figure import HEIGHT, ROW, Figure, base, choices, spec
from patchlens.site.lexicon import COLUMNS

VERDICTS = {
    "supported": ("#009e73", "circle"),
    "contradicted": ("#d55e00", "cross"),
    "undecided": ("#7d7d7d", "diamond"),
}
# Ticks on the axis of costs: of those whose labels would overlap, the first stays.
STEPS = [0, *(n * 10**power for power in range(-1, 7) for n in range(1, 10))]
LINE = 64  # characters of a line of a claim beside its effect
POINTS = "format(100 * datum.value, '~r')"
WIDE = "windowSize()[0] >= 800"  # a screen wide enough for the text of a claim
SIGN = {"supported": "●", "contradicted": "✚", "undecided": "◆", "not run": "○"}


def forest(claims: pd.DataFrame) -> Figure | None:
    """Effects of the judged claims with their intervals; None if no claim was judged.

    Args:
        claims: one row per claim.
    """
    columns = ["id", "effect", "ci_low", "ci_high", "delta", "verdict", "text"]
    claims = claims[claims["effect"].notna()].reset_index(drop=True)
    ran = claims[columns]
    if ran.empty:
        return None
    order, names = list(ran["id"]), list(VERDICTS)
    lines = {str(r.id): wrap(str(r.text), LINE) for r in ran.itertuples()}
    texts = json.dumps(lines)
    row = max(ROW, 6 + 13 * max(map(len, lines.values())))
    named = alt.Axis(labelLimit=0, labelExpr=f"{WIDE} ? {texts}[datum.value] : datum.value")
    y = alt.Y("id:N", sort=order, title=None, axis=named)
    colours = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=names, range=[VERDICTS[n][0] for n in names]),
        legend=None,
    )
    shapes = alt.Shape(
        "verdict:N",
        scale=alt.Scale(domain=names, range=[VERDICTS[n][1] for n in names]),
        legend=None,
    )
    chart = base()
    points = all(is_share(str(name)) for name in claims["metric"])
    x = alt.X(
        "ci_low:Q",
        title="effect with its interval" + (" (points)" if points else ""),
        axis=alt.Axis(tickCount=8, labelExpr=POINTS if points else "datum.label"),
    )
    zero = chart.mark_rule(strokeDash=[3, 3])
    tips = [alt.Tooltip(f"{name}:N") for name in columns]
    layers = [
        zero.encode(x=alt.datum(0)),
        chart.mark_rule(strokeWidth=2.5).encode(x=x, x2="ci_high:Q", y=y, color=colours),
        chart.mark_tick(thickness=2, size=14, opacity=0.7).encode(
            x="delta:Q", y=y, tooltip=[alt.Tooltip("delta:Q")]
        ),
        chart.mark_point(filled=True, size=110, opacity=1).encode(
            x="effect:Q", y=y, color=colours, shape=shapes, tooltip=tips
        ),
    ]
    words = "; ".join(
        f"{r.id}: {r.verdict}, {r.effect:+.3f} [{r.ci_low:+.3f}, {r.ci_high:+.3f}]"
        for r in ran.itertuples()
    )
    return Figure(
        "claims-forest",
        "Effects of the judged findings",
        f"Forest plot. {words}.",
        spec(layers, ran, row * len(ran) + 10),
        ran,
        note="Short vertical line: δ, the smallest effect that counts; for an equivalence, the "
        "largest difference that does not count.",
        wide=True,
    )


def ranking(headline: Headline, looks: Mapping[str, Look], role: Callable[[str], str]) -> Figure:
    """Models by score with their intervals, one variant at a time.

    Args:
        headline: the metric.
        looks: colour and shape of each model.
        role: model -> its role; the axis names every role but `rival`.
    """
    metric = headline.metric
    names = {metric.key: "score", f"{metric.key}_ci_low": "low", f"{metric.key}_ci_high": "high"}
    there = [name for name in names if name in headline.rows]
    data = headline.rows[["model", "variant", *there]].rename(columns=names)
    data = data[data["score"].notna()].reset_index(drop=True)
    factor = 100 if metric.is_share else 1
    for name in ("score", "low", "high"):
        data[name] = (data[name] * factor).round(4) if name in data else data["score"]
    models = [model for model in looks if model in set(data["model"])]
    called = {m: f"{m} ({role(m)})" for m in models if role(m) != "rival"}
    roles = f"{json.dumps(called)}[datum.value] || datum.value"
    controls = choices(data, ["variant"])
    sense: Literal["ascending", "descending"] = (
        "descending" if metric.higher_is_better else "ascending"
    )
    y = alt.Y(
        "model:N",
        sort=alt.EncodingSortField(field="score", op="mean", order=sense),
        title=None,
        axis=alt.Axis(labelLimit=220, labelExpr=roles),
    )
    chart = base(controls)
    tips = [alt.Tooltip(f"{name}:N") for name in data.columns]
    whisker = chart.mark_rule(strokeWidth=2.5).encode(
        x=alt.X(
            "low:Q", title=metric.name, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6)
        ),
        x2="high:Q",
        y=y,
        color=colour(models, looks),
    )
    point = chart.mark_point(filled=True, size=120, opacity=1).encode(
        x="score:Q", y=y, color=colour(models, looks), shape=shape(models, looks), tooltip=tips
    )
    raw = data[data["variant"] == data["variant"].iat[0]].sort_values(
        "score", ascending=not metric.higher_is_better
    )
    words = ", ".join(
        f"{r.model} {r.score:.1f} [{r.low:.1f}, {r.high:.1f}]" for r in raw.itertuples()
    )
    return Figure(
        f"ranking-{headline.key}",
        f"{headline.title}, {headline.dataset}",
        f"{headline.title}, {headline.dataset}, {data['variant'].iat[0]} features: {words}.",
        spec([whisker, point], data, ROW * len(models) + 12),
        data,
        controls,
    )


def cost(headlines: Sequence[Headline], looks: Mapping[str, Look]) -> Figure:
    """Scores of `raw` features against the cost of a model, with a selector for each.

    `patchlens serve` and cost.js add how fast extraction was, by the column `dataset`.

    Args:
        headlines: the metrics.
        looks: of the models.
    """
    parts = []
    for headline in headlines:
        rows = headline.rows[headline.rows["variant"] == "raw"]
        metric = headline.metric
        # First what tells most models apart.
        for name in sorted(COST, key=lambda name: -rows[name].nunique()):
            part = rows[["model", "dataset"]].assign(
                metric=f"{headline.title}, {headline.dataset}",
                cost=COLUMNS[name],
                value=rows[name],
                score=(rows[metric.key] * (100 if metric.is_share else 1)).round(4),
            )
            parts.append(part)
    data = pd.concat(parts, ignore_index=True).dropna()
    models = [model for model in looks if model in set(data["model"])]
    controls = choices(data, ["metric", "cost"])
    tips = [alt.Tooltip(f"{name}:N") for name in data.columns]
    signals = {control.field: control.signal for control in controls}  # see figures.js
    x = alt.X(
        "value:Q",
        title=signals.get("cost", next(iter(data["cost"]), "cost")),
        axis=alt.Axis(values=STEPS, labelOverlap="greedy"),
        scale=alt.Scale(type="symlog", constant=1, padding=10, nice=False),
    )
    y = alt.Y(
        "score:Q",
        title=signals.get("metric", next(iter(data["metric"]), "score")),
        scale=alt.Scale(zero=False, padding=10),
    )
    chart = base(controls)
    points = chart.mark_point(filled=True, size=150, opacity=1).encode(
        x=x, y=y, color=colour(models, looks), shape=shape(models, looks), tooltip=tips
    )
    return Figure(
        "cost",
        "Score against cost",
        "Scores of models against parameters or GFLOPs per image, as the selectors say: "
        f"{', '.join(models)}. All numbers are in the CSV file.",
        spec([points], data, HEIGHT),
        data,
        controls,
        models,
        wide=True,
        note="Raw features. The axis is logarithmic, with a place for models that cost nothing.",
    )
