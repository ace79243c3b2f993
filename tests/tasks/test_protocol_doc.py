"""The Python on docs/protocol.md, run as it stands, reaches the numbers that the stages write."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cells import compute
from configured import configured
from conftest import ROOT
from patchlens import paths
from patchlens.datasets import indexing as index
from patchlens.datasets import tables
from patchlens.features.store import Header, write
from patchlens.protocol import DIGITS
from patchlens.settings.classifiers import Linear
from patchlens.settings.datasets import Collected, Query, Support, View
from patchlens.settings.features import Prune
from patchlens.settings.load import Settings
from patchlens.settings.uncertainty import Uncertainty
from patchlens.tasks.identification.copies import copies
from patchlens.tasks.identification.settings import Degradations, Identification
from patchlens.tasks.retrieval.settings import Retrieval
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.tracking.settings import Propagation, Tracking
from tasks.world import settings

SIZE, GRID, WIDTH, CLASSES = (45, 70), (4, 6), 12, 5  # patches cut through pixels
SCALES = np.geomspace(10, 0.02, WIDTH)  # of the dimensions; the last are below whitening's floor
SEEDS, SHOTS = [0, 1, 2], 3
PRUNE = Prune(m=0.26, select="fixed", choices=[0.26], fit_on="support", random_draws=1, pca_drop=1)
UNCERTAINTY = Uncertainty(resamples=100, claim_resamples=10_000, seed=0)
VARIANTS = ("raw", "center", "l2", "zscore", "prune", "keep_top", "prune_random", "pca_drop_top",
            "pca_whiten")  # fmt: skip
TASK = settings(
    variants=list(VARIANTS),
    k=4,
    shots=SHOTS,
    linear=Linear(c=[0.01, 0.3], default_c=1.0, folds=2, max_iter=5000),
)
CHANGES = Identification(
    datasets=["d"],
    images=3,
    patches=5,
    granularities=[1, 2],
    distance="cosine",
    degradations=Degradations(blur=[1.0, 2.0], shift=[4.0], rotation=[10.0, 20.0], scale=[1.2]),
    seed=0,
)
LINKS = Tracking(
    datasets=["d"],
    deltas=[1, 2],
    age=1,
    thresholds=[0.0, 0.5, 0.7, 0.8, 0.9, 0.95],
    davis=Propagation(queue=2, radius=1, top=3, temperature=0.1),
)
EXACT = 0.5 * 10**-DIGITS + 1e-9  # the last digit that is published is right
CLOSE = 10 * 10**-DIGITS  # the probe stops just before its optimum: one patch in 200 may differ


def asked_of(found: Collected, **changes: Any) -> Settings:
    """Settings of dataset `d`."""
    sections = {"prune": PRUNE, "segmentation": TASK, "identification": CHANGES, "tracking": LINKS}
    sections |= {"datasets": {"d": found}, "uncertainty": UNCERTAINTY}
    return configured(**sections | changes)


@pytest.fixture(scope="module")
def doc() -> SimpleNamespace:
    """What the code blocks of the page define, executed from top to bottom."""
    page = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    defined: dict[str, Any] = {}
    for block in blocks:
        exec(block, defined)
    return SimpleNamespace(**defined)


def dataset(root: Path, kind: str = "folder", *, support: bool = True) -> Collected:
    chosen = Support(split="train", images=SHOTS, per="total", seeds=SEEDS)
    return Collected(
        kind=kind,
        root=str(root),
        view=View(mode="whole", grid="equal", patches=list(GRID)),
        support=chosen if support else None,
        query=Query(split="val", images="all", per="total", unit="image"),
    )


def write_features(path: Path, ids: list[str], x: np.ndarray) -> None:
    header = Header("d", path.stem, "m", "0" * 64, ids, GRID, WIDTH, [0], True, "float16", "", 8)
    part = Path("part")
    part.write_bytes(x.astype(np.float16).tobytes())
    write(header, {0: [part]}, path)


def cell(task: str) -> dict:
    return json.loads((paths.cell(dataset="d", model="m") / f"{task}.json").read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two train and two test videos with masks, objects and features, and degraded copies."""
    folder = tmp_path_factory.mktemp("protocol")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        frames = [(s, v, f) for s in ("train", "val") for v in (0, 1) for f in (0, 1, 2, 3, 5)]
        rng = np.random.default_rng(4)
        images = [_image(folder, rng, *frame) for frame in frames]
        objects = [o for image in images for o in _objects(folder, rng, image)]
        _write_index(images, objects)
        x = _features(rng, images, objects)
        ids = [image["image_id"] for image in images]
        write_features(
            paths.features(dataset="d", model="m") / "support.safetensors", ids[:10], x[:10]
        )
        write_features(
            paths.features(dataset="d", model="m") / "query.safetensors", ids[10:], x[10:]
        )
        asked = copies(ids[10:], CHANGES)
        degraded = np.stack([x[ids.index(copy.image_id)] for copy in asked])
        degraded += rng.normal(size=degraded.shape) * SCALES
        write_features(
            paths.degraded(dataset="d", model="m"), [copy.copy_id for copy in asked], degraded
        )
        compute("prune", dataset="d", model="m", settings=asked_of(dataset(folder)))
    return folder


