"""The output of the stage `explorer` in data/explorer, and the files of it that a page needs.

`maps` is for the pages of studies: model -> `images` (id, file, width, height) and `dimensions`,
each with its number, its `share` of all variance, `low` and `high` (the values of the darkest and
the brightest colour) and `maps`: for each image, a PNG with one pixel per patch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchlens import paths
from patchlens.site.reading import Run
from patchlens.stored import read_bytes, read_json, reading


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


def first_columns(run: Run, columns: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """The initial content of two panels: the first trained model, raw and pruned if it has both.

    Args:
        run: which models are floors.
        columns: `model` and `variant` of each; at least one.
    """
    order = sorted(range(len(columns)), key=lambda c: run.is_floor(columns[c]["model"]))
    first = order[0]
    others = [c for c in order if columns[c]["model"] == columns[first]["model"]][1:]
    pruned = [c for c in others if columns[c]["variant"] == "prune"]
    return first, next(iter(pruned or others or order[1:]), first)
