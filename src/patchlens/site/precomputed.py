"""The output of the stage `explorer` in data/explorer, and the files of it that a page needs.

`maps` is for the pages of studies: model -> `images` (id, file, width, height) and `dimensions`,
each with its number, its `share` of all variance, `low` and `high` (the values of the darkest and
the brightest colour) and `maps`: for each image, a PNG with one pixel per patch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchlens import paths
from patchlens.report import headlines
from patchlens.site.leads import lead
from patchlens.site.reading import Run
from patchlens.stored import read_bytes, read_json, reading
from patchlens.tasks.table import TASKS


def datasets(part: str) -> list[str]:
    """The datasets that have a part (`patches`, `maps`, `lists`, ...), in order."""
    with reading(paths.EXPLORER / "datasets.json") as path:
        return [name for name, parts in read_json(path).items() if part in parts]


def read(dataset: str, part: str) -> Any:
    """The content of a part."""
    return read_json(paths.EXPLORER / dataset / f"{part}.json")


def at(dataset: str, file: str) -> str:
    """The path of a dataset's file in the site."""
    return f"explorer/{dataset}/{file}"


def files(dataset: str, names: Iterable[str]) -> dict[str, bytes]:
    """The files `names` of a dataset, by their paths in the site.

    Raises:
        DataError: one is missing.
    """
    folder = paths.EXPLORER / dataset
    return {at(dataset, name): read_bytes(folder / name) for name in dict.fromkeys(names)}


def named(dataset: str, slug: str, part: str, shown: Sequence[str]) -> tuple[str, str]:
    """Slug and title of a page on a part, with the dataset's name if there are several."""
    title = read(dataset, part)["title"]
    return (slug, title) if len(shown) == 1 else (f"{slug}-{dataset}", f"{title}: {dataset}")


def leader(run: Run, dataset: str) -> str | None:
    """The model that leads the first headline of a dataset; None if none was compared."""
    for task, table in run.tables.items():
        for headline in headlines.of(TASKS[task], table):
            if headline.dataset == dataset and (found := lead(headline)) is not None:
                return found.leader
    return None


def first_columns(run: Run, dataset: str, columns: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """The initial content of two panels: the leader, raw and pruned if it has both.

    Args:
        run: which model leads, and which are floors.
        dataset: of the panels.
        columns: `model` and `variant` of each; at least one.
    """
    best = leader(run, dataset)

    def place(column: int) -> tuple[bool, bool]:
        model = columns[column]["model"]
        return model != best, run.is_floor(model)

    order = sorted(range(len(columns)), key=place)
    first = order[0]
    others = [c for c in order if columns[c]["model"] == columns[first]["model"]][1:]
    pruned = [c for c in others if columns[c]["variant"] == "prune"]
    return first, next(iter(pruned or others or order[1:]), first)