def _image(root: Path, rng: np.random.Generator, split: str, video: int, frame: int) -> dict:
    image_id = f"{split}{video}_{frame}"
    mask = np.kron(rng.integers(0, CLASSES, (4, 6)), np.ones((12, 12), int))[: SIZE[0], : SIZE[1]]
    mask[rng.random(SIZE) < 0.3] = 255
    mask[:14, :30] = 255  # whole patches without a label, and some that have just half of one
    Image.fromarray(np.where(mask == 255, 255, mask + 10).astype(np.uint8)).save(
        root / f"{image_id}.mask.png"
    )
    Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(root / f"{image_id}.png")
    about = {"image_id": image_id, "split": split, "path": f"{image_id}.png", "frame": frame}
    about |= {"mask": f"{image_id}.mask.png", "instances": f"{image_id}.ids.png"}
    return about | {"sequence": f"{split}{video}", "height": SIZE[0], "width": SIZE[1]}


def _objects(root: Path, rng: np.random.Generator, image: dict) -> list[dict]:
    """Seven things of which some are missing; the even ones have masks, the others boxes."""
    ids, found = np.zeros(SIZE, np.uint8), []
    for number in rng.permutation(7)[:6].tolist():
        y, x = rng.integers(0, 30), 10 * number
        about = {"image_id": image["image_id"], "instance": number, "track": number}
        about |= {"class_id": number % 2, "fine_class": "" if number < 2 else f"kind {number // 3}"}
        box = {"x0": x - 3.3, "y0": float(y), "x1": x + 8.5, "y1": y + 12.25}
        inside = np.clip([box["x0"], box["x1"]], 0, SIZE[1])
        about |= box | {"evaluated": number != 6, "area": float(np.diff(inside)[0] * 12.25)}
        if number % 2 == 0:
            ids[y : y + 11, x : x + 7] = number + 1
            about |= {"mask_value": number + 1, "area": float((ids == number + 1).sum())}
        found.append(about)
    Image.fromarray(ids).save(root / image["instances"])
    return found


def _write_index(images: list[dict], objects: list[dict]) -> None:
    folder = paths.index("d")
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(images, tables.IMAGES), folder / "images.parquet")
    pq.write_table(pa.Table.from_pylist(objects, tables.OBJECTS), folder / "objects.parquet")
    ids = [image["image_id"] for image in images]
    chosen = [(seed, "all", rank, ids[(2 * seed + 3 * rank) % 10])
              for seed in SEEDS for rank in range(SHOTS)]  # fmt: skip
    pd.DataFrame(chosen, columns=["seed", "pool", "rank", "image_id"]).to_parquet(
        folder / "support.parquet"
    )
    query = pd.DataFrame({"image_id": ids[10:], "unit": ids[10:]})
    query.to_parquet(folder / "query.parquet")
    about = {"reader": "folder", "palette": [], "pixels": {}}
    about["classes"] = [f"class {c}" for c in range(CLASSES)]
    about["labels"] = {str(c + 10): c for c in range(CLASSES)} | {"255": 255}
    (folder / "dataset.json").write_text(json.dumps(about))


def _features(rng: np.random.Generator, images: list[dict], objects: list[dict]) -> np.ndarray:
    """The class and the thing in a patch, and noise."""
    of_class, of_thing = rng.normal(size=(2, CLASSES + 7, WIDTH))
    x = rng.normal(size=(len(images), *GRID, WIDTH))
    for one, image in zip(x, images, strict=True):
        mask = np.asarray(Image.open(image["mask"]))[5::11, 5::11][: GRID[0], : GRID[1]]
        one += np.where((mask < 255)[..., None], of_class[(mask % 245) % CLASSES], 0)
        for o in objects:
            if o["image_id"] == image["image_id"]:
                r, c = int(o["y0"] + 6) * GRID[0] // SIZE[0], int(o["x0"] + 6) * GRID[1] // SIZE[1]
                one[r, c] += 1.5 * of_thing[o["instance"]]
    return x * SCALES + rng.normal(size=WIDTH)


