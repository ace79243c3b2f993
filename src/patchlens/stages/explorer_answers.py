"""Examples of T2 and T3 as data: nearest patches and objects, with every model and variant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.settings.features import VariantName
from patchlens.stages.explorer_files import Pictures
from patchlens.stages.fitted import open_fitted
from patchlens.stages.identification import open_degraded
from patchlens.stages.show_identification import NOWHERE, nearest, patch_box
from patchlens.stages.show_identification import ask as ask_copies
from patchlens.stages.show_retrieval import Asked, answers, ask

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

DIGITS = 4


def write_retrieval(
    dataset: DatasetName,
    settings: "Settings",
    variants: Sequence[VariantName],
    pictures: Pictures,
) -> None:
    """Write `retrieval.json`: the ranked lists of a few queries, which are those of all models."""
    content: dict[str, Any] = {"columns": []}
    asked_on: dict[tuple[int, int], Asked] = {}
    distance = settings.retrieval.distance
    for model in settings.models:
        fitted = open_fitted(dataset=dataset, model=model, settings=settings, variants=variants)
        header = fitted.query.header
        if header.grid not in asked_on:  # the queries depend on the model's grid only
            asked_on[header.grid] = ask(fitted.index, header, settings.retrieval)
        asked = asked_on[header.grid]
        objects, ids = asked.objects, header.image_ids

        def place(o: int, objects: Any = objects, ids: list[str] = ids) -> dict[str, Any]:
            image = pictures.of(ids[objects.row[o]])
            return {"image": image, "box": [round(float(v), 2) for v in objects.box[o]]}

        content |= {"head": asked.head, "distance": distance}
        for variant, transforms in fitted.transforms.items():
            lists = answers(asked, fitted.query, transforms, distance)
            queries = [
                place(int(query))
                | {
                    "found": [
                        place(o) | {"similarity": round(similarity, DIGITS), "right": right}
                        for o, similarity, right in found
                    ]
                }
                for query, found in zip(asked.queries, lists, strict=True)
            ]
            content["columns"].append({"model": model, "variant": variant, "queries": queries})
    write_json(content, pictures.folder / "retrieval.json")


def write_identification(
    dataset: DatasetName,
    settings: "Settings",
    variants: Sequence[VariantName],
    pictures: Pictures,
) -> None:
    """Write `identification.json`: one patch in all copies of its image, with its answers."""
    columns = []
    given = settings.identification
    copies: dict[str, dict[str, Any]] = {}
    for model in settings.models:
        fitted = open_fitted(dataset=dataset, model=model, settings=settings, variants=variants)
        header, clean = fitted.query.header, fitted.query
        degraded = open_degraded(clean, dataset=dataset, model=model)
        asked = ask_copies(pictures.index, header, given)
        true = pictures.of(asked.copies[0].image_id)
        size = (true["height"], true["width"])
        for n, copy in enumerate(asked.copies):
            if copy.copy_id not in copies:
                copies[copy.copy_id] = true | {"file": f"copies/{n:03d}.jpg"}
                pixels = copy.of(pictures.index.image(copy.image_id), given.seed)
                pictures.write(pixels, copies[copy.copy_id]["file"])
        for variant, transforms in fitted.transforms.items():
            found = nearest(asked, clean, degraded, transforms[0], given.distance, settings.device)
            answered = []
            for copy, place, (row, patch, right) in zip(
                asked.copies, asked.places, found, strict=True
            ):
                one: dict[str, Any] = {"degradation": copy.degradation, "severity": copy.severity}
                if place != NOWHERE:
                    there = pictures.of(header.image_ids[row])
                    box = patch_box(patch, (there["height"], there["width"]), header.grid)
                    query_box = patch_box(place, size, header.grid)
                    one |= {
                        "query": {"image": copies[copy.copy_id], "box": query_box},
                        "found": {"image": there, "box": box, "right": right},
                    }
                answered.append(one)
            query = {"image": true, "box": patch_box(asked.patch, size, header.grid)}
            columns.append(
                {"model": model, "variant": variant, "query": query, "answers": answered}
            )
    content = {"columns": columns, "distance": given.distance}
    write_json(content, pictures.folder / "identification.json")
