"""Write the measured block of docs/minicity.md and docs/minicity.png from the rendered dataset.

The block shows that colour and position alone do not solve minicity, measured with the features of
the `pixels` model. Run `make repro` first; then `python scripts/minicity_page.py`.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

from embed import embed
from patchlens import paths
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.datasets.index import Index
from patchlens.datasets.masks import open_ids

ROOT = Path(__file__).parent.parent
PATCH = 8
DISTANCE = 10  # frames of one sequence nearer than this are excluded
DATASETS = ("minicity", "minicity_video")  # the stills and the videos of the default


def main() -> None:
    stills, videos = (Index(ROOT / paths.index(d), ROOT / paths.raw(d)) for d in DATASETS)
    cell = json.loads((ROOT / "metrics/cells/minicity/pixels/segmentation.json").read_text())
    knn = cell["knn"]["raw"]
    lines = [
        "| floor with the features of `pixels` | value | bound |",
        "|---|---|---|",
        f"| k-NN pixel mIoU, k = {cell['protocol']['k']}, {cell['protocol']['shots']} support "
        f"stills, {cell['protocol']['seeds']} seeds | {knn['pixel_miou']:.3f} | < 0.5 |",
    ]
    everything = [(index, split) for index in (stills, videos) for split in splits_of(index)]
    for what, parts in (
        ("stills and videos", everything),
        ("test videos", [(videos, "video_test")]),
    ):
        hits, queries = instance_recall(parts)
        lines.append(f"| instance R@1, {what} ({queries} queries) | {hits:.3f} | < 0.3 |")
    embed(ROOT / "docs/minicity.md", "floors", "\n".join(lines))
    contact_sheet(stills, videos).save(ROOT / "docs/minicity.png", optimize=True)
    print("\n".join(lines))


def splits_of(index: Index) -> list[str]:
    """The splits of an indexed dataset."""
    return list(index.images["split"].unique())


def instance_recall(parts: list[tuple[Index, str]]) -> tuple[float, int]:
    """R@1 of objects of at least one patch, by cosine, and the number of queries with an answer.

    Excluded: the image of the object, and frames of its sequence nearer than DISTANCE.
    """
    features, instances, places, frames = [], [], [], []
    images = [
        (index, *one)
        for index, split in parts
        for one in index.images[index.images["split"] == split].iterrows()
    ]
    for index, image_id, row in images:
        pixels = torch.from_numpy(np.asarray(index.image(str(image_id))).copy())
        (tokens,) = PixelsBackbone(PATCH)(pixels.permute(2, 0, 1)[None], layers=[-1], norm=False)
        ids = open_ids(index.root / row["instances"])
        of_image = index.objects[index.objects["image_id"] == image_id]
        for instance in of_image[of_image["area"] >= PATCH**2]["instance"]:
            mask = torch.from_numpy(ids == instance).float()
            weight = avg_pool2d(mask[None, None], PATCH)[0, 0, :, :, None]
            features.append((tokens.patches[0] * weight).sum((0, 1)) / weight.sum())
            instances.append(instance)
            still = pd.isna(row["sequence"])
            places.append(str(image_id if still else row["sequence"]))
            frames.append(0 if still else row["frame"])
    x = torch.nn.functional.normalize(torch.stack(features), dim=1).numpy()
    same_place = np.equal.outer(np.array(places), np.array(places))
    frame = np.array(frames, dtype=np.int64)
    left_out = same_place & (np.abs(np.subtract.outer(frame, frame)) < DISTANCE)
    relevant = np.equal.outer(np.array(instances), np.array(instances)) & ~left_out
    nearest = np.where(left_out, -np.inf, x @ x.T).argmax(axis=1)
    queries = relevant.any(axis=1)
    return float(relevant[np.arange(len(x)), nearest][queries].mean()), int(queries.sum())


def contact_sheet(index: Index, videos: Index) -> Image.Image:
    """Six stills over their masks, and one test video in six frames."""
    stills = [i for i in index.images.index if i.startswith("query_")][:12:2]
    video = [i for i in videos.images.index if i.startswith("video_test_v03_")][::7][:6]
    palette = np.array(index.palette, dtype=np.uint8)
    masks = [Image.fromarray(palette[index.mask(i)]) for i in stills]
    rows = [[index.image(i) for i in stills], masks, [videos.image(i) for i in video]]
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (6 * width, len(rows) * height))
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            sheet.paste(image, (c * width, r * height))
    return sheet


if __name__ == "__main__":
    main()
