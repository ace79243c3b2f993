"""A damaged file between two stages is one line that names it and what makes it again."""

import errno
import hashlib
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file

from patchlens import paths, stored
from patchlens.datasets.index import Index
from patchlens.datasets.tables import IMAGES, rows_of
from patchlens.errors import DataError, SettingsError
from patchlens.features.moments import Moments, Ranked
from patchlens.features.store import FeatureFile, Header, write
from patchlens.files import write_csv, write_json, write_parquet
from patchlens.names import DatasetName, ModelName
from patchlens.report import rows
from patchlens.site import precomputed
from patchlens.tasks.table import TASKS
from patchlens.tasks.tracking import explore

DATASET, MODEL = DatasetName("minicity"), ModelName("dino")
CELL = {"dataset": DATASET, "model": MODEL}
INDEX = paths.index(DATASET)


def features(path: Path) -> None:
    header = Header(
        *("minicity", "query", "dino", "0" * 64, ["a", "b"], (2, 3), 4, [7, 3], True, "float16"),
        *("whole", 8),
    )
    part = path.with_name("part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(np.ones((2, 2, 3, 4), np.float16).tobytes())
    write(header, {7: [part], 3: [part]}, path)
    part.unlink()


def moments(path: Path) -> None:
    tensors = {name: np.ones((2, 4)) for name in ("total", "squares", "mean", "variance")}
    tensors |= {"count": np.ones(2), "ranking": np.ones((2, 4), np.int64)}
    about = {"about": json.dumps({"image_ids": ["a", "b"], "seeds": [0, 1]})}
    save_file(tensors, path, metadata=about)


def images(path: Path) -> None:
    with rows_of(path, IMAGES) as add:
        add([{"image_id": i, "split": "s", "path": f"{i}.png"} for i in "abcd"])


def score() -> dict[str, Any]:
    protocol = {"k": 10, "view": "whole"}
    return {"knn": {"raw": {"pixel_miou": 0.5}}, "protocol": protocol}


def read_row() -> Any:
    Path("metrics/cells/minicity/dino/extract.json").write_text("{}")
    return list(rows._rows(TASKS["segmentation"], **CELL))


def read_records() -> Any:
    write_json(INDEX_JSON, INDEX / "dataset.json")
    write_parquet(pd.DataFrame({"image_id": ["a"], "unit": ["a"]}), INDEX / "query.parquet")
    row = CELL | {"head": "knn", "variant": "raw"}
    return rows.weighted_of(TASKS["segmentation"], row)


def read_features() -> Any:
    file = FeatureFile(paths.features(**CELL) / "query.safetensors")
    return file.images(["a", "b"], file.header.layers[0])


MOT = paths.tracks(dataset=DatasetName("minicity_video"), model=MODEL) / "raw/mot/v0.txt"


def read_mot() -> Any:
    with stored.reading(MOT):
        return explore._tracks(MOT)


INDEX_JSON = {
    "reader": "minicity",
    "classes": ["road", "sky"],
    "palette": [],
    "labels": {"0": 0, "1": 1},
    "pixels": {"query": [3, 4, 0]},
}
CONFUSED = {"image_id": "a", "true": [0, 1], "predicted": 0, "count": [3, 4], "head": "knn"}
CONFUSED |= {"variant": "raw", "seed": 0, "draw": 0, "level": "pixel"}
TABLE = pd.DataFrame({"dataset": ["minicity"], "model": ["dino"], "head": "knn", "variant": "raw"})
Kind = tuple[Path, Callable[[Path], object], Callable[[], object], str]
# A file, how to write it well, how a later stage reads it, and the remedy of the shipped dvc.yaml.
KINDS: dict[str, Kind] = {
    "index": (
        INDEX / "dataset.json",
        lambda path: write_json(INDEX_JSON, path),
        lambda: Index(INDEX, Path()).pixels,
        "dvc checkout {} --force`, or make it again with `dvc repro index@minicity`",
    ),
    "images": (
        INDEX / "images.parquet",
        images,
        lambda: write_json(INDEX_JSON, INDEX / "dataset.json") or Index(INDEX, Path()).images,
        "dvc checkout {} --force`, or make it again with `dvc repro index@minicity`",
    ),
    "features": (
        paths.features(**CELL) / "query.safetensors",
        features,
        read_features,
        "dvc checkout {} --force`, or make it again with `dvc repro extract@dino-minicity`",
    ),
    "moments": (
        paths.moments(**CELL),
        moments,
        lambda: (Moments.read(paths.moments(**CELL)), Ranked.read(paths.moments(**CELL))),
        "dvc checkout {} --force`, or make it again with `dvc repro prune@dino-minicity`",
    ),
    "cell": (
        paths.cell(**CELL) / "segmentation.json",
        lambda path: write_json(score(), path),
        read_row,
        "git checkout {}`, or make it again with `dvc repro segmentation@dino-minicity`",
    ),
    "records": (
        paths.cell(**CELL) / "segmentation.records.parquet",
        lambda path: write_parquet(pd.DataFrame(CONFUSED), path),
        read_records,
        "dvc checkout {} --force`, or make it again with `dvc repro segmentation@dino-minicity`",
    ),
    "curve": (
        paths.cell(**CELL) / "segmentation_c.csv",
        lambda path: write_csv(
            pd.DataFrame({"seed": [0, 1], "variant": "raw", "c": [1.0, 0.25]}), path
        ),
        lambda: stored.read_csv(paths.cell(**CELL) / "segmentation_c.csv", "seed", "c"),
        "git checkout {}`, or make it again with `dvc repro segmentation@dino-minicity`",
    ),
    "table": (
        paths.TABLES / "retrieval.csv",
        lambda path: write_csv(TABLE, path),
        lambda: stored.read_csv(paths.TABLES / "retrieval.csv", *rows.NAMES),
        "git checkout {}`, or make it again with `dvc repro tables`",
    ),
    "explorer": (
        paths.EXPLORER / "datasets.json",
        lambda path: write_json({"minicity": ["maps", "patches"]}, path),
        lambda: precomputed.datasets("maps"),
        "dvc checkout {} --force`, or make it again with `dvc repro explorer`",
    ),
    "tracks": (
        MOT,
        lambda path: path.write_text("1,2,1.00,1.00,5.00,5.00,1,-1,-1,-1\n"),
        read_mot,
        "dvc checkout {} --force`, or make it again with `dvc repro tracking@dino-minicity_video`",
    ),
}


@pytest.fixture
def pipeline(here: Path, root: Path) -> Path:
    """A folder with the shipped pipeline and nothing that it makes."""
    for name in ("dvc.yaml", "params.yaml"):
        (here / name).write_bytes((root / name).read_bytes())
    return here


def cut(good: bytes) -> Iterator[bytes]:
    yield from (good[:n] for n in sorted({1, *range(2, len(good), 1 + len(good) // 15)}))


def flipped(good: bytes) -> Iterator[bytes]:
    dice = random.Random(0)
    for place in sorted({*range(0, min(len(good), 30), 2), *dice.sample(range(len(good)), 6)}):
        damaged = bytearray(good)
        damaged[place] ^= 1 << dice.randrange(8)
        yield bytes(damaged)


OTHER = [b"[]", b"{}", b"null\n", b"7", b'"x"\n', b"\x00" * 64, b"a,b\n1\n", b"\xff\xfe\x00x\n"]
HARMS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "empty": lambda good: iter([b""]),
    "cut": cut,
    "flipped": flipped,
    "another": lambda good: iter(OTHER),
}
MUST = {"empty": 1.0, "cut": 0.9, "another": 0.85, "flipped": 0.05}  # the share that is refused


def complaint(read: Callable[[], object]) -> str | None:
    try:
        read()
    except DataError as error:
        return str(error)
    return None


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_named_with_its_remedy(pipeline: Path, kind: str, harm: str) -> None:
    """Damage that leaves a valid file can only be noticed by its hash, as DVC does."""
    path, make, read, remedy = KINDS[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    read()
    good, refused, tried = path.read_bytes(), 0, 0
    for content in HARMS[harm](good):
        path.write_bytes(content)
        tried += 1
        line = complaint(read)
        if line is None:
            continue
        refused += 1
        assert "\n" not in line
        if "of the records" not in line:  # which can be read, but contradict the index
            assert line.startswith(f"{path}"), line
            assert line.endswith(f"run `{remedy.format(path)}")
    assert tried >= (10 if harm in ("cut", "flipped") else 1)
    if kind != "tracks":  # of which every line stands for itself
        assert refused >= MUST[harm] * tried, f"{refused} of {tried}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_named_with_its_remedy(pipeline: Path, kind: str) -> None:
    path, make, read, remedy = KINDS[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    read()
    path.unlink()
    with pytest.raises(DataError) as caught:
        read()
    line, again = str(caught.value), remedy.rpartition("`dvc")[2]
    assert line.startswith(f"{path}: missing; run `{'git' if remedy[0] == 'g' else 'dvc repro'} ")
    assert line.endswith(f"`dvc{again}")


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("data/raw/minicity/x.png", "run `dvc checkout {} --force`, or .*`dvc repro render@mini"),
        ("data/raw/own/manifest.json", "run `dvc checkout {} --force`, .*`dvc repro manifest@own`"),
        ("data/raw/scenes/x.png", "run `dvc repro fetch@scenes`$"),
        ("data/weights/dino.safetensors", "run `dvc checkout {} .* `dvc repro weights@dino`"),
        ("metrics/weights/dino.json", "run `git checkout {}`, or .*`dvc repro weights@dino`"),
        ("data/degraded/minicity/dino.safetensors", "run `dvc checkout {} .*degrade@dino-minic"),
        ("data/code/tasks.yaml", "run `dvc checkout {} .*`dvc repro code`"),
        ("metrics/claims/claims.csv", "run `git checkout {}`, .*`dvc repro claims`"),
        ("data/weights/gone.safetensors", "run `dvc repro`$"),  # of no configured model
        ("elsewhere/x", "run `dvc repro`$"),
    ],
)
def test_the_remedy_is_that_of_the_pipeline(pipeline: Path, path: str, remedy: str) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["fetch"] |= {"placed": ["own"], "downloaded": ["scenes"]}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    place = Path(path)
    place.parent.mkdir(parents=True)
    place.touch()
    assert re.match(remedy.format(path), stored.remedy_for(Path(path)))


@pytest.mark.parametrize("harm", ["dvc.yaml", "params.yaml"])
def test_a_damaged_pipeline_does_not_hide_the_damaged_file(pipeline: Path, harm: str) -> None:
    Path(harm).write_text("a: [")
    with pytest.raises(DataError, match=r"^m\.json: missing; run `dvc repro`$"):
        stored.read_json(Path("m.json"))


def test_what_is_no_file_is_not_opened(pipeline: Path) -> None:
    os.mkfifo("fifo")  # opening it would wait for ever
    Path("folder").mkdir()
    for name, what in (("fifo", "a FIFO"), ("folder", "a folder")):
        with pytest.raises(DataError, match=f"^{name}: is {what}, not a file; run"):
            stored.read_json(Path(name))


def test_an_error_of_ours_and_of_the_machine_stays_what_it_is(pipeline: Path) -> None:
    Path("x").write_text("x")
    for error in (SettingsError("a"), MemoryError(), OSError(errno.EIO, "b")):
        with pytest.raises(type(error)) as caught, stored.reading(Path("x")):
            raise error
        assert caught.value is error


def lock(**outs: str) -> None:
    listed = [{"path": path, "md5": digest} for path, digest in outs.items()]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"one": {"outs": listed}}}))


@pytest.mark.parametrize("folder", [False, True])
def test_damage_that_shows_late_is_traced_to_its_file(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    """`score` became `scorf`: still JSON, and an error only where it is used."""
    monkeypatch.setattr(stored, "_read", {})
    good, path = b'{"score": 1}\n', Path("data/a.json")
    path.parent.mkdir()
    digest = hashlib.md5(good).hexdigest()
    if folder:
        whole = stored.CACHE / "ab/cd.dir"
        whole.parent.mkdir(parents=True)
        whole.write_text(json.dumps([{"md5": digest, "relpath": "a.json"}]))
        lock(data="abcd.dir")
    else:
        lock(**{"data/a.json": digest})
    path.write_bytes(good)
    assert stored.read_json(path) == {"score": 1}
    assert stored.blame(KeyError("score")) is None  # a mistake of ours: the file is what it was
    path.write_bytes(good.replace(b"e", b"f"))
    found = stored.blame(KeyError("score"))
    assert str(found).startswith("data/a.json: is damaged: it is not what its stage wrote")
    assert "KeyError: 'score'" in str(found)
    monkeypatch.setattr(stored, "_read", {})
    assert stored.blame(KeyError("score")) is None  # it was not read
