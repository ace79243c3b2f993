"""The output of `patchlens datasets`: the known kinds, and the content of an indexed dataset."""

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from patchlens import paths
from patchlens.datasets.alike import near_duplicates
from patchlens.datasets.catalogue import Entry, find, in_words
from patchlens.datasets.index import Index
from patchlens.datasets.sheet import contact_sheet
from patchlens.files import whole_file
from patchlens.names import DatasetName
from patchlens.progress import track
from patchlens.settings.datasets import Dataset

BAR = 24  # characters of the longest bar of the histogram
SHOWN = 20  # absent classes or twins to name
WHAT = ("images", "masks", "objects", "ignored objects", "classes", "instances", "groups")


def listing(
    entries: Mapping[str, Entry], configured: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """One dict per kind: its entry in the catalogue, and its datasets in params.yaml."""
    return [
        {"kind": kind, **entry.model_dump(), "configured": configured.get(kind, [])}
        for kind, entry in entries.items()
    ]


def show_listing(entries: list[dict[str, Any]]) -> str:
    """The listing as a table."""
    rows = [
        (
            entry["kind"],
            entry["title"],
            in_words(entry["tasks"]),
            entry["access"],
            sum(counts.get("images", 0) for counts in entry["counts"].values()) or "not stated",
            ", ".join(entry["configured"]),
        )
        for entry in entries
    ]
    head = ("kind", "title", "tasks", "access", "images", "in params.yaml")
    return tabulate(rows, head, tablefmt="simple", disable_numparse=True)


def counts(index: Index, facts: Entry) -> list[dict[str, Any]]:
    """The content of each split; a published split that does not exist counts 0.

    Objects and instances are the evaluated ones, as in published numbers; `ignored objects` are
    the rest. Classes are those that occur in masks or as evaluated objects.

    Returns:
        split, what, found, published (None: not stated), and a verdict: ok, subset (fewer than
        published), differs (more), or "" without anything to compare with.
    """
    objects = index.objects.merge(
        index.images["split"], left_on="image_id", right_index=True, how="left"
    )
    found = []
    for split in dict.fromkeys([*index.images["split"], *facts.counts]):
        images = index.images[index.images["split"] == split]
        mine = objects[objects["split"] == split]
        evaluated = mine[mine["evaluated"]]
        pixels = index.pixels.get(split, [0])[:-1]
        numbers = {
            "images": len(images),
            "masks": int(images["mask"].notna().sum()),
            "objects": len(evaluated),
            "ignored objects": len(mine) - len(evaluated),
            "classes": len({c for c, n in enumerate(pixels) if n} | set(evaluated["class_id"])),
            "instances": int(evaluated["instance"].nunique()),
            "groups": int(images["group"].nunique()),
        }
        published = facts.counts.get(split, {})
        for what in [what for what in WHAT if numbers[what] or what in published]:
            here, stated = numbers[what], published.get(what)
            verdict = "ok" if here == stated else "subset" if here < (stated or 0) else "differs"
            row = {"split": split, "what": what, "found": here, "published": stated}
            found.append(row | {"verdict": "" if stated is None else verdict})
    return found


def shares(index: Index) -> tuple[list[dict[str, Any]], float | None]:
    """The classes of the whole dataset, and the share of ignored pixels.

    Of each class its name, and its share of the labelled pixels and of the evaluated objects; None
    if there are none.
    """
    total = [sum(column) for column in zip(*index.pixels.values(), strict=True)]
    labelled = sum(total[:-1])
    evaluated = index.objects[index.objects["evaluated"]]["class_id"].value_counts()
    of_classes = [
        {
            "name": name,
            "pixels": total[c] / labelled if labelled else None,
            "objects": float(evaluated.get(c, 0) / evaluated.sum()) if len(evaluated) else None,
        }
        for c, name in enumerate(index.classes)
    ]
    return of_classes, total[-1] / sum(total) if labelled else None


def gate(index: Index) -> list[tuple[str, str]]:
    """What the index found in the files: each fact with the number of images it is true of."""
    images, few = index.images, 4
    sizes = images["width"].astype(str) + "×" + images["height"].astype(str)
    turned = images["orientation"].map(lambda value: f"EXIF {value}" if value > 1 else "upright")
    columns = {
        "modes": images["mode"],
        "orientations": turned,
        "sizes": sizes,
        "colour profiles, not applied": images["profile"],
        "modes of masks": images["mask_mode"],
    }
    found = []
    for what, column in columns.items():
        counted = column.value_counts()
        shown = [f"{value}: {count}" for value, count in counted.head(few).items()]
        if len(counted) > few:
            shown.append(f"{len(counted) - few} more: {counted.iloc[few:].sum()}")
        if shown:
            found.append((what, ", ".join(shown)))
    if coloured := int(images["mask_mode"].eq("P").sum()):
        differ = f"differ: {index.palettes[0]}" if index.palettes else f"agree: {coloured}"
        found.append(("palettes of masks", differ))
    cases = {"equal files": [f"{group[0]} = {group[1]}" for group in index.copies]}
    if images["mask"].notna().any():
        cases["masks without a label"] = list(images.index[images["labelled"].eq(0).fillna(False)])
    return found + [
        (what, f"{len(of)}{f', such as {of[0]}' if of else ''}") for what, of in cases.items()
    ]


def alike(index: Index) -> list[tuple[str, str]]:
    """Pairs of a support and a query image that show the same, however each was saved.

    Where a dataset has no support, pairs of different splits.
    """
    split = index.images["split"]
    sides = {str(image_id): str(name) for image_id, name in split.items()}
    if index.has_support:
        sides = dict.fromkeys(index.query["image_id"], "query")
        sides |= dict.fromkeys(index.support["image_id"], "support")
    pictures = ((i, index.image(i)) for i in track(sides, total=len(sides), what="twins"))
    return [(a, b) for a, b in near_duplicates(pictures) if sides[a] != sides[b]]


def run(dataset: DatasetName, settings: Dataset, *, twins: bool = False) -> dict[str, Any]:
    """Report on an indexed dataset and write its contact sheet; `twins` looks at every pixel."""
    facts = find(settings.kind)
    index = Index.of(dataset, settings)
    content = report(index, facts)
    if twins:
        content["twins"] = alike(index)
    sheet = paths.sheet(dataset)
    with whole_file(sheet) as partial:
        contact_sheet(index, f"{dataset}: {facts.title}").save(partial, format="PNG")
    return {"dataset": dataset, "kind": settings.kind, **content, "sheet": sheet.as_posix()}


def report(index: Index, facts: Entry) -> dict[str, Any]:
    """Counts and shares of an indexed dataset, as plain data."""
    of_classes, ignored = shares(index)
    return {
        "counts": counts(index, facts),
        "classes": of_classes,
        "ignored_pixels": ignored,
        "gate": dict(gate(index)),
    }


def show_report(content: dict[str, Any]) -> str:
    """The report as three tables."""
    rows = [
        ["–" if value is None else value for value in count.values()] for count in content["counts"]
    ]
    head = ("split", "what", "found", "published", "")
    text = [tabulate(rows, head, colalign=("left", "left", "right", "right", "left"))]
    text.append(tabulate(content["gate"].items(), ("files", "images"), disable_numparse=True))
    if (pairs := content.get("twins")) is not None:
        shown = "".join(f"\n  {a} and {b}" for a, b in pairs[:SHOWN])
        text.append(f"twins in support and query: {len(pairs)}{shown}")
    classes = content["classes"]
    if measures := [m for m in ("pixels", "objects") if any(c[m] for c in classes)]:
        text.append(_histogram(classes, measures))
    if absent := [c["name"] for c in classes if not any(c[m] for m in measures)]:
        more = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
        text.append(f"absent classes: {', '.join(absent[:SHOWN])}{more}")
    if content["ignored_pixels"] is not None:
        text.append(f"ignored pixels: {content['ignored_pixels']:.1%} of all")
    if "sheet" in content:
        text.append(f"sheet: {content['sheet']}")
    return "\n\n".join(text)


def _histogram(classes: list[dict[str, Any]], measures: list[str]) -> str:
    largest = {m: max(c[m] for c in classes) for m in measures}
    rows = [
        [number, share["name"]]
        + [
            cell
            for m in measures
            for cell in (f"{share[m]:.2%}", "█" * round(BAR * share[m] / largest[m]))
        ]
        for number, share in enumerate(classes)
        if any(share[m] for m in measures)
    ]
    head = ["id", "class", *(cell for m in measures for cell in (f"of {m}", ""))]
    align = ["right", "left", *(["right", "left"] * len(measures))]
    return tabulate(rows, head, disable_numparse=True, colalign=align)
