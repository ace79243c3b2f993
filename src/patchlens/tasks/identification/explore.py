"""The data of the interactive page of T2: a patch in degraded copies of its image."""

from typing import TYPE_CHECKING, Any

from patchlens.display.pictures import Pictures, shown_variants
from patchlens.features.cell import Cell
from patchlens.files import write_json
from patchlens.names import DatasetName
from patchlens.tasks.identification.run import open_degraded
from patchlens.tasks.identification.settings import Identification
from patchlens.tasks.identification.show import NOWHERE, ask, nearest, patch_box

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

TITLE = "Identification examples"


def write(
    dataset: DatasetName,
    settings: "Settings",
    pictures: Pictures,
) -> None:
    """Write `copies.json`: one patch in all copies of its image, with its answers."""
    columns = []
    given = settings.section(Identification)
    copies: dict[str, dict[str, Any]] = {}
    for model in settings.models:
        cell = Cell(dataset=dataset, model=model, settings=settings)
        header, clean, degraded = cell.query.header, cell.query, open_degraded(cell)
        asked = ask(pictures.index, header, given)
        true = pictures.of(asked.copies[0].image_id)
        size = (true["height"], true["width"])
        for n, copy in enumerate(asked.copies):
            if copy.copy_id not in copies:
                copies[copy.copy_id] = true | {"file": f"copies/{n:03d}.jpg"}
                pixels = copy.of(pictures.index.image(copy.image_id), given.seed)
                pictures.write(pixels, copies[copy.copy_id]["file"])
        for variant, transforms in cell.fit(shown_variants(settings)).transforms.items():
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
    content = {"columns": columns, "distance": given.distance, "title": TITLE}
    write_json(content, pictures.folder / "copies.json")
