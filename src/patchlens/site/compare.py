"""`patchlens report --compare`: the page that compares two sets of metrics."""

import altair as alt
import pandas as pd

from patchlens import paths
from patchlens.progress import log
from patchlens.site import build, changes, revision
from patchlens.site.changes import Change, Differences
from patchlens.site.figure import ROW, Figure, Grid, TableCell, base, files, spec
from patchlens.site.page import Page

DRAWN = 25  # changes in the figure; the table lists all
NARROW = alt.ExprRef("windowSize()[0] < 700 ? 150 : 330")  # pixels for the name of a score
CHANGE_COLOURS = {"beyond": "#d55e00", "within": "#0072b2", "no interval": "#7d7d7d"}
SHAPES = {"beyond": "diamond", "within": "circle", "no interval": "square"}


def run(revisions: str) -> None:
    """Write the page on the changes between two revisions, or from one to the workspace.

    Args:
        revisions: `REV` or `REV..REV`.

    Raises:
        DataError: a revision is unknown or has no metrics.
    """
    before, dots, after = revisions.partition("..")
    old = revision.of_revision(before)
    new = revision.of_revision(after) if dots else revision.of_workspace()
    found = changes.between(old, new)
    whole = page(found, before, after or "the workspace")
    build.write([whole], {"palette": {}}, paths.COMPARISON)
    log.info("report: %d scores changed; %s", len(found.scores), paths.COMPARISON / "index.html")


def page(found: Differences, before: str, after: str) -> Page:
    """The page, a site by itself.

    Args:
        found: the differences.
        before: name of the first set.
        after: name of the second set.
    """
    beyond = sum(change.beyond == "beyond" for change in found.scores)
    figure = _figure(found.scores, before, after) if found.scores else None
    scores = _grid(found.scores, before, after)
    verdicts = _words("verdicts", "Verdicts that changed", "finding", found.verdicts)
    words = _words("settings", "Settings and other values that changed", "place", found.words)
    context = {
        "before": before,
        "after": after,
        "found": found,
        "beyond": beyond,
        "figure_of_changes": figure,
        "grid": scores,
        "verdicts": verdicts,
        "words": words,
    }
    shown = files([*([figure] if figure else []), scores, verdicts, words])
    return Page("index", "What changed", "compare.html", context, shown)


def _names(changes: list[Change]) -> list[str]:
    """Model and score, with the dataset if several are shown."""
    parts = [change.cell.split("/") for change in changes]
    several = len({part[0] for part in parts}) > 1
    return [
        f"{part[1]}: {change.name}" + (f" ({part[0]})" if several else "")
        for part, change in zip(parts, changes, strict=True)
    ]


def _figure(changes: list[Change], before: str, after: str) -> Figure:
    """The largest changes among scores that are shares: the old interval and the new score."""
    shares = [c for c in changes if abs(c.before) <= 1 and abs(c.after) <= 1] or changes
    shown = ([c for c in shares if c.low is not None] or shares)[:DRAWN]
    data = pd.DataFrame(
        [
            {
                "score": name,
                "before": c.before,
                "after": c.after,
                "low": c.low,
                "high": c.high,
                "difference": round(c.difference, 6),
                "interval": c.beyond,
            }
            for name, c in zip(_names(shown), shown, strict=True)
        ]
    )
    order, names = list(data["score"]), list(CHANGE_COLOURS)
    y = alt.Y("score:N", sort=order, title=None, axis=alt.Axis(labelLimit=NARROW))
    x = alt.X("before:Q", title="score", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6))
    colours = alt.Color(
        "interval:N",
        scale=alt.Scale(domain=names, range=list(CHANGE_COLOURS.values())),
        legend=None,
    )
    shapes = alt.Shape(
        "interval:N", scale=alt.Scale(domain=names, range=list(SHAPES.values())), legend=None
    )
    chart = base()
    tips = [alt.Tooltip(f"{name}:N") for name in data.columns]
    layers = [
        chart.mark_rule(strokeWidth=9, opacity=0.2).encode(
            x=alt.X("low:Q", title="score"), x2="high:Q", y=y
        ),
        chart.mark_rule(strokeWidth=2).encode(x=x, x2="after:Q", y=y, color=colours),
        chart.mark_tick(thickness=2, size=12).encode(x=x, y=y),
        chart.mark_point(filled=True, size=90, opacity=1).encode(
            x="after:Q", y=y, color=colours, shape=shapes, tooltip=tips
        ),
    ]
    words = "; ".join(f"{r.score} {r.before:g} to {r.after:g}" for r in data.head(5).itertuples())
    return Figure(
        "changes",
        "The largest changes relative to their intervals",
        f"Scores of {before} and {after}. The largest changes: {words}.",
        spec(layers, data, ROW * len(data) + 10),
        data,
        note=f"Vertical line: {before}, with its 95 % interval; point: {after}, ◆ beyond the "
        "interval, ● within it, ■ without an interval.",
        wide=True,
    )


def _grid(changes: list[Change], before: str, after: str) -> Grid:
    rows = []
    for c in changes:
        known = c.low is not None and c.high is not None
        interval = f"[{c.low:g}, {c.high:g}]" if known else ""
        rows.append(
            [
                TableCell(c.cell),
                TableCell(c.name),
                TableCell(f"{c.before:g}", c.before),
                TableCell(f"{c.after:g}", c.after),
                TableCell(f"{c.difference:+.4g}", c.difference),
                TableCell(c.beyond, best=c.beyond == "beyond"),
                TableCell(interval, c.low if known else ""),
            ]
        )
    header = ["cell", "score", before, after, "difference", "interval", f"of {before}"]
    note = (
        "Beyond: the new score lies outside the 95 % interval of the old score. The comparison is "
        "not paired: a change within the interval may still be real, since both scores are on the "
        "same images."
    )
    return Grid("scores", "Scores that changed", header, rows, note)


def _words(key: str, caption: str, place: str, changed: list[tuple[str, str, str]]) -> Grid:
    rows = [[TableCell(text) for text in line] for line in changed]
    return Grid(key, caption, [place, "before", "after"], rows)
