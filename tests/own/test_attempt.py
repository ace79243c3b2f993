"""`patchlens try`: what becomes of photographs and labels, before anything runs."""

import json
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from patchlens.cli import workspace
from patchlens.errors import DataError, PatchlensError, SettingsError, SourceError
from patchlens.own import answer, attempt, models
from patchlens.own.attempt import Asked
from patchlens.plan import images, show
from patchlens.plan.make import make
from patchlens.processes import Interrupted
from patchlens.settings.load import Settings, load
from patchlens.tasks.known import known

PICTURES, MASKS = 9, 5


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for n in range(PICTURES):
        path = tmp_path / f"in/photos/p{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).save(path)
        if n < MASKS:
            mask = tmp_path / f"in/masks/p{n}.png"
            mask.parent.mkdir(exist_ok=True)
            Image.fromarray(np.arange(24 * 32).reshape(24, 32).astype(np.uint8) % 3).save(mask)
    (tmp_path / "in/masks/dataset.yaml").write_text("classes: [road, car, tree]\n")
    return tmp_path / "in/photos"


@pytest.fixture
def begun(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace for all of it."""
    monkeypatch.setattr(attempt.create, "_write_graph", lambda _: None)  # which draws templates
    folder = photos.parents[1] / "out"
    begin(folder, photos, photos.parent / "masks")
    (folder / "workspace.json").write_text("{}")
    return folder


def begin(folder: Path, photos: Path, labels: Path | None, chosen: str = "untrained") -> list[str]:
    asked = Asked(str(photos), labels and str(labels), chosen, 16)
    return attempt.begin(folder, asked, subdir=False, approve=lambda _: False)


def settings_of(folder: Path) -> Settings:
    return load(folder / "params.yaml", known())


def test_labelled_photographs_take_turns_and_the_others_stand_beside_them(begun: Path) -> None:
    found = settings_of(begun)
    photos, rest = found.datasets["photos"], found.datasets["unlabelled"]
    assert photos.support is not None
    assert photos.support.folds == MASKS  # so few that each is left out in turn
    assert photos.query is not None
    assert photos.query.split == photos.support.split == "labelled"
    assert rest.support is None
    splits = yaml.safe_load((begun / "photos/dataset.yaml").read_text())["splits"]
    assert {name: len(of) for name, of in splits.items()} == {"labelled": 5, "unlabelled": 4}
    assert found.tasks()["segmentation"] == found.tasks()["selection"] == ["photos"]
    assert set(found.models) == {"untrained", "pixels"}


@pytest.mark.parametrize(("labelled", "folds"), [(2, 2), (6, 6), (7, 5), (40, 5)])
def test_few_are_left_out_one_by_one_and_more_in_five_folds(labelled: int, folds: int) -> None:
    names = [f"i{n}" for n in range(labelled)]
    found = attempt.Converted("masks", ["a"], names, [], masks=labelled)
    content = attempt.settings(found, [24, 32], models.FLOORS)
    assert content["datasets"]["photos"]["support"]["folds"] == folds
    assert content["segmentation"]["shots"] == labelled - 1


@pytest.mark.parametrize("labelled", [0, 1])
def test_without_two_masks_only_what_needs_none_is_run(labelled: int) -> None:
    found = attempt.Converted("", [], ["a"][:labelled], ["b", "c"], masks=labelled)
    content = attempt.settings(found, [24, 32], models.FLOORS)
    assert content["datasets"]["photos"]["support"] is None
    assert content["datasets"].keys() == {"photos"}
    assert content["segmentation"]["datasets"] == content["selection"]["datasets"] == []
    assert content["identification"]["datasets"] == ["photos"]


@pytest.mark.parametrize(("recurring", "task"), [(2, "retrieval"), (0, "identification")])
def test_boxes_alone_are_found_again_where_a_class_recurs(recurring: int, task: str) -> None:
    found = attempt.Converted("coco", ["car"], ["a", "b"], ["c"], boxes=3, recurring=recurring)
    content = attempt.settings(found, [24, 32], models.FLOORS)
    assert {"retrieval", "identification"} & content.keys() == {task}
    assert content[task]["datasets"] == ["photos"]
    assert content["datasets"]["photos"]["query"]["split"] == "labelled+unlabelled"
    assert ("two photographs" in "".join(attempt._found(found))) == (not recurring)


@pytest.mark.parametrize(
    ("names", "sequences", "said"),
    [
        (["a", "b"], {}, "3 photographs, 2 of them with labels."),
        ([], {"walk": 1, "run": 0}, "1 photograph, 0 of them with labels. 2 videos, 1 of them"),
    ],
)
def test_what_was_found_is_counted(names: list[str], sequences: dict[str, int], said: str) -> None:
    found = attempt.Converted("masks", ["x"], names, ["c"], sequences=sequences)
    assert attempt._found(found)[0].startswith(said)


def test_videos_are_propagated_where_a_frame_is_labelled() -> None:
    found = attempt.Converted("masks", ["a"], [], [], sequences={"walk": 1, "run": 0})
    content = attempt.settings(found, [24, 32], models.FLOORS)
    assert content["datasets"].keys() == {"videos", "unlabelled_videos"}
    assert content["datasets"]["videos"]["query"]["unit"] == "sequence"
    assert content["tracking"]["datasets"] == ["videos"]


@pytest.mark.parametrize(
    ("size", "grid"), [((640, 480), [24, 32]), ((480, 640), [32, 24]), ((500, 500), [28, 27])]
)
def test_the_grid_has_the_shape_of_the_photographs(
    tmp_path: Path, size: tuple[int, int], grid: list[int]
) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    assert attempt.grid_for(tmp_path) == grid


def test_the_plan_counts_what_stands_in_the_folder(
    begun: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.chdir(begun)
    found = settings_of(begun)
    counted = images.count("unlabelled", found.datasets["unlabelled"])
    assert (counted.support, counted.query) == (0, PICTURES - MASKS)
    text = show.brief(make(found, root / "dvc.yaml"))
    assert "Download: nothing" in text
    assert "unknown" not in text


@pytest.mark.parametrize(
    ("seconds", "unknown", "said"),
    [
        (90, [], "about 2 min"),
        (9, [], "less than a minute"),
        (90, ["own"], "at least 2 min"),
        (9, ["own"], "unknown"),
    ],
)
def test_a_time_is_said_only_where_it_is_known(seconds: int, unknown: list[str], said: str) -> None:
    plan: Any = SimpleNamespace(
        downloads=[],
        features=0,
        unknown=unknown,
        cores=2,
        whole=lambda gpu: seconds,
    )
    assert show.brief(plan).splitlines()[-1] == f"Take: {said} on 2 CPU cores."


def test_the_same_command_continues_and_another_does_not_overwrite(
    begun: Path, photos: Path
) -> None:
    before = (begun / "params.yaml").read_text()
    [said] = begin(begun, photos, photos.parent / "masks")
    assert said.startswith(f"Going on in {begun}")
    for other in ({"labels": None}, {"chosen": "pixels"}):
        with pytest.raises(PatchlensError, match="for something else; give another --out"):
            begin(begun, photos, **{"labels": photos.parent / "masks"} | other)
    assert (begun / "params.yaml").read_text() == before


def test_after_ctrl_c_there_is_one_line_and_the_same_command_continues(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise Interrupted(signal.SIGINT)

    record = photos.parents[1] / "out/workspace.json"
    monkeypatch.setattr(attempt.create, "_write_graph", lambda at: (at / record.name).touch())
    monkeypatch.setattr(answer, "text", lambda: "the answer")
    command = partial(workspace.attempt, photos, models="pixels", out=record.parent, yes=True)
    monkeypatch.setattr(attempt, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 130
    said = "Interrupted; run the same command again to continue.\n"
    assert capsys.readouterr().err == said
    monkeypatch.setattr(attempt, "run", lambda *_, **__: True)
    command()
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Going on in")
    assert last == "the answer"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nowhere", "no such file"),
        ("broken", "p0.png"),
        ("model", "no model of the registry"),
        ("untrusted", "--trust-code"),
    ],
)
def test_a_mistake_leaves_no_workspace(photos: Path, what: str, message: str) -> None:
    labels: Path | None = photos.parent / "masks"
    chosen, given = "untrained", photos
    if what == "nowhere":
        given = photos.parent / "elsewhere"
    elif what == "broken":
        (photos.parent / "masks/p0.png").write_bytes(b"\x89PNG broken")
    elif what == "model":
        chosen = "dinov2_vits15"
    else:
        own = photos.parent / "own.py"
        own.write_text("def build(): raise SystemExit('it was run')\n")
        chosen = f"{own}:build"
    folder = photos.parents[1] / "out"
    with pytest.raises((SourceError, DataError, SettingsError), match=message):
        begin(folder, given, labels, chosen)
    assert not folder.exists()


def slots(written: str, folder: Path, *, trusted: bool = True) -> dict[str, dict[str, object]]:
    return models.slots(written, folder, patch_size=14, approve=lambda _: trusted)


def test_own_code_is_copied_and_trusted_only_if_the_user_says_so(tmp_path: Path) -> None:
    own = tmp_path / "Mine.py"
    own.write_text("def build(): raise SystemExit('it was run')\n")
    (tmp_path / "out").mkdir()
    found = slots(f"{own}:build,pixels", tmp_path / "out")
    assert found["mine"]["target"] == "src/Mine.py:build"
    assert (found["mine"]["trust_code"], found["mine"]["patch_size"]) == (True, 14)
    assert found["mine"]["layer"] == -1  # and none of a sweep, which it may lack
    assert (tmp_path / "out/src/Mine.py").read_text() == own.read_text()
    with pytest.raises(SettingsError, match="read it"):
        slots(f"{own}:build", tmp_path / "out", trusted=False)


def test_a_registry_name_is_that_entry_and_a_floor_is_always_there(tmp_path: Path) -> None:
    found = slots("dinov2_vits14", tmp_path)
    assert found["dinov2_vits14"] == {"source": "registry", "model": "dinov2_vits14"}
    assert found["pixels"]["source"] == "pixels"
    with pytest.raises(SettingsError, match="twice"):
        slots("pixels,pixels", tmp_path)


def test_a_weight_file_is_pinned_and_its_architecture_is_read_from_its_shapes(
    tmp_path: Path,
) -> None:
    from safetensors.numpy import save_file

    kernel = {"patch_embed.proj.weight": np.zeros((384, 3, 16, 16), np.float32)}
    save_file(kernel, tmp_path / "mine.safetensors")
    found = slots(str(tmp_path / "mine.safetensors"), tmp_path)["mine"]
    assert found["arch"] == "vit_small_patch16_224"
    assert len(str(found["sha256"])) == 64
    named = slots(f"{tmp_path / 'mine.safetensors'}@vit_tiny_patch16_224", tmp_path)["mine"]
    assert named["arch"] == "vit_tiny_patch16_224"
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "odd.safetensors")
    with pytest.raises(SettingsError, match="@ARCHITECTURE"):
        slots(str(tmp_path / "odd.safetensors"), tmp_path)


@pytest.mark.parametrize(
    ("arch", "one"),
    [("vit_tiny_patch16_224", False), ("resnet18", True), ("swin_tiny_patch4_window7_224", True)],
)
def test_a_model_whose_stages_have_other_grids_has_its_last_layer_alone(
    tmp_path: Path, arch: str, one: bool
) -> None:
    (tmp_path / "mine.pt").write_bytes(b"weights")
    found = slots(f"{tmp_path / 'mine.pt'}@{arch}", tmp_path)["mine"]
    assert found.get("layer") == (-1 if one else None)


def test_what_was_asked_for_is_kept_beside_the_settings(begun: Path, photos: Path) -> None:
    asked = json.loads((begun / "try.json").read_text())
    assert asked["photos"] == str(photos)