@pytest.fixture
def here(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(world)
    return world


@pytest.fixture(scope="module")
def t1(world: Path) -> dict:
    return _t1(world, TASK)


@pytest.fixture(scope="module")
def t1_linear(world: Path) -> dict:
    few = {"heads": ["linear"], "variants": ["raw", "zscore", "prune", "pca_whiten"]}
    return _t1(world, TASK.model_copy(update=few))


def _t1(world: Path, task: Segmentation) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        compute(
            "segmentation",
            dataset="d",
            model="m",
            settings=asked_of(dataset(world), segmentation=task),
        )
        return cell("segmentation")


@pytest.mark.parametrize("name", VARIANTS)
def test_t1_by_knn(doc, here, t1, name):
    _compare_t1(doc, here, t1["knn"][name], name, lambda *given: doc.knn(*given, k=4), EXACT)


@pytest.mark.parametrize("name", ["raw", "zscore", "prune", "pca_whiten"])
def test_t1_by_linear_probe(doc, here, t1_linear, name):
    def head(*given: Any) -> Callable:
        return doc.linear(*given, values=[0.01, 0.3], folds=2)

    _compare_t1(doc, here, t1_linear["linear"][name], name, head, CLOSE)


def _compare_t1(doc: Any, root: Path, scores: dict, name: str, head: Callable, near: float) -> None:
    counts = doc.segmentation("d", "m", root, name, head, SHOTS)
    weights = doc.weights(counts.shape[1], 100)  # every image is a unit
    for level, what in enumerate(("pixel", "patch")):
        of_seeds = counts.sum(axis=1)[:, level]
        present = of_seeds[0].sum(axis=1) > 0
        seeds = doc.miou(of_seeds, present)
        resampled = np.einsum("bu,su...->bs...", weights, counts[:, :, level])
        low, high = doc.interval(doc.miou(resampled, present).mean(axis=1))
        found = {"": seeds.mean(), "_std": seeds.std(ddof=1), "_ci_low": low, "_ci_high": high}
        for key, value in found.items():
            assert scores[f"{what}_miou{key}"] == pytest.approx(value, abs=near), key
        hits = np.trace(of_seeds, axis1=1, axis2=2)
        accuracy = (hits / of_seeds.sum(axis=(1, 2))).mean()
        assert scores[f"{what}_accuracy"] == pytest.approx(accuracy, abs=near)


@pytest.fixture(scope="module")
def t2(world: Path) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        compute("identification", dataset="d", model="m", settings=asked_of(dataset(world)))
        return cell("identification")


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("head", "g"), [("patch", 1), ("patch_2", 2)])
def test_t2(doc, here, t2, name, head, g):
    scores = doc.identification("d", "m", name, g, CHANGES.patches)
    assert 0 < scores["top1"] < 1
    for key, value in scores.items():
        assert t2[head][name][key] == pytest.approx(value, abs=EXACT), key


@pytest.fixture(scope="module", params=[None, 3])
def t3(world: Path, request: pytest.FixtureRequest) -> tuple[int | None, dict]:
    """Own sequences left out, or frames nearer than three."""
    return request.param, _t3(world, PRUNE, VARIANTS, request.param)


def _t3(world: Path, chosen: Prune, variants: Sequence, distance: int | None) -> dict:
    relevant = ["instance", "fine_class"]
    task = Retrieval(datasets=["d"], relevant=relevant, frame_distance=distance, distance="cosine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        changes = {"prune": chosen, "retrieval": task, "variants": variants}
        compute("retrieval", dataset="d", model="m", settings=asked_of(dataset(world), **changes))
        return cell("retrieval")


@pytest.mark.parametrize("name", VARIANTS)
def test_t3(doc, here, t3, name):
    distance, scores = t3
    _compare_t3(doc, here, scores, name, distance)


def test_t3_where_everything_is_equally_similar(doc, here, monkeypatch):
    nothing = PRUNE.model_copy(update={"m": 0.01})  # rounds to no dimension
    scores, fitted = _t3(here, nothing, ["keep_top"], None), doc.variant
    monkeypatch.setitem(doc.objects.__globals__, "variant", lambda name, x: fitted(name, x, m=0.01))
    _compare_t3(doc, here, scores, "keep_top", None)


def _compare_t3(doc: Any, root: Path, scores: dict, name: str, distance: int | None) -> None:
    objects, x = doc.objects("d", "m", root, name)
    for relevant in ("instance", "fine_class"):
        means = doc.retrieval(objects, x, relevant, distance).mean(axis=0)
        assert 0 < means[0] < 1
        for key, value in zip(("map", "r1", "r5", "r10"), means, strict=True):
            assert scores[relevant][name][key] == pytest.approx(value, abs=EXACT), (relevant, key)


@pytest.fixture(scope="module")
def t4(world: Path) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world)
        compute("tracking", dataset="d", model="m", settings=asked_of(dataset(world)))
        return cell("tracking")


