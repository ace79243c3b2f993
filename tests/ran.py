"""What a run would have left, with numbers that are chosen: the input of the report site.

Three models on minicity: `dino` leads, `mae` is level with the floor `random`. The task `counting`
came later than the site; tracking was not run. One class is called like a tag.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from patchlens import paths, tasks
from patchlens.settings.load import load
from patchlens.site import report
from patchlens.tasks.entries import ENTRIES
from patchlens.tasks.known import known
from patchlens.tasks.table import TABLE, TASKS, Task

COUNTING = Task("counting", "Count objects.")
MODELS = ("dino", "mae", "random")
UNDECIDED = "neither a gain above the smallest effect of 2.0 points nor a loss is shown"
TAG = "<script>document.title='owned'</script>"
CLASSES = ["road", TAG, "car"]
IMAGES = [f"image{i:02d}" for i in range(12)]
SCORES = {"dino": 0.6, "mae": 0.31, "random": 0.3}
CELL = "metrics/cells/${item.dataset}/${item.model}/"
NOT_RUN = ("selection", "identification", "retrieval", "tracking")
PAGES = ("index", "segmentation", "counting", "variance", "reference")
PIPELINE = {
    "segmentation": [
        ("segmentation_k.csv", {"x": "k", "y": "patch_miou"}),
        ("segmentation_classes.csv", {"x": "iou", "y": "class"}),
    ],
    "variance": [
        ("variance_spectrum.csv", {"x": "rank", "y": "cumulative", "template": "spectrum"})
    ],
    "sweep": [("sweep.csv", {"x": "m", "y": "score", "template": "over_m"})],
    "counting": [("counting.csv", {"x": "crowd", "y": "hits"})],
}


@contextmanager
def with_counting() -> Iterator[None]:
    """The table of tasks with one more, whose folder is beside the tests of the site."""
    later = Path(__file__).parent / "site/later"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "__path__", [*tasks.__path__, str(later)])
        patch.setitem(TASKS, COUNTING.name, COUNTING)
        for module in list(sys.modules.values()):
            for name, table in (("TABLE", TABLE), ("ENTRIES", ENTRIES)):
                if getattr(module, name, None) is table:
                    patch.setattr(module, name, (*table, COUNTING))
        yield


def build() -> Path:
    """The site of the run in the working folder."""
    with with_counting():
        report.run(load(paths.PARAMS, known()))
    return Path.cwd() / paths.SITE


def lay(folder: Path, root: Path) -> None:
    """Write what the site reads below `folder`; `root` is the repository, for its params.yaml."""
    _settings(folder, root)
    for name in ("tables", "weights", "claims"):
        (folder / "metrics" / name).mkdir(parents=True)
    _tables(folder)
    for i, model in enumerate(MODELS):
        record = {
            "sha256": f"{i}" * 64,
            "tensors": "",
            "source": f"https://{model}",
            "revision": "",
        }
        (folder / f"metrics/weights/{model}.json").write_text(json.dumps(record))
        cell = folder / "metrics/cells/minicity" / model
        cell.mkdir(parents=True)
        _curves(cell, SCORES[model])
        _records(cell, SCORES[model])
        json_of(cell / "segmentation.json", SCORES[model])
    verdicts = {"m1": {"verdict": "supported"}, "c1": {"verdict": "not run"}}
    (folder / paths.VERDICTS).write_text(json.dumps(verdicts))
    index = folder / "data/index/minicity"
    index.mkdir(parents=True)
    about = {"reader": "minicity", "classes": CLASSES, "palette": [], "labels": {}, "pixels": {}}
    (index / "dataset.json").write_text(json.dumps(about))
    pd.DataFrame({"image_id": IMAGES, "unit": IMAGES}).to_parquet(index / "query.parquet")
    (folder / "data/explorer").mkdir()
    (folder / "data/explorer/datasets.json").write_text("{}")


def pages(site: Path) -> list[Path]:
    """The pages of its site, which are these and no others."""
    found = sorted(site.glob("*.html"))
    assert sorted(PAGES) == [path.stem for path in found]
    return found


def json_of(path: Path, score: float) -> None:
    """Write a cell with one head and variant, whose interval is ±0.02."""
    scores = {"pixel_miou": score, "pixel_miou_std": 0.01}
    scores |= {"pixel_miou_ci_low": score - 0.02, "pixel_miou_ci_high": score + 0.02}
    path.write_text(json.dumps({"knn": {"raw": scores}, "protocol": {"k": 10, "view": "whole"}}))


def _settings(folder: Path, root: Path) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    vit = {"arch": "vit_tiny_patch16_224"}
    trained = {"source": "file", "file": "weights.safetensors"} | vit
    params["models"] = {
        "dino": trained,
        "mae": trained,
        "random": {"source": "untrained", "seed": 0} | vit,
    }
    for task in NOT_RUN:
        params[task]["datasets"] = []
    params["counting"] = {"datasets": ["minicity"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    stages = {
        stage: {
            "matrix": {"model": "${models}", "dataset": "${segmentation.datasets}"},
            "plots": [{CELL + file: options} for file, options in plots],
        }
        for stage, plots in PIPELINE.items()
    }
    stages["segmentation"]["outs"] = [CELL + "segmentation.records.parquet"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    shutil.copy(root / "claims.yaml", folder)


def _tables(folder: Path) -> None:
    tables, rows = folder / paths.TABLES, []
    for variant, gain in (("raw", 0.0), ("prune", 0.05)):
        for model, score in SCORES.items():
            value = round(score + gain, 4)
            cost = {"parameters_m": 3.5, "gflops_per_image": 5.0}
            where = {"dataset": "minicity", "model": model, "head": "knn", "variant": variant}
            more = {"protocol_version": 1, "seeds": 2, "k": 10, "view": "whole", "torch": "2"}
            more |= {"origin": f"weights of {model}", "architecture": "vit", "role": "rival"}
            rows.append((where, value, more | cost))
    for task, metric, level in (
        ("segmentation", "pixel_miou", "pixel_miou_level_with_best"),
        ("counting", "hits", "hits_level_with_best"),
    ):
        table = pd.DataFrame(
            where
            | {metric: value, f"{metric}_ci_low": value - 0.02, f"{metric}_ci_high": value + 0.02}
            | more
            | {level: value == 0.65}
            for where, value, more in rows
        )
        if task == "segmentation":
            compare(table)
        _publish(tables / task, table)
        _about(tables / task, {"minicity": "Protocol 1. Twelve images."})
    for task in NOT_RUN:
        _publish(tables / task, pd.DataFrame(columns=["dataset", "model", "head", "variant"]))
        _about(tables / task, {})
    _publish(
        tables / "variance",
        pd.DataFrame({"dataset": "minicity", "model": MODELS, "top1": 0.1, "width": 192}),
    )
    claims = [
        (
            "c1",
            "paper",
            "Patch features of DINO win.",
            "not run",
            None,
            "not in datasets: cityscapes",
        ),
        ("m1", "minicity", "DINO's objective wins.", "supported", 0.3, None),
        ("m2", "minicity", f"A finding on {TAG}.", "undecided", -0.01, UNDECIDED),
    ]
    table = pd.DataFrame(claims, columns=["id", "group", "text", "verdict", "effect", "note"])
    table = table.assign(
        **{"kind": "difference", "source": "abstract", "a": "dino raw", "b": "mae raw"},
        **{"metric": "segmentation.knn.pixel_miou", "datasets": "minicity", "delta": 0.02},
        ci_low=table["effect"] - 0.05,
        ci_high=table["effect"] + 0.05,
        p_holm=0.001,
        n_units=12,
    )
    _publish(folder / paths.CLAIMS_TABLE, table)


def compare(table: pd.DataFrame, half: float = 0.02) -> None:
    """Add by how much each row is behind the best of its variant, ± `half`, in place."""
    best = table.groupby("variant")["pixel_miou"].transform("max")
    behind = (best - table["pixel_miou"]).where(table["pixel_miou"] < best)
    table["pixel_miou_behind"] = behind
    table["pixel_miou_behind_ci_low"] = behind - half
    table["pixel_miou_behind_ci_high"] = behind + half
    table["pixel_miou_units"] = len(IMAGES)


def _about(path: Path, captions: dict[str, str]) -> None:
    """The words of a table: captions, roles and training objectives."""
    roles = dict.fromkeys(MODELS, "rival") | {"random": "floor"}
    objectives = {"dino": "distillation", "mae": "masked pixels", "random": "untrained"}
    words = {"captions": captions, "roles": roles, "objectives": objectives}
    path.with_suffix(".json").write_text(json.dumps(words))


def _publish(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path.with_suffix(".csv"), index=False)
    text = f"### minicity: {path.name}\n\nProtocol 1. Twelve images.\n"
    path.with_suffix(".md").write_text(text)
    path.with_suffix(".tex").write_text("% " + path.name)


def _curves(cell: Path, score: float) -> None:
    ks = pd.DataFrame({"head": "knn", "variant": ["raw"] * 3 + ["prune"] * 3, "k": [1, 3, 10] * 2})
    ks["patch_miou"] = [round(score + 0.01 * i, 4) for i in range(6)]
    ks.assign(patch_miou_std=0.01).to_csv(cell / "segmentation_k.csv", index=False)
    classes = {"head": "knn", "variant": "raw", "class": CLASSES, "iou": [score, score / 2, 0.1]}
    pd.DataFrame(classes).to_csv(cell / "segmentation_classes.csv", index=False)
    shares = {"share": [0.5, 0.3, 0.2], "cumulative": [0.5, 0.8, 1.0]}
    spectrum = {"layer": 7, "rank": [1, 2, 3]} | shares
    spectrum |= {f"eigen_{name}": values for name, values in shares.items()}
    pd.DataFrame(spectrum).to_csv(cell / "variance_spectrum.csv", index=False)
    sweep = pd.DataFrame(
        {"head": "knn", "variant": ["raw", "raw", "prune", "prune"], "m": [0.1, 0.5] * 2}
    )
    sweep.assign(score=[score, score, score + 0.02, score - 0.1], score_std=0.01).to_csv(
        cell / "sweep.csv", index=False
    )
    crowd = {"head": "count", "crowd": [1, 2], "hits": [score, score / 2]}
    pd.DataFrame(crowd).to_csv(cell / "counting.csv", index=False)


def _records(cell: Path, score: float) -> None:
    """Of 100 pixels a class and image, about `score` are right; images differ a little."""
    rng = np.random.default_rng(0)  # the same images are hard for every model
    rows = []
    for image in IMAGES:
        right = int(100 * score + rng.integers(-5, 6))
        for true in range(len(CLASSES)):
            rows += [(image, true, true, right), (image, true, (true + 1) % 3, 100 - right)]
    table = pd.DataFrame(rows, columns=["image_id", "true", "predicted", "count"])
    table = table.assign(head="knn", variant="raw", seed=0, draw=0, level="pixel")
    table.to_parquet(cell / "segmentation.records.parquet")
