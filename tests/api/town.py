"""A folder of the user's own: stills and two videos with class masks and instance masks."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ["wall", "red", "blue"]
COLOURS = np.array([[90, 90, 90], [200, 40, 40], [40, 60, 200]])
SIDE = 32
VIT = {
    "source": "untrained",
    "arch": "vit_tiny_patch16_224",
    "arch_args": {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 32},
    "seed": 0,
}


def scene(seed: int, shift: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image [32, 32, 3], class mask and instance mask [32, 32]: two squares on a wall."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for label, row in ((1, 1), (2, 17)):
        left = int(rng.integers(0, 12)) + shift
        mask[row : row + 14, left : left + 14] = label
    noise = np.random.default_rng([seed, shift]).integers(-30, 30, (SIDE, SIDE, 3))
    image = (COLOURS[mask] + noise).clip(0, 255).astype(np.uint8)
    return image, mask, mask


def stills(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and class masks."""
    scenes = [scene(seed) for seed in range(count)]
    return [image for image, _, _ in scenes], [mask for _, mask, _ in scenes]


def lay(root: Path, count: int = 16, frames: int = 4) -> None:
    """Write the folder dataset: stills 000000, 000001, ... and the videos walk and run."""
    names = [f"{i:06d}" for i in range(count)]
    files = {name: scene(i) for i, name in enumerate(names)}
    for seed, video in enumerate(("walk", "run")):
        files |= {f"{video}/{f + 1:06d}": scene(100 + seed, f) for f in range(frames)}
    for name, parts in files.items():
        for kind, array in zip(("images", "masks", "instances"), parts, strict=True):
            path = root / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    half = count // 2
    about = {
        "classes": CLASSES,
        "splits": {"support": names[:half], "query": names[half:], "video": ["walk", "run"]},
        "sequences": ["walk", "run"],
        "instances": "majority",
        "instance_scope": "dataset",
    }
    (root / "dataset.yaml").write_text(json.dumps(about))


def videos(frames: int = 4) -> tuple[list[np.ndarray], list[list[list[int]]], list[str]]:
    """The frames of the videos run and walk, the boxes of their squares, and their names."""
    images, boxes, names = [], [], []
    for seed, video in ((101, "run"), (100, "walk")):
        for shift in range(frames):
            image, mask, _ = scene(seed, shift)
            images.append(image)
            names.append(video)
            places = [np.argwhere(mask == label) for label in (1, 2)]
            boxes.append([[*p.min(0)[::-1], *(p.max(0)[::-1] + 1)] for p in places])
    return images, [np.array(b).tolist() for b in boxes], names


def lay_boxes(root: Path) -> None:
    """Write these videos with their boxes as a json in COCO's style: square 1 is one thing."""
    images, boxes, names = videos()
    about = [
        (f"{n}/{i % 4 + 1:06d}.png", b) for i, (n, b) in enumerate(zip(names, boxes, strict=True))
    ]
    for (file, _), image in zip(about, images, strict=True):
        (root / "images" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / "images" / file)
    annotations = [
        {"id": 2 * i + k + 1, "image_id": i + 1, "category_id": 1, "instance_id": k + 1}
        | {"bbox": [x0, y0, x1 - x0, y1 - y0]}
        for i, (_, placed) in enumerate(about)
        for k, (x0, y0, x1, y1) in enumerate(placed)
    ]
    coco = {
        "images": [{"id": i + 1, "file_name": file} for i, (file, _) in enumerate(about)],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations,
    }
    (root / "objects.json").write_text(json.dumps(coco))
    entry = {"splits": {"query": ["run", "walk"]}, "sequences": ["run", "walk"]}
    more = {"classes": ["object"], "objects": "objects.json", "instance_scope": "dataset"}
    (root / "dataset.yaml").write_text(json.dumps(entry | more))
