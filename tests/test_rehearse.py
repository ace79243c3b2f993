"""The parts of scripts/rehearse: archives that readers read, weights that load, checks that see."""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from patchlens.backbones.convert import load_entry
from patchlens.backbones.registry.read import entries
from patchlens.datasets import catalogue, readers
from patchlens.datasets.unpack import unpack
from patchlens.tasks.table import TASKS
from rehearse import archives, checks, overlay

ROOT = Path(__file__).parents[1]
PRESETS = {
    name: yaml.safe_load((ROOT / f"presets/{name}.yaml").read_text(encoding="utf-8"))
    for name in ("paper", "open")
}
KINDS = sorted({d["kind"] for params in PRESETS.values() for d in params["datasets"].values()})
MODELS = sorted(
    {m["model"] for p in PRESETS.values() for m in p["models"].values() if "model" in m}
)


@pytest.mark.parametrize("kind", KINDS)
def test_archives_are_those_of_the_catalogue_and_in_the_layout(kind: str, tmp_path: Path) -> None:
    listed = {archive.file: archive.into for archive in catalogue.find(kind).archives}
    commit = [Path(next(iter(listed))).stem] if kind == "grocerystore" else []
    made = archives.MAKERS[kind](*commit)
    assert set(listed) == set(made) or not listed
    for name, content in made.items():
        packed = tmp_path / "packed" / name
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_bytes(content)
        unpack(packed, tmp_path / "root" / listed.get(name, "."))
    splits = {image.split for image in readers.read(kind, tmp_path / "root").images}
    for params in PRESETS.values():
        for dataset in params["datasets"].values():
            if dataset["kind"] == kind:
                parts = [dataset[part] for part in ("support", "query") if dataset[part]]
                assert {part["split"] for part in parts} <= splits


def test_the_registry_of_the_copy_loads_the_small_official_files(tmp_path: Path) -> None:
    shapes = {name: overlay.shape_of(name) for name in MODELS}
    registry = "patchlens/backbones/registry"
    for path in (ROOT / "src" / registry).glob("*.yaml"):
        target = tmp_path / "from" / registry / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    overlay.small_registry(tmp_path / "from", tmp_path / "to", shapes)
    small = entries(tmp_path / "to" / registry)
    assert small.keys() == entries().keys()
    for name in MODELS:
        (folder := tmp_path / name).mkdir()
        model, _ = load_entry(small[name], overlay.weights_file(name, folder), name)
        assert (len(model.blocks), model.embed_dim) == (small[name].depth, small[name].width)
    untouched = small.keys() - set(MODELS)
    assert all(small[name] == entries()[name] for name in untouched)


def flat(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, (*path, key)).items()}
    return {path: value}


@pytest.mark.parametrize("preset", PRESETS)
def test_only_sizes_and_amounts_shrink(preset: str) -> None:
    whole = copy.deepcopy(PRESETS[preset])
    before, after = flat(whole), flat(overlay.shrink(whole))
    assert whole == PRESETS[preset]
    changed = {
        path[-1] for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    }
    sizes = {"pixels", "patches", "tile", "images", "batch_size", "embed_dim", "depth", "resamples"}
    sizes |= {"seeds"}
    assert changed <= sizes | {"shots", "shots_sweep"}


def test_a_claim_without_a_verdict_is_seen() -> None:
    verdicts = {"a": {"verdict": "supported"}, "b": {"verdict": "not run"}}
    assert list(checks.judged(verdicts, ["a"])) == []
    assert list(checks.judged(verdicts, ["a", "b", "c"])) == [
        "claim b: not run",
        "claim c: missing",
    ]
    assert list(checks.judged(verdicts, [])) == ["claims: none is asked"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"model": ["one", "one"]}, "lacks [('d', 'two')]"),
        ({"map": [0.5, "high"]}, "map is not a number everywhere"),
        ({"map": [None, None]}, "map is empty"),
    ],
)
def test_a_table_that_is_not_whole_is_seen(
    change: dict[str, Any], problem: str | None, tmp_path: Path
) -> None:
    assert "map" in {metric.key for metric in TASKS["retrieval"].metrics}
    table = {"dataset": "d", "model": ["one", "two"], "map": [0.5, 0.6]} | change
    pd.DataFrame(table).to_csv(tmp_path / "retrieval.csv", index=False)
    found = list(checks.tables(tmp_path, {"retrieval": {("d", "one"), ("d", "two")}}))
    assert [problem in line for line in found] == [True] if problem else found == []
    assert list(checks.tables(tmp_path, {"tracking": set()})) == ["table tracking: missing"]


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ('<a href="index.html#x">here</a> <a href="https://x.org/y">there</a>', []),
        ('<img src="gone.png">', ["index.html: dead link gone.png"]),
        ("<td> nan </td>", ["index.html: shows > nan <"]),
    ],
)
def test_a_page_that_is_not_whole_is_seen(body: str, problems: list[str], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(body)
    assert list(checks.pages(tmp_path)) == problems
    assert list(checks.pages(tmp_path / "none")) == [f"{tmp_path / 'none'}: no pages"]
