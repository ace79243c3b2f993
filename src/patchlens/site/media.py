"""Pages on the explorer's data: nearest patches, linked videos, found objects and patches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from patchlens.names import DatasetName
from patchlens.settings.datasets import Minicity
from patchlens.site import lexicon, precomputed
from patchlens.site.figure import Grid, TableCell
from patchlens.site.page import Page
from patchlens.site.reading import Run

AROUND = 0.3  # margin around an object, as a share of its longer side
CONTEXT = 2.0  # patches shown to each side of a patch
GROUP = "Look"
SPREAD = {
    "top1": "highest dimension",
    "top_1pct": "top 1 %",
    "top_10pct": "top 10 %",
    "participation": "dimensions in use",
}
SIMILARITY = {
    "cosine": "cosine similarity",
    "dot": "dot product",
    "l2": "negative squared distance",
}


@dataclass(frozen=True)
class Crop:
    """A part of an image with a box, drawn as SVG.

    Attributes:
        image: path in the site, width and height in pixels.
        view: the visible part: left, top, width and height in pixels.
        box: the framed part, likewise.
        alt: the alternative text.
        sign: the text below it.
        kind: `asked`, `right` or `wrong`.
    """

    image: Mapping[str, Any]
    view: Sequence[float]
    box: Sequence[float]
    alt: str
    sign: str
    kind: str


def pages(run: Run) -> list[Page]:
    """A page for each part of the explorer's data that is of a known form, per dataset."""
    return [
        replace(page, context={**page.context, "private": is_private(run, dataset)})
        for part, (slug, make) in FORMS.items()
        for names in [precomputed.datasets(part)]
        for dataset in names
        for page in [make(run, dataset, *precomputed.named(dataset, slug, part, names))]
    ]


def is_private(run: Run, dataset: str) -> bool:
    """Whether pictures of a dataset are not for publication: all but those that are rendered."""
    return not isinstance(run.settings.datasets[DatasetName(dataset)], Minicity)


def _predictions(run: Run, dataset: str, slug: str, title: str) -> Page:
    found = precomputed.read(dataset, "predictions")
    names = [one["picture"]["file"] for one in found["images"]]
    names += [one["file"] for one in found["unlabelled"]]
    context = {"dataset": dataset, "found": found, "base": precomputed.at(dataset, "")}
    files = precomputed.files(dataset, names)
    return Page(slug, title, "predictions.html", context, files, GROUP)


def _features(run: Run, dataset: str, slug: str, title: str) -> Page:
    found = precomputed.read(dataset, "features")
    columns = found["columns"]
    names = [image["file"] for image in found["images"]] + [c["script"] for c in columns]
    models = list(dict.fromkeys(column["model"] for column in columns))
    deepest = max(sum(c["model"] == model for c in columns) for model in models)
    numbers = Grid(
        f"features-{dataset}",
        f"Variance of the features of {dataset}",
        ["model", "layer", *SPREAD.values()],
        [
            [
                TableCell(column["model"]),
                TableCell(str(column["layer"]), float(column["layer"])),
                *(_number(column[name], share=name != "participation") for name in SPREAD),
            ]
            for column in columns
        ],
    )
    context = {
        "dataset": dataset,
        "found": found,
        "models": models,
        "steps": [f"{n} before it" for n in range(1, deepest)],
        "numbers": numbers,
        "base": precomputed.at(dataset, ""),
        "data": {
            "base": precomputed.at(dataset, ""),
            "images": found["images"],
            "columns": [{k: c[k] for k in ("model", "layer", "script", "grid")} for c in columns],
        },
    }
    content = precomputed.files(dataset, names) | numbers.files()
    return Page(slug, title, "features.html", context, content, GROUP)


def _number(value: float, *, share: bool) -> TableCell:
    return TableCell(f"{100 * value:.1f} %" if share else f"{value:.1f}", float(value))


def _sheet(run: Run, dataset: str, slug: str, title: str) -> Page:
    found = precomputed.read(dataset, "sheet")
    context = {"dataset": dataset, "found": found, "base": precomputed.at(dataset, "")}
    files = precomputed.files(dataset, [found["file"]])
    return Page(slug, title, "sheet.html", context, files, GROUP)


def _patches(run: Run, dataset: str, slug: str, title: str) -> Page:
    found = precomputed.read(dataset, "patches")
    names = [image["file"] for image in [*found["images"], *found["bank"]]]
    names += [image["script"] for image in found["images"]]
    left, right = precomputed.first_columns(run, dataset, found["columns"])
    context = {
        "dataset": dataset,
        "found": found,
        "similarity": SIMILARITY[found["distance"]],
        "data": found | {"base": precomputed.at(dataset, ""), "left": left, "right": right},
        **_choices(found["columns"]),
    }
    return Page(slug, title, "explorer.html", context, precomputed.files(dataset, names), GROUP)


def _videos(run: Run, dataset: str, slug: str, title: str) -> Page:
    found = precomputed.read(dataset, "tracks")
    names = [sequence["script"] for sequence in found["sequences"]]
    names += [frame["file"] for sequence in found["sequences"] for frame in sequence["frames"]]
    left, right = precomputed.first_columns(run, dataset, found["columns"])
    if found["masks"]:  # whose models are often unscored: two of them side by side
        own = [column["model"] for column in found["columns"]]
        right = next((n for n, model in enumerate(own) if model != own[left]), right)
    context = {
        "dataset": dataset,
        "found": found,
        "data": {
            "base": precomputed.at(dataset, ""),
            "columns": found["columns"],
            "sequences": [sequence["script"] for sequence in found["sequences"]],
            "left": left,
            "right": right,
        },
        **_choices(found["columns"]),
    }
    return Page(slug, title, "videos.html", context, precomputed.files(dataset, names), GROUP)


