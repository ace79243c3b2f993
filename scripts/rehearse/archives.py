"""Archives in the layout of their publishers, with small images that are drawn here.

An image is what its ids say: each id has a colour, with noise on top, so that features of patches
can tell classes and objects apart. Layouts and encodings: docs/datasets, and the sources that it
names. What no source states (the names of folders in the archives of FAIR1M and BDD100K) is as in
the public loaders.
"""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

Ids = NDArray[np.integer[Any]]
Files = dict[str, bytes]  # name in an archive -> content
SIDE = 32  # pixels of a still image


def photo(ids: Ids, seed: str) -> NDArray[np.uint8]:
    """A photograph of these ids."""
    rng = np.random.default_rng(crc32(seed.encode()))
    keys = ids.astype(np.int64)
    colours = np.stack([(keys * prime + 31) % 211 for prime in (37, 101, 157)], axis=-1)
    return np.clip(colours + rng.normal(20, 12, colours.shape), 0, 255).astype(np.uint8)


def picture(array: NDArray[Any], form: str = "png", palette: bool = False) -> bytes:
    """The bytes of a picture."""
    image = Image.fromarray(array)
    if palette:
        image.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
    stream = io.BytesIO()
    image.save(stream, format=form, **({"quality": 95} if form == "jpeg" else {}))
    return stream.getvalue()


def still(ids: Ids, seed: str, form: str = "jpeg") -> bytes:
    return picture(photo(ids, seed), form)


