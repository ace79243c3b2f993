"""The data of the interactive page of T3: ranked lists of a few queries."""

from typing import TYPE_CHECKING, Any

from patchlens.display.pictures import Pictures, shown_variants
from patchlens.features.cell import Cell
from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.protocol import DIGITS
from patchlens.tasks.retrieval.settings import Retrieval
from patchlens.tasks.retrieval.show import Asked, answers, ask

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

TITLE = "Retrieval sheets"


def write(
    dataset: DatasetName,
    settings: "Settings",
    pictures: Pictures,
) -> None:
    """Write `lists.json`: the ranked lists of a few queries, which are those of all models."""
    content: dict[str, Any] = {"columns": []}
    asked_on: dict[tuple[int, int], Asked] = {}
    retrieval = settings.section(Retrieval)
    for model in settings.models:
        cell = Cell(dataset=dataset, model=model, settings=settings)
        header = cell.query.header
        if header.grid not in asked_on:  # the queries depend on the model's grid only
            asked_on[header.grid] = ask(cell.index, header, retrieval)
        asked = asked_on[header.grid]
        objects, ids = asked.objects, header.image_ids

        def place(o: int, objects: Any = objects, ids: list[str] = ids) -> dict[str, Any]:
            image = pictures.of(ids[objects.row[o]])
            return {"image": image, "box": [round(float(v), 2) for v in objects.box[o]]}

        content |= {"head": asked.head, "distance": retrieval.distance, "title": TITLE}
        for variant, transforms in cell.fit(shown_variants(settings)).transforms.items():
            lists = answers(asked, cell.query, transforms, retrieval.distance)
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
    write_json(content, pictures.folder / "lists.json")