@pytest.mark.parametrize("name", VARIANTS)
def test_t4_association(doc, here, t4, name):
    objects, x = doc.objects("d", "m", here, name)
    for delta in LINKS.deltas:
        found = doc.association(objects, x, delta)
        for prefix, value in zip(("", "optimal_", "chance_"), found, strict=True):
            score = t4["association"][name][f"{prefix}d{delta}"]
            assert score == pytest.approx(value, abs=EXACT), (prefix, delta)


@pytest.mark.parametrize("name", VARIANTS)
def test_t4_linking(doc, here, t4, name):
    objects, x = doc.objects("d", "m", here, name)
    train = doc.objects("d", "m", here, name, split="support")
    threshold = doc.birth_threshold(*train, LINKS.age, LINKS.thresholds)
    assert t4["link"][name]["birth_threshold"] == threshold
    for head, limit in (("link", threshold), ("link_free", -2.0)):
        found = doc.linking(objects, x, LINKS.age, limit)
        for key, value in zip(("assa", "idf1", "idsw"), found, strict=True):
            assert t4[head][name][key] == pytest.approx(value, abs=EXACT), (head, key)
        assert t4[head][name]["hota"] == pytest.approx(np.sqrt(found[0]), abs=EXACT)


def test_t4_propagation(doc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("v\n")
    truth = np.zeros((7, *SIZE), np.uint8)
    for t, mask in enumerate(truth):
        mask[8:25, 4 + 5 * t : 26 + 5 * t], mask[24:40, 35:60], mask[10:30, 40:45] = 1, 2, 255
        for part, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
            path = tmp_path / part / f"480p/v/{t:05}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
    index.run("d", found := dataset(tmp_path, "davis2017", support=False))
    looks = truth[:, 5::11, 5::11][:, : GRID[0], : GRID[1]] % 250
    x = np.eye(WIDTH)[looks] * 2 + rng.normal(size=(7, *GRID, WIDTH))
    ids = [f"v/{t:05}" for t in range(7)]
    write_features(paths.features(dataset="d", model="m") / "query.safetensors", ids, x)
    asked = asked_of(found, variants=["raw", "zscore", "prune", "pca_whiten"], shots=1)
    compute("prune", dataset="d", model="m", settings=asked)
    compute("tracking", dataset="d", model="m", settings=asked)
    x = doc.features(paths.features(dataset="d", model="m") / "query.safetensors")[1]
    for name, scores in cell("tracking")["davis"].items():
        change = doc.variant(name, x.reshape(-1, WIDTH))
        changed = change(x.reshape(-1, WIDTH)).reshape(*x.shape[:3], -1)
        masks = doc.propagate(changed, truth[0] % 255, np.array([0, 1, 2]), 2, 1, 3, 0.1)
        j, f = np.mean([doc.davis(truth, masks, value) for value in (1, 2)], axis=0)
        for letter, values in (("j", j), ("f", f)):
            for key, value in zip(("mean", "recall", "decay"), values, strict=True):
                assert scores[f"{letter}_{key}"] == pytest.approx(value, abs=EXACT), (name, key)


def test_the_numbers_of_the_variance_study(doc, here):
    compute("variance", dataset="d", model="m", settings=asked_of(dataset(here)))
    split = [doc.features(paths.features(dataset="d", model="m") / f"{s}.safetensors")[1]
             for s in ("support", "query")]  # fmt: skip
    found = doc.spread(np.concatenate(split).reshape(-1, WIDTH))
    written = cell("variance")
    assert {key: written[key] for key in found} == pytest.approx(found, abs=EXACT)
