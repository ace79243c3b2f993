"""Promotion: what a card says, what is refused, and that the product opens the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from patchlens.backbones.convert import convert
from patchlens.backbones.load import load
from patchlens.cli import app
from patchlens.errors import DataError, SettingsError
from patchlens.pretrain import promote, run
from patchlens.pretrain.card import training_flops
from patchlens.pretrain.model import as_backbone, build
from patchlens.pretrain.settings import load as load_recipes
from patchlens.settings.models import FileModel
from pretrain.small import TOKENS, small_recipe

PARAMS = Path(__file__).parents[2] / "pretrain/params.yaml"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
Edit = Callable[..., None]


def trained(objective: str, crops: int = 40, seed: int | None = None) -> None:
    """A run of a few steps in the folder that the test stands in."""
    recipe = small_recipe(objective).model_copy(update={} if seed is None else {"seed": seed})
    recipe = recipe.model_copy(update={"shared": recipe.shared.model_copy(update={"crops": crops})})
    run.run(recipe, run.result(objective, seed=seed))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run, made once."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATCHLENS_COMMIT", COMMIT)
        trained("supervised")
    return folder


@pytest.fixture
def here(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil, with the repository's recipes."""
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    shutil.copy(PARAMS, tmp_path / "pretrain/params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATCHLENS_COMMIT", COMMIT)
    return tmp_path


@pytest.fixture
def edit(here: Path) -> Edit:
    def change(**values: Any) -> None:
        path = here / "runs/pretrain/supervised/result.json"
        content = json.loads(path.read_text()) | values
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return change


def again(objective: str = "supervised") -> Path:
    return promote.run(objective, load_recipes())


def card(name: str = "supervised") -> dict[str, Any]:
    return json.loads(Path(f"weights/{name}.json").read_text())


@pytest.mark.usefixtures("here")
def test_the_card_says_what_the_run_cost():
    again()
    recipe, made = small_recipe("supervised"), card()
    assert (made["steps"], made["images"], made["crops"]) == (5, 40, 40)
    assert (made["teacher_forwards"], made["visible_tokens"]) == (0, 40 * TOKENS)
    assert made["flops"] == 40 * training_flops(recipe)
    assert made["commit"] == COMMIT
    assert made["recipe"]["own"] == recipe.own.model_dump()
    assert made["final_losses"]["loss"] > 0
    assert set(made["probe"]) >= {"0", "5"}
    result = json.loads(Path("runs/pretrain/supervised/result.json").read_text())
    for key in ("seconds", "device", "precision", "deterministic", "versions"):
        assert made[key] == result[key]
    assert [run["finished"] for run in made["tried"]] == [True]


@pytest.mark.usefixtures("here")
def test_every_recipe_that_was_tried_is_in_the_card_stopped_ones_too():
    with Path("pretrain/tried/supervised.jsonl").open("a") as stream:
        first = json.loads(Path("runs/pretrain/supervised/result.json").read_text())
        stopped = first | {"finished": False, "stopped": "step 3: loss is nan"}
        stream.write(json.dumps(stopped) + "\n")
    again()
    assert [run.get("stopped") for run in card()["tried"]] == [None, "step 3: loss is nan"]
    assert "stopped: step 3: loss is nan" in Path("weights/README.md").read_text()


@pytest.mark.usefixtures("here")
def test_the_product_opens_the_file_and_gets_the_trainers_features():
    path = again()
    shown = Path("weights/README.md").read_text().split("```yaml params.yaml\n")[1].split("```")[0]
    slot = yaml.safe_load(shown)["models"]["supervised"]
    convert("supervised", FileModel(**slot), Path("out.safetensors"), work=Path("work"))
    product = load(Path("out.safetensors"))
    recipe = small_recipe("supervised")
    student = build(recipe.shared, 5)
    student.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    images = torch.randint(256, (2, 3, 32, 64), generator=torch.Generator().manual_seed(0))
    found, own = (
        backbone(images.to(torch.uint8), layers=[-1, 0], norm=True)
        for backbone in (product, as_backbone(student))
    )
    for one, other in zip(found, own, strict=True):
        torch.testing.assert_close(one.patches, other.patches, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("here")
def test_the_file_is_half_precision_and_the_same_every_time():
    first = again().read_bytes()
    assert {value.dtype for value in load_file("weights/supervised.safetensors").values()} == {
        torch.float16
    }
    assert again().read_bytes() == first


def test_a_full_precision_result_becomes_half(here):
    path = here / "runs/pretrain/supervised/weights.safetensors"
    save_file({k: v.float() for k, v in load_file(path).items()}, path)
    assert {value.dtype for value in load_file(again()).values()} == {torch.float16}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dirty": True}, "not committed"),
        ({"finished": False}, "not finished"),
        ({"commit": ""}, "PATCHLENS_COMMIT"),
        ({"crops": None}, "has no crops"),
        ({"recipe": {"objective": "supervised"}}, "has an invalid recipe"),
    ],
)
def test_a_run_that_is_not_to_be_trusted_is_refused(edit, changes, message):
    edit(**changes)
    with pytest.raises(DataError, match=message):
        again()
    assert not Path("weights").exists()


