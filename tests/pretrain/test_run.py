"""The command: a result that is whole, and a model that the product opens as it was trained."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file
from typer.testing import CliRunner

from conftest import run as in_shell
from patchlens.backbones.contract import IMAGENET_MEAN, IMAGENET_STD
from patchlens.backbones.convert import convert
from patchlens.backbones.load import load
from patchlens.cli import app
from patchlens.errors import TrainingError
from patchlens.files import file_hash
from patchlens.pretrain import run as module
from patchlens.pretrain.model import ARCH, arch_args, build
from patchlens.pretrain.objectives import create
from patchlens.pretrain.probe import KnnProbe, Probed
from patchlens.pretrain.run import PLOTS, export, result, run, timing, write_plots
from patchlens.pretrain.settings import Recipe
from patchlens.pretrain.settings import load as load_recipes
from patchlens.settings.models import FileModel
from pretrain.small import PATCH, RECIPES, small_recipe

CPU = torch.device("cpu")


def tiny(objective: str, **changes: Any) -> Recipe:
    """A recipe of 10 steps."""
    small = small_recipe(objective)
    crops = 10 * create(small).seen(small.own.batch).crops
    shared = small.shared.model_copy(update={"crops": crops, **changes})
    return small.model_copy(update={"shared": shared})


@pytest.fixture
def of_fixture(frames: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of the fixture instead of those of the recipe."""
    monkeypatch.setattr(module.frames, "of_training", lambda *_: frames)
    monkeypatch.setattr(module.frames, "of_probe", lambda *_: frames[:2])


@pytest.mark.usefixtures("of_fixture")
def test_result_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "runs/pretrain/dino"
    run(tiny("dino"), out)
    found = json.loads((out / "result.json").read_text())
    assert found["finished"] is True
    assert (found["steps"], found["images"], found["crops"]) == (10, 80, 320)
    assert (found["teacher_forwards"], found["visible_tokens"]) == (160, 80 * (2 * 16 + 2 * 4))
    assert Recipe.model_validate(found["recipe"]) == tiny("dino")
    assert set(found["probe"]) == {"0", "5", "10"}
    assert min(map(int, found["probe"])) == 0
    assert set(found["loss"]) >= {"loss", "learning_rate", "teacher_entropy"}
    assert found["commit"] == ""  # no Git here
    with (out / "log.csv").open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["5", "10"]
    plots = out / "dvclive/plots/metrics"
    assert (plots / "loss.tsv").read_text().splitlines()[0] == "step\tloss"
    steps = [line.split("\t")[0] for line in (plots / "probe_miou.tsv").read_text().splitlines()]
    assert steps == ["step", "0", "5", "10"]
    (tried,) = Path("pretrain/tried/dino.jsonl").read_text().splitlines()
    assert json.loads(tried) == found
    assert (out.parent / "dvc.yaml").is_file()
    assert not list(Path(".work/pretrain/dino").iterdir())  # the next run begins anew


def test_plots_show_all_runs_together(root: Path, tmp_path: Path) -> None:
    in_shell("git", "init", "-q", cwd=tmp_path)
    in_shell("dvc", "init", "-q", cwd=tmp_path)
    for name in ("dino", "mae-seed1"):
        for metric in PLOTS:
            path = Path(f"runs/pretrain/{name}/dvclive/plots/metrics/{metric}.tsv")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"step\t{metric}\n0\t0.5\n5\t0.75\n")
    Path("runs/pretrain/dino/weights.safetensors").write_text("not for Git")
    shutil.copy(root / ".gitignore", tmp_path)
    write_plots(Path("runs/pretrain"))
    shown = json.loads(in_shell("dvc", "plots", "show", "--json", cwd=tmp_path).stdout)
    assert "errors" not in shown
    assert set(shown["data"]) == {"loss", "learning_rate", "probe_miou"}
    for (plot,) in shown["data"].values():
        values = plot["content"]["data"]["values"]
        assert {value["filename"].split("/")[0] for value in values} == {"dino", "mae-seed1"}
    tracked = in_shell("git", "ls-files", "-co", "--exclude-standard", cwd=tmp_path).stdout
    assert "runs/pretrain/dino/dvclive/plots/metrics/loss.tsv" in tracked
    assert "runs/pretrain/dvc.yaml" in tracked
    assert "weights" not in tracked


