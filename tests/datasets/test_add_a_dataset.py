"""A dataset in a known layout is one entry in the catalogue, and no other edit."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from fileserver import Site
from patchlens import paths
from patchlens.cli import app
from patchlens.datasets import catalogue
from patchlens.datasets.index import Index
from patchlens.tasks.tracking.files import TrackFiles

FACTS = {"licence": "CC0", "citation": "Doe, 2030", "homepage": "https://x.org", "how": "Ask Doe"}
SEQUENCE = (
    "[Sequence]\nname=x\nimDir=img1\nframeRate=9\nseqLength=2\nimWidth=8\nimHeight=6\nimExt=.jpg"
)
CAMERAS = ["NORTH", "SOUTH"]
VIEW = {"mode": "whole", "grid": "equal", "patches": [2, 2]}


def picture(suffix: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), 90, np.uint8)).save(stream, suffix)
    return stream.getvalue()


def harbour() -> dict[str, bytes]:
    """Boats in MOTChallenge's layout, each sequence once for each of two cameras."""
    files = {}
    for camera in CAMERAS:
        here = f"train/Pier-{camera}"
        files |= {f"{here}/img1/{t:06}.jpg": picture("JPEG") for t in (1, 2)}
        files[f"{here}/gt/gt.txt"] = b"1,5,2,2,3,3,1,1,1\n2,5,3,2,3,3,1,1,1\n2,6,1,1,2,2,1,2,1\n"
        files[f"{here}/seqinfo.ini"] = SEQUENCE
    return files


def museum() -> dict[str, bytes]:
    """Statues in the layout of the revisited benchmarks."""
    truth = {
        "imlist": ["a", "b"],
        "qimlist": ["q"],
        "gnd": [{"bbx": [1, 1, 5, 5], "easy": [0], "hard": [1], "junk": []}],
    }
    files = {f"jpg/{name}.jpg": picture("JPEG") for name in "abq"}
    return files | {"statues.pkl": pickle.dumps(truth, 2)}


def park() -> dict[str, bytes]:
    """A dog in the layout of DAVIS 2017, whose 255 is void."""
    ids = np.zeros((6, 8), np.uint8)
    ids[2:4, 2:4], ids[0] = 1, 255
    stream = io.BytesIO()
    Image.fromarray(ids).save(stream, "PNG")
    files = {f"JPEGImages/480p/dog/{t:05}.jpg": picture("JPEG") for t in range(3)}
    files |= {f"Annotations/480p/dog/{t:05}.png": stream.getvalue() for t in range(3)}
    return files | {"ImageSets/2017/val.txt": b"dog\n"}


# kind: what is copied from an entry of the same layout and changed, its files, its query split,
# what it serves, and what it is refused for.
MADE_UP: dict[str, tuple[str, dict[str, Any], Callable[[], dict[str, bytes]], str, str, str]] = {
    "harbour": ("mot16", {"classes": ["boat", "buoy"], "options": {"detectors": CAMERAS}},
                harbour, "train", "tracking", "segmentation"),
    "museum": ("rparis6k", {"classes": ["statue"], "options": {"truth": "statues.pkl"}},
               museum, "query", "retrieval", "tracking"),
    "park": ("davis2017", {}, park, "val", "tracking", "retrieval"),
}  # fmt: skip


@pytest.fixture(params=MADE_UP)
def kind(request: pytest.FixtureRequest, here: Path, site: Site, monkeypatch: Any) -> str:
    """A made-up kind, added to a copy of the catalogue; its archive lies on a server."""
    name: str = request.param
    like, changes, files, *_ = MADE_UP[name]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, body in files().items():
            archive.writestr(path, body)
    content = yaml.safe_load(catalogue.FILE.read_text(encoding="utf-8"))
    archives = [{"url": site.put(f"{name}.zip", stream.getvalue())}]
    entry = {"title": name.title(), "access": "open", "archives": archives, "counts": {}}
    content[name] = content[like] | entry | FACTS | changes
    copy = here / "catalogue.yaml"
    copy.write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr(catalogue, "FILE", copy)
    return name


@pytest.fixture
def params(kind: str, root: Path) -> dict[str, Any]:
    """The shipped settings with one dataset, of the made-up kind."""
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    query = {"split": MADE_UP[kind][3], "images": "all", "per": "total", "unit": "image"}
    content["datasets"] = {"new": {"kind": kind, "view": VIEW, "support": None, "query": query}}
    content["fetch"] = {"made": [], "downloaded": ["new"], "placed": []}
    content["extract"]["datasets"] = ["new"]
    for task in ("segmentation", "selection", "sweep", "identification", "retrieval", "tracking"):
        content[task]["datasets"] = []
    content[MADE_UP[kind][4]]["datasets"] = ["new"]
    return content


@pytest.fixture
def patchlens(params: dict[str, Any]) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        return CliRunner().invoke(app, list(arguments))

    return run


def test_it_is_listed_fetched_indexed_and_counted(kind: str, patchlens: Any) -> None:
    listed = {e["kind"]: e for e in json.loads(patchlens("datasets", "--json").stdout)}
    assert listed[kind]["title"] == kind.title()
    assert listed[kind]["configured"] == ["new"]
    assert kind in [line.split()[0] for line in patchlens("datasets").stdout.splitlines()]
    for command in (("fetch", "new"), ("index", "new"), ("datasets", "check", "new")):
        found = patchlens(*command)
        assert found.exit_code == 0, found.stderr
    index = Index(paths.index("new"), paths.raw("new"))
    assert len(index.query) == len(index.images[index.images["split"] == MADE_UP[kind][3]]) > 0
    assert index.classes == catalogue.find(kind).classes


def test_tasks_it_serves_run_on_it_and_others_say_why_not(
    kind: str, params: dict[str, Any], patchlens: Any
) -> None:
    assert patchlens("fetch", "new").exit_code == 0
    refused = MADE_UP[kind][5]
    params[refused]["datasets"] = ["new"]
    found = patchlens("fetch", "new")
    assert found.exit_code == 2
    assert f"{refused}.datasets[0]: 'new' has no " in found.stderr
    assert f" (kind {kind}); kinds with them: " in found.stderr


def test_a_misspelt_kind_is_told_of_it(kind: str, params: dict[str, Any], patchlens: Any) -> None:
    params["datasets"]["new"]["kind"] = kind[:-1]
    found = patchlens("fetch", "new")
    assert found.stderr.startswith(f"Error: params.yaml: datasets.new.kind: '{kind[:-1]}' is unkn")
    assert found.stderr.endswith(f"did you mean '{kind}'?\n")


@pytest.mark.parametrize("kind", ["harbour"], indirect=True)
def test_boats_are_scored_as_motchallenge_is(kind: str, patchlens: Any) -> None:
    assert patchlens("fetch", "new").exit_code == patchlens("index", "new").exit_code == 0
    index = Index(paths.index("new"), paths.raw("new"))
    (sequence,) = index.images["sequence"].unique()
    files = TrackFiles(index, kind, {sequence: list(index.images.index)})
    assert (sequence, files.stem(sequence), files.shift) == ("Pier", "Pier-NORTH", 0)
    assert index.objects["evaluated"].tolist() == [True, True, False]


@pytest.mark.parametrize("kind", ["park"], indirect=True)
def test_masks_are_propagated_as_on_davis(kind: str, patchlens: Any) -> None:
    assert patchlens("fetch", "new").exit_code == patchlens("index", "new").exit_code == 0
    index = Index(paths.index("new"), paths.raw("new"))
    assert index.reader == "davis"
    assert index.labels[255] == 255
    assert index.objects["mask_value"].tolist() == [1, 1, 1]
