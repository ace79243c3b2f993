"""Renders frames, measures two mini ViTs and a floor on them, and writes a page with pictures."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from PIL import Image

import patchlens as pl
from patchlens.backbones.contract import Backbone
from patchlens.datasets.sheet import palette
from patchlens.display.grid import markdown
from patchlens.display.pictures import QUALITY, label_png, spread
from patchlens.errors import SettingsError
from patchlens.features.cell import Cell
from patchlens.files import write_text
from patchlens.tasks import result
from patchlens.tasks.identification.copies import Copy
from patchlens.tasks.segmentation.inputs import open_inputs
from patchlens.tasks.segmentation.neighbours import first_support, neighbours
from patchlens.tasks.segmentation.run import run as segment
from patchlens.tasks.segmentation.upsample import upsampled_argmax

HERE = Path(__file__).parent
STILLS, SHOTS, SEEDS, SHOWN = 12, 8, 2, 4  # of support and of query, labelled, draws, on the page
NOISE = (0, 40, 80, 160)  # standard deviation on 0..255
CHANCE = "commonest class"
MINI: dict[str, Any] = {
    "arch": "vit_tiny_patch16_224",
    "arch_args": {"img_size": 64, "patch_size": 8, "embed_dim": 96, "depth": 4, "num_heads": 3},
}
MODELS: dict[str, tuple[Path | dict[str, Any], dict[str, Any], str]] = {
    "supervised": (
        HERE / "supervised.safetensors",
        MINI,
        "a mini ViT trained with class labels of this world: a ceiling",
    ),
    "mae": (
        HERE / "mae.safetensors",
        MINI,
        "the same ViT, trained without labels as a masked autoencoder",
    ),
    "pixels": (
        {"source": "pixels", "patch_size": 8},
        {},
        "mean colour and place of a patch: a floor",
    ),
}
Maps = dict[str, np.ndarray]


def run(out: Path, *, degrade: bool, say: Callable[[str], None]) -> None:
    """Print a table of mIoU with 95 % intervals, and write a self-contained page.

    Args:
        out: the page, an HTML file.
        degrade: whether to measure also on ever noisier copies of all images.
        say: prints a text.

    Raises:
        SettingsError: the page is a folder.
    """
    if out.is_dir():
        raise SettingsError(f"{out}: is a folder; name the page, as in --out demo.html")
    say(f"Rendering {2 * STILLS} frames of a street ...")
    data = pl.load_dataset("minicity", stills=STILLS, shots=SHOTS, seeds=SEEDS, patches=(16, 32))
    levels = NOISE if degrade else NOISE[:1]
    rows: dict[str, list[str]] = {name: [] for name in [*MODELS, CHANCE]}
    predicted: dict[str, Maps] = {}
    for noise in levels:
        say(f"Measuring {len(MODELS)} models{f' with noise {noise}' if noise else ''} ...")
        shown = noisy(data, noise) if noise else data
        for name, (model, more, _) in MODELS.items():
            backbone = pl.load_backbone(model, **more)
            backbone.name = name
            found, maps = measured(backbone, shown)
            rows[name].append(_score(found, "knn"))
            predicted.setdefault(name, maps)
        rows[CHANCE].append(_score(found, "majority"))
    names = [f"noise {noise}" for noise in levels] if degrade else ["mIoU in %"]
    header, body = ["", *names], [[name, *scores] for name, scores in rows.items()]
    write_text(_page(data, predicted, header, body), out)
    say(f"\n{markdown(header, body)}\n")
    say(
        f"Patches of {STILLS} images are named by their 10 nearest among {SHOTS} labelled images; "
        "mIoU of pixels in per cent, with 95 % intervals over images."
    )
    if degrade:
        say("A probe measures the signal: it falls as noise destroys it.")
    say(f"Pictures: {out.resolve().as_uri()}")


def measured(backbone: Backbone, data: pl.Data) -> tuple[pl.Result, Maps]:
    """T1's scores, and the predicted classes [H, W] of a few query images."""
    maps: Maps = {}

    def segmentation(cell: Cell) -> result.Result:
        inputs = open_inputs(cell)
        ids = spread(cell.query.header.image_ids, SHOWN)
        found = neighbours(inputs, first_support(inputs), "raw", ids)
        assert found is not None  # raw features have dimensions
        for image_id, shares in zip(ids, found.shares, strict=True):
            maps[image_id] = upsampled_argmax(shares, inputs.mask(image_id).shape)
        return segment(cell)

    return pl.evaluate(backbone, data, segmentation, heads=["knn"]), maps


def noisy(data: pl.Data, noise: float) -> pl.Data:
    """The same images, support and query, with Gaussian noise."""
    index = data.index
    ids = [str(image_id) for image_id in index.images.index]
    known = set(index.images.index[index.images["split"] == "support"])
    return pl.from_arrays(
        [Copy(i, "noise", noise).of(index.image(i), seed=0) for i in ids],
        [np.asarray(index.mask(i)) for i in ids],
        classes=index.classes,
        support=[row for row, image_id in enumerate(ids) if image_id in known],
        shots=SHOTS,
        seeds=SEEDS,
        patches=(16, 32),
        names=ids,
        name=str(data.name),
    )


def _score(found: pl.Result, head: str) -> str:
    scores = found.metrics[head]["raw"]
    ends = [100 * scores[f"pixel_miou{end}"] for end in ("", "_ci_low", "_ci_high")]
    return "{:.1f} [{:.1f}, {:.1f}]".format(*ends)


def _page(
    data: pl.Data, predicted: dict[str, Maps], header: list[str], body: list[list[str]]
) -> str:
    index, colours = data.index, palette(data.index)
    pictures = [
        [_photo(index.image(i)), label_png(np.asarray(index.mask(i)), colours)]
        + [label_png(maps[i], colours) for maps in predicted.values()]
        for i in next(iter(predicted.values()))
    ]
    template = (HERE / "page.html").read_text(encoding="utf-8")
    about = {name: text for name, (_, _, text) in MODELS.items()}
    legend = zip(index.classes, colours, strict=True)
    page = Environment(autoescape=True).from_string(template)
    return page.render(header=header, body=body, about=about, pictures=pictures, legend=legend)


def _photo(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
