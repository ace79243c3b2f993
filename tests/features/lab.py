"""A tiny extraction, also run as a program by tests that kill it or weigh its memory."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from memory import peak
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.features import extract
from patchlens.features.extract import Extractor, ImageSource, Shard
from patchlens.features.store import Header
from patchlens.settings.datasets import View
from patchlens.settings.features import Features

WHOLE = View(mode="whole", grid="equal", patches=[4, 6])
SIZE = (32, 48)  # of the images, height and width


def ids(count: int) -> list[str]:
    return [f"image {i:03d}" for i in range(count)]


def picture(image_id: str, size: tuple[int, int] = SIZE) -> Image.Image:
    rng = np.random.default_rng(int(image_id[-3:]))
    return Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))


def extractor(view: View = WHOLE, backbone=None, **changes) -> Extractor:
    fields = {"layer": -1, "layer_sweep": [], "norm": True, "dtype": "float16", "batch_size": 2}
    features = Features(**fields | changes)
    return Extractor(backbone or PixelsBackbone(8), view, features, "cpu")


def helping(log: Path, seconds: float) -> Callable[[Shard], int]:
    """What makes shards in another process: it writes its id to `log`, and is slow."""

    def read(image_id: str) -> Image.Image:
        with log.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        time.sleep(seconds)
        return picture(image_id)

    other = extractor()
    return lambda shard: other.shard(read, shard)


def header(image_ids: list[str], dtype: str = "float16") -> Header:
    return Header(
        dataset="d",
        split="query",
        model="m",
        weights="0" * 64,
        image_ids=image_ids,
        grid=(0, 0),
        width=0,
        layers=[],
        norm=True,
        dtype=dtype,
        view="whole",
        patch_size=8,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Extract `count` images into `folder`; every image read is written to `folder`/read."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--shard", type=int, default=2)
    parser.add_argument("--stall", help="an image that is never decoded")
    parser.add_argument("--side", type=int, default=1, help="images and input times this")
    given = parser.parse_args(arguments)
    extract.SHARD = given.shard
    view = View(mode="whole", grid="equal", patches=[4 * given.side, 6 * given.side])

    def read(image_id: str) -> Image.Image:
        with (given.folder / "read").open("a") as log:
            log.write(image_id + "\n")
        if image_id == given.stall:
            time.sleep(600)
        return picture(image_id, (SIZE[0] * given.side, SIZE[1] * given.side))

    names = ids(given.count)
    source, out = ImageSource(names, read), given.folder / "out.safetensors"
    about = header(names, "float32")
    extractor(view, dtype="float32").run(source, about, given.folder / "work", out)
    print(peak())


if __name__ == "__main__":
    sys.exit(main())