def _lists(run: Run, dataset: str, slug: str, title: str) -> Page:
    found = precomputed.read(dataset, "lists")
    files: list[str] = []
    sheets = []
    for column in found["columns"]:
        lists = []
        for query in column["queries"]:
            files += [place["image"]["file"] for place in [query, *query["found"]]]
            asked = _object(dataset, query, "query", "asked", f"Query in {query['image']['id']}")
            answers = [_ranked(dataset, rank, one) for rank, one in enumerate(query["found"], 1)]
            lists.append((asked, answers))
        kinds = [answer.kind for _, answers in lists for answer in answers]
        right = kinds.count("right")
        sheets.append({"column": column, "lists": lists, "right": right, "asked": len(kinds)})
    context = {
        "dataset": dataset,
        "head": found["head"].replace("_", " "),
        "sheets": sheets,
        "first": precomputed.first_columns(run, dataset, found["columns"])[0],
        "columns": _named(found["columns"]),
        **_choices(found["columns"]),
    }
    return Page(slug, title, "lists.html", context, precomputed.files(dataset, files), GROUP)


def _ranked(dataset: str, rank: int, one: Mapping[str, Any]) -> Crop:
    sign, word, kind = ("✓", "right", "right") if one["right"] else ("✗", "wrong", "wrong")
    alt = f"{rank}: {word}, similarity {one['similarity']:.3f}, in {one['image']['id']}"
    return _object(dataset, one, f"{rank} {sign} {one['similarity']:.2f}", kind, alt)


def _object(dataset: str, place: Mapping[str, Any], sign: str, kind: str, alt: str) -> Crop:
    x0, y0, x1, y1 = place["box"]
    side = (1 + 2 * AROUND) * max(x1 - x0, y1 - y0)
    view = ((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, side)
    return Crop(_image(dataset, place), _rounded(view), _size(place["box"]), alt, sign, kind)


def _copies(run: Run, dataset: str, slug: str, title: str) -> Page:
    found, words = precomputed.read(dataset, "copies"), lexicon.everywhere()
    files: list[str] = []
    sheets = []
    for column in found["columns"]:
        files.append(column["query"]["image"]["file"])
        rows: dict[str, list[tuple[str, tuple[Crop, Crop] | None]]] = {}
        for one in column["answers"]:
            pair = None
            if "query" in one:
                files += [one[part]["image"]["file"] for part in ("query", "found")]
                pair = _pair(dataset, one)
            rows.setdefault(one["degradation"], []).append((f"{one['severity']:g}", pair))
        asked = [one for one in column["answers"] if "query" in one]
        true = _patch(dataset, column["query"], "", "asked", "The patch in its clean image")
        right = sum(one["found"]["right"] for one in asked)
        sheets.append(
            {"column": column, "rows": rows, "true": true, "right": right, "asked": len(asked)}
        )
    context = {
        "dataset": dataset,
        "sheets": sheets,
        "names": {name: words.value(name) for sheet in sheets for name in sheet["rows"]},
        "severities": max(len(row) for sheet in sheets for row in sheet["rows"].values()),
        "first": precomputed.first_columns(run, dataset, found["columns"])[0],
        "columns": _named(found["columns"]),
        **_choices(found["columns"]),
    }
    return Page(slug, title, "copies.html", context, precomputed.files(dataset, files), GROUP)


def _pair(dataset: str, one: Mapping[str, Any]) -> tuple[Crop, Crop]:
    condition = f"{one['degradation']} {one['severity']:g}"
    sign, word, kind = ("✓", "right", "right") if one["found"]["right"] else ("✗", "wrong", "wrong")
    place = f"nearest neighbour with {condition}, {word}, in {one['found']['image']['id']}"
    return (
        _patch(dataset, one["query"], "query", "asked", f"Query: the patch with {condition}"),
        _patch(dataset, one["found"], f"{sign} {word}", kind, place.capitalize()),
    )


def _patch(dataset: str, place: Mapping[str, Any], sign: str, kind: str, alt: str) -> Crop:
    x, y, width, height = _size(place["box"])
    view = (
        x - CONTEXT * width,
        y - CONTEXT * height,
        (1 + 2 * CONTEXT) * width,
        (1 + 2 * CONTEXT) * height,
    )
    return Crop(_image(dataset, place), _rounded(view), (x, y, width, height), alt, sign, kind)


def _image(dataset: str, place: Mapping[str, Any]) -> dict[str, Any]:
    return {**place["image"], "file": precomputed.at(dataset, place["image"]["file"])}


def _size(box: Sequence[float]) -> tuple[float, ...]:
    x0, y0, x1, y1 = box
    return _rounded((x0, y0, x1 - x0, y1 - y0))


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 2) for value in values)


def _choices(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    return {f"{key}s": list(dict.fromkeys(c[key] for c in columns)) for key in ("model", "variant")}


def _named(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{key: column[key] for key in ("model", "variant")} for column in columns]


FORMS: dict[str, tuple[str, Callable[[Run, str, str, str], Page]]] = {  # part -> slug, page
    "predictions": ("predictions", _predictions),
    "patches": ("explorer", _patches),
    "tracks": ("videos", _videos),
    "lists": ("retrieval-sheets", _lists),
    "copies": ("identification-examples", _copies),
    "features": ("features", _features),
    "sheet": ("images", _sheet),
}
