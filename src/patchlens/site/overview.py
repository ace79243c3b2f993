"""The first page: which backbone for which local task, and why; what was run and what was not."""

from collections.abc import Mapping

from patchlens.report import headlines
from patchlens.report.claims_table import GROUPS
from patchlens.report.headlines import Headline
from patchlens.report.palette import Look
from patchlens.site import overview_figures, prose, provenance, tasks
from patchlens.site.answers import answer
from patchlens.site.figure import Figure
from patchlens.site.page import Page
from patchlens.site.reading import Run


def page(run: Run, looks: Mapping[str, Look]) -> Page:
    """The first page.

    Args:
        run: what was measured.
        looks: of the models.
    """
    chosen = []
    for task in run.tables:
        found = list(headlines.of(task, run.tables[task]))
        for dataset in dict.fromkeys(headline.dataset for headline in found):
            chosen += _first([h for h in found if h.dataset == dataset])
    answers = [answer(h, run.is_floor) for h in chosen]
    needs = {
        need: [a for a in answers if a.need == need]
        for need in dict.fromkeys(a.need for a in answers)
    }
    forest = overview_figures.forest(run.claims)
    rankings = [overview_figures.ranking(h, looks) for h in chosen]
    cost = overview_figures.cost(chosen, looks) if chosen else None
    figures: list[Figure] = [f for f in (forest, *rankings, cost) if f is not None]
    claims = run.claims.astype(object).where(run.claims.notna(), None).to_dict("records")
    groups = [
        (title, remark, [claim for claim in claims if claim["group"] == group])
        for group, (title, remark) in GROUPS.items()
    ]
    context = {
        "needs": needs,
        "forest": forest,
        "rankings": rankings,
        "cost": cost,
        "groups": [group for group in groups if group[2]],
        "signs": overview_figures.SIGN,
        "provenance": provenance.grids(run),
        "not_run": provenance.not_run(run),
        "trained": [m for m in run.models if run.role(m) == "rival"],
        "ceilings": [m for m in run.models if run.role(m) == "ceiling"],
        "floors": [m for m in run.models if run.is_floor(m)],
    }
    data = {path: content for figure in figures for path, content in figure.files().items()}
    data |= tasks.copies("claims")
    return Page("index", "Overview", "overview.html", context, data, "Results")


def _first(found: list[Headline]) -> list[Headline]:
    """Those that the first page shows."""
    if not found:
        return []
    wanted = prose.of(found[0].task).heads
    chosen = [h for h in found if (h.head, h.shown.key) in wanted]
    if chosen:
        return chosen
    heads = {(h.dataset, h.head): h for h in reversed(found)}  # the first metric of each
    return list(reversed(heads.values()))[: prose.HEADS_SHOWN]
