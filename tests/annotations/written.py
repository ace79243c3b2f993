"""One scene as each tool writes it: a road below, a car before it, both in `a.png` of 40×30."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

WIDTH, HEIGHT = 40, 30
ROAD = [0, 15, 40, 15, 40, 30, 0, 30]
CAR = [10, 10, 20, 10, 20, 20, 10, 20]
CAR_BOX = (10, 10, 20, 20)


def scene(road: int = 1, car: int = 2) -> np.ndarray:
    """The class mask [H, W] that every format must give."""
    values = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    values[15:30], values[10:20, 10:20] = road, car
    return values


def photos(folder: Path, *names: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    return folder


def text(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = content if isinstance(content, str) else json.dumps(content)
    path.write_text(written, encoding="utf-8")
    return path


def pairs(flat: list[float]) -> list[list[float]]:
    return [flat[i : i + 2] for i in range(0, len(flat), 2)]


def png(mask: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def coco(folder: Path, car: Any = None, **more: Any) -> Path:
    shapes = [
        {"category_id": 7, "bbox": [10, 10, 10, 10], "segmentation": car or [CAR]},
        {"category_id": 3, "bbox": [0, 15, 40, 15], "segmentation": [ROAD]},
    ]
    annotations = [{"id": i + 1, "image_id": 5, "iscrowd": 0, **s} for i, s in enumerate(shapes)]
    return text(folder / "instances.json", {
        "images": [{"id": 5, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 3, "name": "road"}, {"id": 7, "name": "car"}],
        "annotations": annotations,
    } | more)  # fmt: skip


def of_car(order: str = "F") -> np.ndarray:
    return np.asarray(scene() == 2, order=order, dtype=np.uint8)  # type: ignore[call-overload]


def runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of a flat mask, beginning with that of 0."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [-1]])))
    return [int(v) for v in np.diff(np.concatenate([[0], edges]))]


def coco_compressed(folder: Path) -> Path:
    found = coco_mask.encode(of_car())
    return coco(folder, {"size": found["size"], "counts": found["counts"].decode()})


def coco_runs(folder: Path) -> Path:
    counts = runs(of_car().flatten(order="F"))
    return coco(folder, {"size": [HEIGHT, WIDTH], "counts": counts})


def labelme(folder: Path, **more: Any) -> Path:
    def shape(label: str, flat: list[float]) -> dict[str, Any]:
        return {"label": label, "points": pairs(flat), "shape_type": "polygon", "flags": {}}

    text(folder / "a.json", {
        "version": "5.4.1", "flags": {}, "imagePath": "..\\photos\\a.png", "imageData": None,
        "imageHeight": HEIGHT, "imageWidth": WIDTH,
        "shapes": [shape("road", ROAD), shape("car", CAR)],
    } | more)  # fmt: skip
    return folder


def labelme_mask(folder: Path) -> Path:
    crop = np.full((10, 10), 255, dtype=np.uint8)
    car = {"label": "car", "shape_type": "mask", "points": [[10, 10], [19, 19]], "mask": png(crop)}
    road = {"label": "road", "shape_type": "polygon", "points": pairs(ROAD)}
    return labelme(folder, shapes=[road, car])


LABELS = "<labels><label><name>road</name></label><label><name>car</name></label></labels>"


def joined(flat: list[float]) -> str:
    return ";".join(f"{x}.00,{y}.00" for x, y in pairs(flat))


def cvat(folder: Path, car: str | None = None, road_z: int = 0) -> Path:
    car = car or f'<polygon label="car" points="{joined(CAR)}" z_order="1"/>'
    road = f'<polygon label="road" points="{joined(ROAD)}" z_order="{road_z}"/>'
    return text(folder / "annotations.xml", (
        f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task>'
        f'{LABELS}</task></meta><image id="0" name="photos/a.png" width="{WIDTH}" '
        f'height="{HEIGHT}">{car}{road}</image></annotations>'
    ))  # fmt: skip


def cvat_mask(folder: Path) -> Path:
    return cvat(folder, '<mask label="car" source="manual" occluded="0" rle="0, 100" left="10" '
                        'top="10" width="10" height="10" z_order="1"/>')  # fmt: skip


def yolo(folder: Path) -> Path:
    def line(number: int, flat: list[float]) -> str:
        shares = [v / (WIDTH, HEIGHT)[i % 2] for i, v in enumerate(flat)]
        return " ".join([str(number), *(f"{v:.6f}" for v in shares)])

    text(folder / "labels" / "a.txt", f"{line(1, CAR)}\n{line(0, ROAD)}\n")
    text(folder / "data.yaml", "train: images\nnames:\n  0: road\n  1: car\n")
    return folder


def voc(folder: Path) -> Path:
    text(folder / "Annotations" / "a.xml", (
        "<annotation><filename>a.jpg</filename><size><width>40</width><height>30</height></size>"
        "<object><name>car</name><difficult>0</difficult><bndbox><xmin>11</xmin><ymin>11</ymin>"
        "<xmax>20</xmax><ymax>20</ymax></bndbox></object></annotation>"
    ))  # fmt: skip
    image = Image.fromarray(scene())
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    (folder / "SegmentationClass").mkdir(parents=True)
    image.save(folder / "SegmentationClass" / "a.png")
    text(folder / "class_names.txt", "_background_\nroad\ncar\n")
    return folder


def label_studio(folder: Path, car: dict[str, Any] | None = None) -> Path:
    size = {"original_width": WIDTH, "original_height": HEIGHT}

    def result(label: str, flat: list[float]) -> dict[str, Any]:
        points = [[x / WIDTH * 100, y / HEIGHT * 100] for x, y in pairs(flat)]
        value = {"points": points, "polygonlabels": [label]}
        return {"id": label, "type": "polygonlabels", "value": value, **size}

    return text(folder / "export.json", [{
        "id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"},
        "annotations": [{"was_cancelled": False,
                         "result": [result("road", ROAD), car or result("car", CAR)]}],
    }])  # fmt: skip


def packed(values: np.ndarray) -> list[int]:
    """Values as @thi.ng/rle-pack writes them: runs of up to 8, 16, 256 and 65536, in bits."""
    sizes = (3, 4, 8, 16)
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    at = 0
    while at < len(values):
        same = at
        while same < len(values) and values[same] == values[at] and same - at < 65536:
            same += 1
        run = same - at
        kind = next(i for i, size in enumerate(sizes) if run <= 1 << size)
        bits += f"1{kind:02b}{run - 1:0{sizes[kind]}b}{values[at]:08b}"
        at = same
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def label_studio_brush(folder: Path) -> Path:
    rgba = np.repeat(of_car().ravel() * 255, 4)
    value = {"format": "rle", "rle": packed(rgba), "brushlabels": ["car"]}
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    return label_studio(folder, {"id": "car", "type": "brushlabels", "value": value, **size})


def supervisely(folder: Path) -> Path:
    crop = np.full((10, 10), 255, dtype=np.uint8)
    data = base64.b64encode(zlib.compress(base64.b64decode(png(crop)))).decode()
    text(folder / "ann" / "a.png.json", {
        "size": {"width": WIDTH, "height": HEIGHT},
        "objects": [
            {"classTitle": "road", "geometryType": "polygon",
             "points": {"exterior": pairs(ROAD), "interior": []}},
            {"classTitle": "car", "geometryType": "bitmap",
             "bitmap": {"data": data, "origin": [10, 10]}},
        ],
    })  # fmt: skip
    return folder


def masks(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Image.fromarray(scene()).save(folder / "a_mask.png")
    text(folder / "classes.txt", "background\nroad\ncar\n")
    return folder


def masks_palette(folder: Path) -> Path:
    masks(folder)
    image = Image.fromarray(scene())
    image.putpalette([0, 0, 0, 128, 64, 128, 0, 0, 142])
    image.save(folder / "a_mask.png")
    return folder


def masks_colour(folder: Path) -> Path:
    masks(folder)
    table = np.array([[0, 0, 0], [128, 64, 128], [0, 0, 142]], dtype=np.uint8)
    Image.fromarray(table[scene()]).save(folder / "a_mask.png")
    (folder / "classes.txt").unlink()
    text(folder / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\n"
                                  "road:128,64,128::\ncar:0,0,142::\n")  # fmt: skip
    return folder


def masks_palette_reordered(folder: Path) -> Path:
    """Numbers whose colours are in the list, in another order than that of the numbers."""
    masks_colour(folder)
    image = Image.fromarray(scene(road=2, car=1))
    image.putpalette([0, 0, 0, 0, 0, 142, 128, 64, 128])
    image.save(folder / "a_mask.png")
    return folder


def masks_described(folder: Path) -> Path:
    masks(folder)
    (folder / "classes.txt").unlink()
    Image.fromarray(scene(road=9, car=70)).save(folder / "a_mask.png")
    text(folder / "dataset.yaml", "classes: {0: background, 9: road, 70: car}\n")
    return folder


SCENES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "masks of numbers": ("masks", masks),
    "masks with a palette": ("masks", masks_palette),
    "masks with a palette and a list of its colours": ("masks", masks_palette_reordered),
    "masks in colour": ("masks", masks_colour),
    "masks with dataset.yaml": ("masks", masks_described),
    "COCO polygons": ("coco", coco),
    "COCO compressed RLE": ("coco", coco_compressed),
    "COCO RLE": ("coco", coco_runs),
    "LabelMe polygons": ("labelme", labelme),
    "LabelMe mask": ("labelme", labelme_mask),
    "CVAT polygons": ("cvat", cvat),
    "CVAT mask": ("cvat", cvat_mask),
    "YOLO polygons": ("yolo", yolo),
    "VOC": ("voc", voc),
    "Label Studio polygons": ("label_studio", label_studio),
    "Label Studio brush": ("label_studio", label_studio_brush),
    "Supervisely": ("supervisely", supervisely),
}