@pytest.mark.slow  # that a killed run goes on exactly is in test_train.py
@pytest.mark.usefixtures("of_fixture")
def test_a_killed_run_goes_on_and_logs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tiny("mae", checkpoint_minutes=1e-9)
    run(chosen, tmp_path / "whole")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "export", killed)
        with pytest.raises(KeyboardInterrupt):
            run(chosen, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    run(chosen, tmp_path / "cut")
    for name in ("weights.safetensors", "log.csv", "dvclive/plots/metrics/loss.tsv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.usefixtures("of_fixture")
@pytest.mark.parametrize("what", ["code", "versions"])
def test_a_checkpoint_of_other_code_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    folders = [module._loop(tiny("mae"), tmp_path)[1] for _ in range(2)]
    changed = {"code": "0", "versions": module.versions() | {"lightly": "0"}}
    monkeypatch.setattr(module, what, lambda: changed[what])
    folders.append(module._loop(tiny("mae"), tmp_path)[1])
    assert folders[0] == folders[1] != folders[2]


def test_the_hash_of_the_code_is_of_what_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hashes = []
    for name in ("src/a.py", "pretrain/params.yaml", "src/__pycache__/a.pyc", "README.md"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")
        hashes.append(module.code())
    assert hashes[0] != hashes[1] == hashes[2] == hashes[3]


@pytest.mark.usefixtures("of_fixture")
def test_a_stopped_run_is_one_that_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnnProbe, "__call__", lambda *_: Probed(0.0, 0.0, 0.0))
    with pytest.raises(TrainingError, match="step 0: collapse"):
        run(tiny("mae"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = json.loads(Path("pretrain/tried/mae.jsonl").read_text())
    assert found["finished"] is False
    assert found["stopped"].startswith("step 0: collapse")


@pytest.mark.parametrize("objective", sorted(RECIPES))
def test_product_gives_the_trainers_own_features(
    objective: str, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    made = create(tiny(objective))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # weights that no default would have
        for parameter in made.student().parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    path = tmp_path / "weights.safetensors"
    export(made.student(), path)
    assert path.stat().st_size < 12_000_000
    assert all(tensor.dtype == torch.float16 for tensor in load_file(path).values())
    slot = FileModel(
        source="file",
        file=str(path),
        sha256=file_hash(path, "sha256"),
        arch=ARCH,
        arch_args=arch_args(made.recipe.shared),
    )
    convert("mini", slot, tmp_path / "converted.safetensors", work=tmp_path)
    product = load(tmp_path / "converted.safetensors")
    images = torch.from_numpy(np.array(frames[:2, :3]))
    found = product(images, layers=[-1], norm=True)[0].patches.numpy()
    wanted = KnnProbe(frames[:2], 1, 1, PATCH, CPU).features(made.student())
    np.testing.assert_allclose(found, wanted, atol=0.02 * wanted.std())
    # And these are what the objective itself trains, on a crop of its own size.
    side = made.recipe.shared.crop
    pixels = images[:, :, :side, :side]
    own = KnnProbe(np.array(frames[:2, :, :side, :side]), 1, 1, PATCH, CPU).features(made.student())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    model: Any = made.student().eval()
    with torch.no_grad():
        tokens = model.forward_features((pixels / 255 - mean) / std)[:, 1:]
    np.testing.assert_allclose(own.reshape(tokens.shape), tokens.numpy(), atol=1e-4)


def test_largest_recipe_fits_into_git(root: Path, tmp_path: Path) -> None:
    chosen = load_recipes(root / "pretrain/params.yaml").recipe("dino", "gpu")
    export(build(chosen.shared, 0), tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_size <= 12_000_000


@pytest.mark.usefixtures("of_fixture")
def test_timing_keeps_nothing(tmp_path: Path) -> None:
    said = timing(tiny("mae", crops=100_000), 0.3)
    assert said.startswith("mae (cpu) on ")
    assert " crops/s; 100000 crops take " in said
    assert not list(tmp_path.rglob("checkpoint.pt"))
    assert not (tmp_path / "pretrain").exists()


def test_a_size_or_a_seed_by_hand_has_a_folder_of_its_own() -> None:
    assert result("dino") == Path("runs/pretrain/dino")
    assert result("dino", seed=1) == Path("runs/pretrain/dino-seed1")
    assert result("dino", "gpu") == Path("runs/pretrain/dino-gpu")
    assert result("dino", "gpu", 0) == Path("runs/pretrain/dino-gpu-seed0")


def test_commit_can_be_told_where_there_is_no_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHLENS_COMMIT", "abc")
    assert module.commit() == {"commit": "abc", "dirty": False}


def test_commit_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run or `promote` writes does not count; code and recipes do, whatever one says."""

    def git(*words: str) -> str:
        return in_shell("git", *words, cwd=tmp_path).stdout.strip()

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    git("init", "-q")
    for name in ("src/a.py", "pyproject.toml", "pretrain/params.yaml", "pretrain/dvc.yaml"):
        write(name, "a")
    git("add", "-A")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD")
    monkeypatch.setenv("PATCHLENS_COMMIT", "abc")
    for name in ("pretrain/tried/dino.jsonl", "pretrain/dvc.lock", "weights/dino.json", "a.md"):
        write(name, "{}")
    assert module.commit() == {"commit": head, "dirty": False}
    for name in ("src/a.py", "src/new.py", "pyproject.toml", "pretrain/params.yaml"):
        write(name, "b")
        assert module.commit() == {"commit": head, "dirty": True}, name
        git("add", "-A")
        git("commit", "-qm", name)
        head = git("rev-parse", "HEAD")


def command(*words: str) -> Any:
    return CliRunner().invoke(app, ["-q", "pretrain", *words])


def test_command(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = yaml.safe_load((root / "pretrain/params.yaml").read_text(encoding="utf-8"))
    small = tiny("mae")
    content["sizes"]["cpu"] = small.shared.model_dump() | {"crops": 96}
    content["objectives"]["mae"]["cpu"] = small.own.model_dump()
    for name in ("dino", "ibot", "simmim", "supervised"):
        content["objectives"][name]["cpu"] = RECIPES[name].model_dump()
    (tmp_path / "pretrain").mkdir()
    (tmp_path / "pretrain/params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert command("mae", "--seed", "4").exit_code == 0
    found = json.loads(Path("runs/pretrain/mae-seed4/result.json").read_text())
    assert (found["seed"], found["steps"], found["size"]) == (4, 12, "cpu")
    wrong = command("maee")
    assert wrong.exit_code == 2
    assert "unknown objective 'maee'" in wrong.output
    monkeypatch.setattr("patchlens.pretrain.settings.find_spec", lambda name: None)
    without = command("mae")
    assert without.exit_code == 2
    assert "pre-training needs lightly; run pip install -e '.[pretrain]'" in without.output
