"""What `patchlens models` prints of the registry."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from conftest import script
from patchlens.backbones.registry.read import entries
from patchlens.backbones.registry.show import show
from patchlens.cli import app

PARAMS = Path(__file__).parents[3] / "params.yaml"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose params.yaml uses one model of the registry."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    content["models"]["big"] = {"source": "registry", "model": "mae_vitl16"}
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def patchlens(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_model_has_a_row_with_its_terms_and_its_slot() -> None:
    rows = {line.split()[0]: line for line in patchlens().splitlines()[2:]}
    assert list(rows) == list(entries())
    assert rows["mae_vitl16"].endswith("big")
    assert "CC-BY-NC-4.0 (non-commercial)" in rows["mae_vitl16"]
    assert "self-distilled" in rows["dino_vits8"]
    assert "22 M" in rows["dino_vits8"]


def test_json_holds_everything_that_an_entry_says() -> None:
    found = {entry["name"]: entry for entry in json.loads(patchlens("--json"))}
    assert list(found) == list(entries())
    assert found["mae_vitl16"]["configured"] == ["big"]
    assert found["mocov3_vits16"]["arch_args"]["num_heads"] == 12
    assert found["mae_vitb16"]["source"]["bytes"] == 343_249_461
    assert json.loads(patchlens("show", "mae_vitb16", "--json"))["title"] == "MAE ViT-B/16"


def test_without_settings_it_lists_too() -> None:
    Path("params.yaml").unlink()
    assert "dino_vitb16" in patchlens()


def test_one_model_in_full() -> None:
    text = patchlens("show", "mae_vitb16")
    assert text.startswith("mae_vitb16: MAE ViT-B/16\n")
    for part in (
        "CC-BY-NC-4.0",
        "NON-COMMERCIAL",
        "https://dl.fbaipublicfiles.com/mae/pretrain/mae_pretrain_vit_base.pth",
        "0.34 GB",
        "sha256 aec5f0b68e5f3193a00b07bc65a37440db549c15b36b8bea242606cc40c4bc5d",
        "85.8 M",
        "Masked Autoencoders Are Scalable Vision Learners",
    ):
        assert part in text
    use = yaml.safe_load(text.partition("In params.yaml:")[2])
    assert use == {"models": {"mae_vitb16": {"source": "registry", "model": "mae_vitb16"}}}


def test_what_is_not_published_is_said_to_be_unknown() -> None:
    text = patchlens("show", "dino_vits8")
    assert "file size     unknown, ≥ 0.09 GB" in text
    assert "no hash published: the first download is recorded" in text
    assert "NON-COMMERCIAL" not in text


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("dinov3_vits16", "gated: accept its terms on {0.homepage}, download the file"),
        ("simmim_vitb16", "by hand: download {0.source.file} with a browser"),
    ],
)
def test_a_file_that_is_brought_by_hand_says_so(name: str, steps: str) -> None:
    entry = entries()[name]
    assert f"{steps.format(entry)} and set `file` to its path" in show(name, entry)


def test_a_hub_entry_without_a_commit_says_so(root: Path) -> None:
    assert "no commit of the hub is pinned" in patchlens("show", "eva02_vitb14")
    assert "no commit of the hub is pinned" not in patchlens("show", "clip_vitb16")
    lines = (root / "docs/models.md").read_text(encoding="utf-8").splitlines()
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    for name, entry in entries().items():
        named = entry.source.kind != "hub" or entry.source.revision is not None
        assert (", unpinned" in rows[name]) != named


def test_an_unknown_model_is_exit_code_2() -> None:
    result = CliRunner().invoke(app, ["models", "show", "mae_vitb61"])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "Error: patchlens models show: 'mae_vitb61' is not in the registry"
    )
    assert result.stderr.endswith("did you mean 'mae_vitb16'?\n")


def test_the_page_is_up_to_date(root: Path) -> None:
    assert script("model_pages.py", "--check") == 0


def test_the_page_has_every_model(root: Path) -> None:
    page = (root / "docs/models.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` | {entry.title} |" in page for name, entry in entries().items())
