"""The command line: an exit code and one message for what a user can mend, never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from patchlens.cli import app

PARAMS = Path(__file__).parents[1] / "params.yaml"
OWN = {
    "kind": "folder",
    "root": "own",
    "view": {"mode": "whole", "grid": "paper", "pixels": [8, 8]},
    "support": {"split": "support", "images": 8, "per": "total", "seeds": [0, 1]},
    "query": {"split": "query", "images": "all", "per": "total", "unit": "image"},
}
SCENES = {
    "kind": "ade20k",
    "view": {"mode": "whole", "grid": "paper", "pixels": [8, 8]},
    "support": None,
    "query": None,
}
Patchlens = Callable[..., Result]
COMMANDS = [
    ("render", "minicity"),
    ("fetch", "scenes"),
    ("manifest", "own"),
    ("index", "minicity"),
    ("weights", "pixels"),
    ("extract", "pixels", "minicity"),
    ("prune", "pixels", "minicity"),
    ("variance", "pixels", "minicity"),
    ("segmentation", "pixels", "minicity"),
    ("selection", "pixels", "minicity"),
    ("sweep", "pixels", "minicity"),
    ("degrade", "pixels", "minicity"),
    ("identification", "pixels", "minicity"),
    ("report",),
    ("retrieval", "pixels", "minicity"),
    ("tracking", "pixels", "minicity"),
    ("show", "identification", "minicity", "--model", "pixels"),
    ("show", "retrieval", "minicity", "--model", "pixels"),
    ("show", "tracking", "minicity_video", "--model", "pixels"),
    ("explorer",),
    ("tables",),
    ("clean-metrics",),
    ("datasets",),
    ("datasets", "check", "minicity"),
    ("models",),
    ("plan",),
]
OF_CELLS = [command for command in COMMANDS if command[1:] == ("pixels", "minicity")]


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The shipped settings with a folder of one's own, in an otherwise empty working folder."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    content["datasets"]["own"] = OWN
    content["datasets"]["scenes"] = SCENES
    content["fetch"] |= {"placed": ["own"], "downloaded": ["scenes"]}
    content["models"]["pixels"] = {"source": "pixels", "patch_size": 8}
    return content


@pytest.fixture
def patchlens(params: Any) -> Patchlens:
    """`patchlens("index", "own")`: run a command with `params` as they are by then."""

    def run(*arguments: str) -> Result:
        Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        return CliRunner().invoke(app, list(arguments))

    return run


def files() -> list[str]:
    return sorted(p.as_posix() for p in Path().rglob("*") if p.is_file())


def expect(result: Result, exit_code: int, message: str) -> None:
    """One message on stderr, and nothing written."""
    assert (result.exit_code, result.stderr) == (exit_code, f"Error: {message}\n")
    assert result.stdout == ""
    assert [p for p in files() if not p.startswith("own/")] == ["params.yaml"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_wrong_settings_stop_every_command(
    params: Any, patchlens: Patchlens, command: tuple[str, ...]
) -> None:
    params["prune"]["m"] = 1.5
    params["device"] = "cdua"
    expect(
        patchlens(*command),
        2,
        "params.yaml: device: 'cdua' is unknown; allowed: auto, cpu, cuda, mps; did you mean "
        "'cuda'?\n"
        "params.yaml: prune.m: 1.5 is out of range; allowed: 0 to 0.9999",
    )


def test_a_folder_without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["tables"])
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: params.yaml: no such file; run this in the folder that contains params.yaml\n"
    )
    assert files() == []


@pytest.mark.parametrize("command", OF_CELLS, ids=lambda command: command[0])
def test_an_unknown_model(patchlens: Patchlens, params: Any, command: tuple[str, ...]) -> None:
    names = ", ".join(sorted(params["models"]))
    expected = f"unknown model 'pixel'; allowed: {names}; did you mean 'pixels'?"
    expect(patchlens(command[0], "pixel", "minicity"), 2, expected)
    expect(patchlens("weights", "pixel"), 2, expected)


@pytest.mark.parametrize("command", OF_CELLS, ids=lambda command: command[0])
def test_an_unknown_dataset(patchlens: Patchlens, command: tuple[str, ...]) -> None:
    allowed = "minicity, minicity_video, own, scenes"
    expected = f"unknown dataset 'minicty'; allowed: {allowed}; did you mean 'minicity'?"
    expect(patchlens(command[0], "pixels", "minicty"), 2, expected)
    expect(patchlens("index", "minicty"), 2, expected)


def test_datasets_are_not_brought_by_the_wrong_stage(patchlens: Patchlens) -> None:
    for stage, list_name, right in (
        ("render", "made", "minicity, minicity_video"),
        ("fetch", "downloaded", "scenes"),
        ("manifest", "placed", "own"),
    ):
        for wrong in {"minicity", "scenes", "own"} - set(right.split(", ")):
            message = f"unknown {list_name} dataset '{wrong}'; allowed: {right}"
            expect(patchlens(stage, wrong), 2, message)


def test_a_missing_dataset_is_exit_code_3(patchlens: Patchlens) -> None:
    expected = "own: no such folder; place the dataset there or correct its root"
    expect(patchlens("manifest", "own"), 3, expected)


def test_a_missing_weight_file_is_exit_code_3(params: Any, patchlens: Patchlens) -> None:
    params["models"]["mine"] = {"source": "file", "file": "w.pth", "arch": "vit_tiny_patch16_224"}
    expected = "w.pth: no such file; place it there or correct params.yaml: models.mine.file"
    expect(patchlens("weights", "mine"), 3, expected)


def place(classes: str = "[road, path]") -> None:
    """Nine images of two classes in the folder that the settings name."""
    for stem in "abcdefghi":
        for folder, mode in (("images", "RGB"), ("masks", "L")):
            path = Path("own", folder, f"{stem}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new(mode, (8, 8))
            if mode == "L":
                image.paste(1, (0, 0, 8, 2))
            else:
                image.putpixel((0, 0), (ord(stem), 0, 0))  # no two are equal
            image.save(path)
    splits = "{support: [a, b, c, d, e, f, g, h], query: [i]}"
    Path("own/dataset.yaml").write_text(f"classes: {classes}\nsplits: {splits}\n")


def test_a_broken_dataset_is_exit_code_4(patchlens: Patchlens) -> None:
    place()
    Path("own/masks/c.png").write_bytes(b"")
    message = "own/masks/c.png: cannot be read as a mask (the file is empty)"
    expect(patchlens("index", "own"), 4, message)


def test_a_right_dataset_is_indexed(patchlens: Patchlens) -> None:
    place()
    result = patchlens("--quiet", "index", "own")
    assert (result.exit_code, result.output) == (0, "")
    assert [p for p in files() if p.startswith("data/")] == [
        f"data/index/own/{name}"
        for name in (
            "dataset.json",
            "images.parquet",
            "objects.parquet",
            "query.parquet",
            "support.parquet",
        )
    ]


def test_datasets_lists_kinds_and_what_uses_them(patchlens: Patchlens) -> None:
    lines = patchlens("datasets").stdout.splitlines()
    rows = {line.split()[0]: line for line in lines[2:]}
    assert lines[0].split()[:2] == ["kind", "title"]
    assert rows["ade20k"].endswith("scenes")
    assert rows["folder"].endswith("own")
    assert "csdownload" in rows["cityscapes"]
    entries = {e["kind"]: e for e in json.loads(patchlens("datasets", "--json").stdout)}
    assert list(entries) == list(rows)
    assert entries["ade20k"]["configured"] == ["scenes"]
    assert entries["cityscapes"]["configured"] == []
    assert entries["cityscapes"]["counts"]["train"]["images"] == 2975


def test_datasets_are_listed_without_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["datasets"])
    assert result.exit_code == 0
    assert "cityscapes" in result.stdout


def test_a_check_counts_and_draws(patchlens: Patchlens) -> None:
    place()
    patchlens("index", "own")
    shown = patchlens("datasets", "check", "own")
    assert shown.exit_code == 0
    assert ["support", "images", "8", "–"] in [line.split() for line in shown.stdout.splitlines()]
    assert shown.stdout.endswith("sheet: reports/datasets/own.png\n")
    with Image.open("reports/datasets/own.png") as sheet:
        assert sheet.format == "PNG"
    content = json.loads(patchlens("datasets", "check", "own", "--json").stdout)
    assert content["classes"] == [
        {"name": "road", "pixels": 0.75, "objects": None},
        {"name": "path", "pixels": 0.25, "objects": None},
    ]
    assert content["sheet"] == "reports/datasets/own.png"


def test_a_check_needs_an_index(patchlens: Patchlens) -> None:
    expected = "data/index/own: no index; run `dvc repro index` first"
    expect(patchlens("datasets", "check", "own"), 4, expected)


def test_a_stage_that_comes_too_early_says_what_to_run(patchlens: Patchlens) -> None:
    place()
    expected = "data/weights/pixels.safetensors: missing; run `dvc repro`"
    expect(patchlens("extract", "pixels", "own"), 4, expected)


@pytest.mark.parametrize("command", [("extract",), ("why",), ("show", "retrieval"), ("render",)])
def test_help_calls_a_name_a_string(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"]).output
    assert "DATASET" in shown
    assert "<str>" in shown
    assert "patchlens." not in shown
