"""The overview: which backbone for which local task, and why; what was run and what was not."""

from collections.abc import Mapping
from typing import Any

from patchlens import paths
from patchlens.display.palette import Look
from patchlens.report import headlines
from patchlens.report.claims_table import GROUPS
from patchlens.report.headlines import Headline
from patchlens.report.judge import OF
from patchlens.report.verdict_words import effect, threshold
from patchlens.site import lexicon, media, overview_figures, precomputed, provenance, tasks
from patchlens.site.answers import answer, beyond, tally
from patchlens.site.figure import files
from patchlens.site.page import Page
from patchlens.site.reading import Run
from patchlens.site.recommend import recommendations
from patchlens.tasks.table import TASKS

HEADS_SHOWN = 2  # of a task whose words choose none


def page(run: Run, looks: Mapping[str, Look]) -> Page:
    """The overview.

    Args:
        run: what was measured.
        looks: of the models.
    """
    shown = chosen(run)
    answers = [answer(h, run.is_floor) for h in shown]
    needs = {
        need: [a for a in answers if a.need == need]
        for need in dict.fromkeys(a.need for a in answers)
    }
    forest = overview_figures.forest(run.claims)
    rankings = [overview_figures.ranking(h, looks, run.role) for h in shown]
    several = len({model for h in shown for model in h.rows["model"]}) > 1
    cost = overview_figures.cost(shown, looks) if several else None
    ran = provenance.grids(run)
    figures = [part for part in (forest, *rankings, cost, *ran) if part is not None]
    known = run.claims.astype(object).where(run.claims.notna(), None)
    claims = [
        {str(key): value for key, value in claim.items()} | {"comparison": _comparison(claim)}
        for claim in known.to_dict("records")
    ]
    groups = [
        (title, remark, [c for c in of if c["comparison"]], [c for c in of if not c["comparison"]])
        for group, (title, remark) in GROUPS.items()
        if (of := [claim for claim in claims if claim["group"] == group])
    ]
    groups.sort(key=lambda group: not group[2])  # what was judged comes first
    best, told = tally(shown)
    said, unbeaten = beyond(shown, run.is_floor)
    use = list(recommendations(run))
    pictures = {one.dataset: found for one in use if (found := _picture(one.dataset, one.model))}
    context = {
        "use": use,
        "pictures": pictures,
        "unranked": without_labels(run),
        "film": film(),
        "private": any(media.is_private(run, dataset) for dataset in pictures),
        "needs": needs,
        "forest": forest,
        "rankings": rankings,
        "cost": cost,
        "groups": groups,
        "best": best,
        "told": told,
        "said": said,
        "unbeaten": unbeaten,
        "untold": len(shown) - told,
        "signs": overview_figures.SIGN,
        "verdicts": list(overview_figures.VERDICTS),
        "claim_links": tasks.links("claims"),
        "provenance": ran,
        "not_run": provenance.not_run(run),
        "trained": [m for m in run.models if run.role(m) == "rival"],
        "ceilings": [m for m in run.models if run.role(m) == "ceiling"],
        "floors": [m for m in run.models if run.is_floor(m)],
    }
    data = files(figures) | tasks.copies(paths.CLAIMS_TABLE)
    for dataset, shows in pictures.items():
        data |= precomputed.files(dataset, [shows["picture"]["file"]])
    return Page("index", "Overview", "overview.html", context, data, "Results")


def without_labels(run: Run) -> str:
    """The page on features, if no task that was run needs a label; else ""."""
    shown, sections = precomputed.datasets("features"), run.settings.sections()
    ran = [task for task, table in run.tables.items() if not table.empty]
    if film() or not shown or any(task not in sections or sections[task].needs for task in ran):
        return ""
    return f"{precomputed.named(shown[0], 'features', 'features', shown)[0]}.html"


def film() -> str:
    """The page of the first video whose masks were carried from a labelled frame; else ""."""
    shown = precomputed.datasets("tracks")
    carried = [dataset for dataset in shown if precomputed.read(dataset, "tracks")["masks"]]
    if not carried:
        return ""
    return f"{precomputed.named(carried[0], 'videos', 'tracks', shown)[0]}.html"


def _picture(dataset: str, model: str) -> dict[str, Any] | None:
    """The middle one of the shown predictions of a model, with the photo and its labels."""
    if dataset not in precomputed.datasets("predictions"):
        return None
    found = precomputed.read(dataset, "predictions")
    images = sorted(found["images"], key=lambda one: one["models"][model]["miou"])
    one = images[len(images) // 2]
    page = precomputed.named(dataset, "predictions", "predictions",
                             precomputed.datasets("predictions"))[0]  # fmt: skip
    return {**one, "answer": one["models"][model], "base": precomputed.at(dataset, ""),
            "page": f"{page}.html"}  # fmt: skip


def chosen(run: Run) -> list[Headline]:
    """The headlines that the overview shows, of every task and dataset."""
    shown = []
    for task in run.tables:
        found = list(headlines.of(TASKS[task], run.tables[task]))
        for dataset in dict.fromkeys(headline.dataset for headline in found):
            shown += _first([h for h in found if h.dataset == dataset])
    return shown


def _comparison(claim: Mapping[Any, Any]) -> str:
    """The comparison and its result in words; empty for a claim that was not run."""
    if claim["effect"] is None:
        return ""
    task, *head, metric = str(claim["metric"]).split(".")
    words = lexicon.of(task)
    where = ", ".join([words.words.title, *map(words.value, head)])
    p = "its own p" if OF in claim["id"] else "adjusted p"
    found = effect(claim["metric"], [claim[name] for name in ("effect", "ci_low", "ci_high")])
    return (
        f"{claim['a']} against {claim['b']} on {claim['datasets']} "
        f"({where}: {words.column(metric)}): {found}; "
        f"δ = {threshold(claim['metric'], claim['delta'])}, {p} = {claim['p_holm']:.3g}, "
        f"{claim['n_units']:.0f} units."
    )


def _first(found: list[Headline]) -> list[Headline]:
    """The headlines that the overview shows."""
    if not found:
        return []
    wanted = found[0].task.words.overview
    chosen = [h for h in found if (h.head, h.metric.key) in wanted]
    if chosen:
        return chosen
    heads = {(h.dataset, h.head): h for h in reversed(found)}  # the first metric of each head
    return list(reversed(heads.values()))[:HEADS_SHOWN]
