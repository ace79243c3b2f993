"""Confusion matrices from the records of a task that predicts classes."""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pyarrow.parquet as pq

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.names import DatasetName, ModelName
from patchlens.site import lexicon
from patchlens.site.figure import Figure, base, choices, spec
from patchlens.stored import read_parquet, reading

COUNTS = {"head", "variant", "true", "predicted", "count"}
VARIANTS = ("raw", "prune", "zscore", "pca_whiten")  # only these, so that the site stays small
MOST = 30  # classes; the rarest classes beyond are omitted
FIELDS = ("model", "head", "variant")  # one selector each
SIDE = 30  # pixels per class


def figure(task: str, dataset: DatasetName, models: list[ModelName]) -> Figure | None:
    """Shares of each true class by predicted class; None if the records have no such counts.

    Args:
        task: a task with records.
        dataset: the dataset of the cells.
        models: the configured models.

    Raises:
        DataError: records are missing.
    """
    files = {
        model: paths.cell(dataset=dataset, model=model) / f"{task}.records.parquet"
        for model in models
    }
    parts = []
    for model, path in files.items():
        with reading(path):
            if not set(pq.read_schema(path).names) >= COUNTS:
                return None
            parts.append(_counts(path).assign(model=model))
    counts = pd.concat(parts, ignore_index=True)
    classes = Index(paths.index(dataset), Path()).classes
    common = counts.groupby("true")["count"].sum().sort_values(ascending=False, kind="stable").index
    kept = sorted(common[:MOST])
    keys = ["model", "head", "variant", "true"]
    counts["share"] = (counts["count"] / counts.groupby(keys)["count"].transform("sum")).round(4)
    shown = counts[counts["true"].isin(kept) & counts["predicted"].isin(kept)].copy()
    for side in ("true", "predicted"):
        shown[side] = shown[side].map(lambda number: classes[number])
    shown = shown[["model", "head", "variant", "true", "predicted", "count", "share"]]
    order = [classes[number] for number in kept]
    return Figure(
        f"confusion-{task}-{dataset}",
        f"Confusion matrix, {dataset}",
        f"Confusion matrix over {len(order)} classes: {', '.join(order)}. Counts: CSV file.",
        _spec(shown, order),
        shown,
        choices(shown, FIELDS, lexicon.of(task)),
        note=_note(len(common)),
        wide=True,
    )


def _counts(path: Path) -> pd.DataFrame:
    """Counts summed over images, seeds and draws; of pixels if there are several levels."""
    table = read_parquet(path, variant=VARIANTS)
    if "level" in table:
        table = table[table["level"] == "pixel"]
    keys = ["head", "variant", "true", "predicted"]
    table = table.astype({"head": str, "variant": str})
    return table.groupby(keys, sort=False)["count"].sum().reset_index()


def _note(classes: int) -> str:
    text = (
        "Rows are true classes; each cell is the share of their pixels with that predicted class."
    )
    return text + (
        f" Only the {MOST} most frequent of {classes} classes are shown." if classes > MOST else ""
    )


def _spec(shown: pd.DataFrame, order: list[str]) -> dict[str, object]:
    controls = choices(shown, FIELDS)
    every = alt.Scale(domain=order)  # a class that is never predicted has its column too
    x = alt.X(
        "predicted:N",
        sort=order,
        scale=every,
        title="predicted",
        axis=alt.Axis(labelAngle=-45, grid=False),
    )
    y = alt.Y("true:N", sort=order, scale=every, title="true", axis=alt.Axis(grid=False))
    chart = base(controls)
    tips = [alt.Tooltip(f"{name}:N") for name in ("true", "predicted", "count", "share")]
    # Opacity, so that a small share has the background of the theme, dark or light.
    scale = alt.Scale(range=[0.04, 1], domain=[0, 1])
    cells = chart.mark_rect(fill="#0b5fa5").encode(
        x=x, y=y, opacity=alt.Opacity("share:Q", scale=scale, legend=None), tooltip=tips
    )
    inks: list[tuple[str, dict[str, Any]]] = [("<= 0.5", {}), ("> 0.5", {"color": "#ffffff"})]
    size = alt.ExprRef(f"clamp(width / {len(order)} / 2.7, 5, 11)")  # a number fits in its cell
    numbers = [  # in the theme's ink where the cell is light
        chart.transform_filter(f"datum.share >= 0.005 && datum.share {where}")
        .mark_text(fontSize=size, **ink)
        .encode(x=x, y=y, text=alt.Text("share:Q", format=".0%"))
        for where, ink in inks
    ]
    return spec([cells, *numbers], shown, SIDE * len(order))