@pytest.mark.usefixtures("here")
def test_without_a_run_the_message_says_how_to_make_one():
    with pytest.raises(DataError, match="run `patchlens pretrain mae` until it finishes"):
        again("mae")


def test_nan_is_refused(here):
    path = here / "runs/pretrain/supervised/weights.safetensors"
    tensors = load_file(path)
    tensors["norm.weight"][0] = torch.nan
    save_file(tensors, path)
    with pytest.raises(DataError, match=r"NaN or infinite values in norm\.weight"):
        again()
    assert not Path("weights").exists()


def test_a_file_of_another_shape_is_refused(here):
    path = here / "runs/pretrain/supervised/weights.safetensors"
    tensors = load_file(path)
    tensors["head.weight"] = tensors.pop("norm.weight")
    save_file(tensors, path)
    with pytest.raises(DataError, match=r"1 missing: norm\.weight; 1 unexpected: head\.weight"):
        again()


@pytest.mark.usefixtures("here")
def test_a_model_too_large_for_git_is_refused(monkeypatch):
    monkeypatch.setattr(promote, "LARGEST", 1000)
    with pytest.raises(DataError, match="smaller depth or width"):
        again()
    assert not list(Path().glob("weights/*"))


@pytest.mark.usefixtures("here")
def test_what_was_promoted_stands_when_the_next_promotion_breaks_off(monkeypatch):
    before = {path: path.read_bytes() for path in (again(), Path("weights/supervised.json"))}
    monkeypatch.setattr(promote, "file_hash", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        again()
    assert {path: path.read_bytes() for path in before} == before
    assert len(list(Path("weights").iterdir())) == 3


@pytest.mark.usefixtures("here")
def test_random_is_where_every_objective_starts():
    recipes = load_recipes()
    tensors = load_file(again("random"))
    shared = getattr(recipes.sizes, recipes.size)
    for name, value in build(shared, recipes.seed).state_dict().items():
        assert torch.equal(tensors[name], value.half()), name
    assert (card("random")["crops"], card("random")["flops"]) == (0, 0)
    assert card("random")["arch_args"]["img_size"] == shared.crop


@pytest.mark.usefixtures("here")
def test_the_readme_says_when_budgets_differ():
    again()
    trained("mae", crops=40)
    again("mae")
    assert "crops seen are the same" in Path("weights/README.md").read_text()
    trained("mae", crops=48)
    again("mae")
    text = Path("weights/README.md").read_text()
    assert "**Not comparable**: the models differ in crops seen, shared settings." in text
    again("random")  # of another architecture than the small runs
    assert "differ in architecture, crops seen" in Path("weights/README.md").read_text()


@pytest.mark.usefixtures("here")
def test_a_model_without_its_own_card_is_an_error():
    path = again()
    Path("weights/mae.safetensors").write_bytes(path.read_bytes() + b" ")
    with pytest.raises(
        DataError, match=r"mae\.safetensors: the card beside it belongs to another file"
    ):
        again()


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_run_of_another_seed_lies_beside_and_does_not_make_the_others_incomparable():
    again()
    trained("mae")
    again("mae")
    trained("mae", seed=1)
    done = CliRunner().invoke(app, ["promote", "mae", "--seed", "1"])
    assert (done.exit_code, done.output) == (0, "weights/mae-seed1.safetensors\n")
    assert card("mae-seed1")["seed"] == 1
    assert card("mae-seed1")["sha256"] != card("mae")["sha256"]
    text = Path("weights/README.md").read_text()
    assert "crops seen are the same" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        *("## mae", "## mae-seed1", "## supervised"),
    ]
    assert "  mae_seed1:\n    source: file\n    file: weights/mae-seed1.safetensors" in text
    with pytest.raises(DataError, match="run `patchlens pretrain mae --seed 2` until it finishes"):
        promote.run("mae", load_recipes(), 2)


@pytest.mark.usefixtures("here")
def test_an_unknown_objective_is_one_line():
    with pytest.raises(SettingsError, match="did you mean 'supervised'"):
        again("supervized")


@pytest.mark.usefixtures("here")
def test_the_command():
    done = CliRunner().invoke(app, ["promote", "supervised"])
    assert (done.exit_code, done.output) == (0, "weights/supervised.safetensors\n")