def blocks(values: Ids, height: int, width: int) -> Ids:
    """Values [rows, columns] as blocks of equal size."""
    rows, columns = values.shape
    whole = values.repeat(-(-height // rows), 0).repeat(-(-width // columns), 1)
    return whole[:height, :width]


def zipped(files: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: Files, mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


# --- T1 and T2: images with a mask of classes ----------------------------------------------------


def cityscapes() -> Files:
    """3 train and 3 val cities of 5 frames, and a city of test with dummy annotations."""
    labels = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33, 0, 3]
    shots: Files = {"README": b"", "license.txt": b""}
    truth: Files = {"README": b"", "license.txt": b""}
    cities = {"train": ["aachen", "bremen", "ulm"]}
    cities |= {"val": ["frankfurt", "lindau", "munster"], "test": ["berlin"]}
    for split, names in cities.items():
        for city in names:
            for number in range(5):
                stem = f"{city}_{number:06}_000019"
                rng = np.random.default_rng(crc32(stem.encode()))
                ids = blocks(rng.choice(labels, (4, 8)), 32, 64).astype(np.uint8)
                things = np.where(ids >= 24, ids.astype(np.int32) * 1000, ids).astype(np.int32)
                dummy = ids * 0 if split == "test" else ids
                shots[f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png"] = still(
                    ids, stem, "png"
                )
                base = f"gtFine/{split}/{city}/{stem}_gtFine_"
                truth[f"{base}labelIds.png"] = picture(dummy)
                truth[f"{base}instanceIds.png"] = picture(things.astype(np.uint16))
                truth[f"{base}color.png"] = picture(photo(dummy, "color"))
                truth[f"{base}polygons.json"] = json.dumps({"objects": []}).encode()
    return {"gtFine_trainvaltest.zip": zipped(truth), "leftImg8bit_trainvaltest.zip": zipped(shots)}


def ade20k() -> Files:
    """16 training images, so that each of the 150 classes is in 4 of them or more; 16 others."""
    files: Files = {"ADEChallengeData2016/objectInfo150.txt": b"Idx Ratio Train Val Name\n"}
    files["ADEChallengeData2016/sceneCategories.txt"] = b""
    for split, short, count in (("training", "train", 16), ("validation", "val", 16)):
        for number in range(1, count + 1):
            stem = f"ADE_{short}_{number:08}"
            values = (np.arange(64) + 57 * number + 7 * (short == "val")) % 151  # 0 is `other`
            height, width = SIDE + 8 * (number % 2), SIDE + 8 * (number % 3)
            ids = blocks(values.reshape(8, 8), height, width).astype(np.uint8)
            base = "ADEChallengeData2016"
            files[f"{base}/images/{split}/{stem}.jpg"] = still(ids, stem)
            files[f"{base}/annotations/{split}/{stem}.png"] = picture(ids)
    return {"ADEChallengeData2016.zip": zipped(files)}


def voc2012() -> Files:
    """16 train and 16 val images with void borders, and two images of SBD."""
    base, files = "VOCdevkit/VOC2012", Files()
    for split in ("train", "val"):
        stems = [f"2007_{number:06}" for number in range(1, 17)]
        stems = [stem.replace("2007", "2008") if split == "val" else stem for stem in stems]
        files[f"{base}/ImageSets/Segmentation/{split}.txt"] = ("\n".join(stems) + "\n").encode()
        for number, stem in enumerate(stems):
            values = (np.arange(9) * (number + 1) + number) % 21
            ids = blocks(values.reshape(3, 3), SIDE, SIDE + 8).astype(np.uint8)
            files[f"{base}/JPEGImages/{stem}.jpg"] = still(ids, stem)
            ids[:: SIDE // 3] = 255  # void
            files[f"{base}/SegmentationClass/{stem}.png"] = picture(ids, palette=True)
    sbd, benchmark = "benchmark_RELEASE/dataset", Files()
    for split, stem in (("train", "2009_000001"), ("val", "2009_000002")):
        ids = blocks(np.arange(9).reshape(3, 3), SIDE, SIDE).astype(np.uint8)
        stream = io.BytesIO()
        savemat(
            stream, {"GTcls": {"Boundaries": [], "Segmentation": ids, "CategoriesPresent": [1]}}
        )
        benchmark[f"{sbd}/{split}.txt"] = f"{stem}\n".encode()
        benchmark[f"{sbd}/img/{stem}.jpg"] = still(ids, stem)
        benchmark[f"{sbd}/cls/{stem}.mat"] = stream.getvalue()
    return {"VOCtrainval_11-May-2012.tar": tarred(files, "w"), "benchmark.tgz": tarred(benchmark)}


# --- T3: images with objects ---------------------------------------------------------------------


def cub200() -> Files:
    """4 species with 8 birds each, of which every second is of the test split."""
    base, files = "CUB_200_2011", Files()
    lists: dict[str, list[str]] = {
        f"{name}.txt": []
        for name in (
            "classes",
            "images",
            "image_class_labels",
            "train_test_split",
            "bounding_boxes",
        )
    }
    number = 0
    for species in range(1, 5):
        folder = f"{species:03}.Species_{species}"
        lists["classes.txt"].append(f"{species} {folder}")
        for bird in range(8):
            number += 1
            name = f"{folder}/Species_{species}_{bird:04}_{number}.jpg"
            ids = np.full((SIDE, SIDE + 8), 100 + bird)
            ids[6:26, 6:34] = species
            files[f"{base}/images/{name}"] = still(ids, name)
            lists["images.txt"].append(f"{number} {name}")
            lists["image_class_labels.txt"].append(f"{number} {species}")
            lists["train_test_split.txt"].append(f"{number} {bird % 2}")
            lists["bounding_boxes.txt"].append(f"{number} 6.0 6.0 28.0 20.0")
    for name, lines in lists.items():
        files[f"{base}/{name}"] = ("\n".join(lines) + "\n").encode()
    files["attributes.txt"] = b""
    return {"CUB_200_2011.tgz": tarred(files)}


def grocerystore(commit: str) -> Files:
    """4 products with 4 photographs of each split, as an archive of GitHub."""
    base = f"GroceryStoreDataset-{commit}/dataset"
    head = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
    rows = [head + "Iconic Image Path (str),Product Description Path (str)"]
    files: Files = {f"GroceryStoreDataset-{commit}/README.md": b""}
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for product in range(4):
        group, name = product // 2, f"Product-{product}"
        iconic = f"iconic-images-and-descriptions/Fruit/{name}/{name}_Iconic.jpg"
        text = f"/iconic-images-and-descriptions/Fruit/{name}/{name}_Description.txt"
        rows.append(f"{name},{product},Group-{group},{group},/{iconic},{text}")
        ids = np.full((SIDE, SIDE), product + 3)
        files[f"{base}/{iconic}"] = still(ids, name)
        for split, lines in lists.items():
            for i in range(4):
                path = f"{split}/Fruit/Group-{group}/{name}/{name}_{i:03}.jpg"
                shown = ids.copy()
                shown[: 4 * i] = 60 + i
                files[f"{base}/{path}"] = still(shown, path)
                lines.append(f"{path}, {product}, {group}")
    files[f"{base}/classes.csv"] = ("\n".join(rows) + "\n").encode()
    for split, lines in lists.items():
        files[f"{base}/{split}.txt"] = ("\n".join(lines) + "\n").encode()
    return {f"{commit}.zip": zipped(files)}


def fair1m() -> Files:
    """16 images of validation and 2 of each other part, with 4 oriented boxes each."""
    fine = ["Boeing737", "A220", "Dry Cargo Ship", "Small Car", "Bridge", "Tennis Court"]
    found: Files = {}
    for part, labels in (("train/part1", "labelXml"), ("train/part2", "labelXmls"),
                         ("validation", "labelXmls")):  # fmt: skip
        images, texts = Files(), Files()
        for number in range(16 if part == "validation" else 2):
            ids, objects = np.full((64, 64), 50), ""
            for i, (y, x) in enumerate([(4, 4), (4, 36), (36, 4), (36, 36)]):
                kind = (number + i) % len(fine)
                ids[y : y + 24, x : x + 24] = kind + 1
                points = [(x + 12, y), (x + 24, y + 12), (x + 12, y + 24), (x, y + 12), (x + 12, y)]
                corners = "".join(f"<point>{a:.6f},{b:.6f}</point>" for a, b in points)
                objects += (
                    "<object><coordinate>pixel</coordinate><type>rectangle</type>"
                    "<description>None</description><possibleresult>"
                    f"<name>{fine[kind]}</name></possibleresult><points>{corners}</points></object>"
                )
            images[f"images/{number}.tif"] = still(ids, f"{part}{number}", "tiff")
            texts[f"labelXml/{number}.xml"] = (
                '<?xml version="1.0" encoding="utf-8"?><annotation><source>'
                f"<filename>{number}.tif</filename></source><objects>{objects}</objects></annotation>"
            ).encode()
        found |= {f"{part}/images.zip": zipped(images), f"{part}/{labels}.zip": zipped(texts)}
    return found


# --- T4: videos ----------------------------------------------------------------------------------


def moving(
    name: str, frames: int, objects: int
) -> Iterator[tuple[Ids, dict[int, tuple[int, ...]]]]:
    """Ids of each frame, and the box (x, y, width, height) of every object in it."""
    shift = crc32(name.encode()) % 7
    for frame in range(frames):
        ids = blocks((np.arange(6).reshape(2, 3) + shift) % 9 + 200, 48, 80)
        boxes = {}
        for i in range(1, objects + 1):
            x, y = (12 * i + frame + shift) % 60, 6 + 10 * ((i + shift) % 3)
            ids[y : y + 16, x : x + 12] = 10 * shift + i
            boxes[i] = (x, y, 12, 16)
        yield ids, boxes


def davis2017() -> Files:
    """30 videos of val and 2 of train, 3 frames each."""
    base, files = "DAVIS", Files()
    files[f"{base}/SOURCES.md"] = b""
    for split, count in (("train", 2), ("val", 30)):
        names = [f"{split}-{number:02}" for number in range(count)]
        files[f"{base}/ImageSets/2017/{split}.txt"] = ("\n".join(names) + "\n").encode()
        for name in names:
            for frame, (ids, boxes) in enumerate(moving(name, 3, 2)):
                mask = np.zeros(ids.shape, np.uint8)
                for i, (x, y, width, height) in boxes.items():
                    mask[y : y + height, x : x + width] = i
                mask[0, :4] = 255  # void
                files[f"{base}/JPEGImages/480p/{name}/{frame:05}.jpg"] = still(
                    ids, f"{name}{frame}"
                )
                annotation = f"{base}/Annotations/480p/{name}/{frame:05}.png"
                files[annotation] = picture(mask, palette=True)
    return {"DAVIS-2017-trainval-480p.zip": zipped(files)}


def mot17() -> Files:
    """Seven videos of train with their three copies, and a video of test without ground truth."""
    base, files = "MOT17", Files()
    numbers = {"train": ("02", "04", "05", "09", "10", "11", "13"), "test": ("01",)}
    for split, names in numbers.items():
        for name in names:
            moved = enumerate(moving(name, 22, 4), start=1)
            shown = [(still(ids, f"{name}{frame}"), boxes) for frame, (ids, boxes) in moved]
            for detector in ("DPM", "FRCNN", "SDP"):
                folder = f"{base}/{split}/MOT17-{name}-{detector}"
                info = f"[Sequence]\nname=MOT17-{name}-{detector}\nimDir=img1\nframeRate=30\n"
                info += f"seqLength={len(shown)}\nimWidth=80\nimHeight=48\nimExt=.jpg\n\n"
                files[f"{folder}/seqinfo.ini"] = info.encode()
                files[f"{folder}/det/det.txt"] = b""
                lines = []
                for frame, (image, boxes) in enumerate(shown, start=1):
                    files[f"{folder}/img1/{frame:06}.jpg"] = image
                    lines += [
                        f"{frame},{i},{x + 1},{y + 1},{w},{h},1,1,1"
                        for i, (x, y, w, h) in boxes.items()
                    ]
                if split == "train":
                    files[f"{folder}/gt/gt.txt"] = ("\n".join(lines) + "\n").encode()
    return {"MOT17.zip": zipped(files)}


def bdd100k_track() -> Files:
    """2 videos of train and 11 of val; the parts of `MOT 2020 Images` and the labels."""
    images, labels = Files(), Files()
    for split, count in (("train", 2), ("val", 11)):
        for number in range(count):
            video = f"b{number:07x}-{split[0] * 2}{number:06x}".replace("t", "a").replace("v", "c")
            records = []
            for frame, (ids, boxes) in enumerate(moving(video, 22, 4)):
                name = f"{video}-{frame + 1:07}.jpg"
                images[f"bdd100k/images/track/{split}/{video}/{name}"] = still(ids, name)
                found = [
                    {
                        "id": str(i),
                        "category": ("car", "pedestrian", "bus", "other person")[i - 1],
                        "attributes": {"crowd": False, "occluded": False, "truncated": False},
                        "box2d": {"x1": x, "y1": y, "x2": x + w - 1, "y2": y + h - 1},
                    }
                    for i, (x, y, w, h) in boxes.items()
                ]
                about = {"name": name, "videoName": video, "frameIndex": frame, "labels": found}
                records.append(about)
            path = f"bdd100k/labels/box_track_20/{split}/{video}.json"
            labels[path] = json.dumps(records).encode()
    return {"images.zip": zipped(images), "box_track_labels_trainval.zip": zipped(labels)}


MAKERS: dict[str, Callable[..., Files]] = {
    maker.__name__: maker
    for maker in (
        *(cityscapes, ade20k, voc2012, cub200, grocerystore, fair1m, davis2017, mot17),
        bdd100k_track,
    )
}
