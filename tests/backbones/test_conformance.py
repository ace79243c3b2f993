"""`patchlens models check`: each fault of a model is found and named; a right one passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from patchlens.backbones.conformance import check, examine
from patchlens.backbones.pixels import PixelsBackbone
from patchlens.backbones.wrap import wrap
from patchlens.cli import app
from patchlens.errors import DataError
from patchlens.progress import log

PLAIN: dict[str, Any] = {"patch_size": 4, "mean": [0.5] * 3, "std": [0.25] * 3, "name": "m"}
torch.manual_seed(0)
PROJ = nn.Conv2d(3, 6, 4, 4).requires_grad_(False)


def rows(x: Tensor) -> Tensor:
    return PROJ(x).flatten(2).mT


# Fault -> (model, what is stated otherwise, check that finds it, its message, certain).
FAULTS: dict[str, tuple[Callable[[Tensor], Any], dict[str, Any], str, str, bool]] = {
    "columns": (
        lambda x: PROJ(x).mT.flatten(2).mT, {}, "patch order", "tokens come in columns", True),
    "upside down": (
        lambda x: PROJ(x).flip(2), {}, "patch order", "tokens come from the bottom; ", True),
    "mirrored": (lambda x: PROJ(x).flip(3), {}, "patch order", "come from the right", True),
    "every other row mirrored": (
        lambda x: torch.cat([rows(x)[:, :4], rows(x)[:, 4:8].flip(1), rows(x)[:, 8:]], 1),
        {}, "patch order", "and 33% hardly move it", False),
    "no place": (
        lambda x: rows(x) * 0 + rows(x).mean(1, keepdim=True) + rows(x)[:, :1],
        {}, "patch order", "move their own token most", False),
    "batch": (lambda x: rows(x - x.mean(0)), {}, "batch", "a batch norm must use its stored", True),
    "nan": (
        lambda x: rows(x) / (x.shape[2] == 8), {}, "values", "NaN or infinite tokens", True),
    "0…255": (
        lambda x: rows(x) / 255 + 9, {"mean": [0] * 3, "std": [1] * 3},
        "input range", "if the model takes 0…255, set mean", False),
    "wide": (
        lambda x: rows(x), {"mean": [0] * 3, "std": [1 / 255] * 3},
        "input range", "reaches from 0 to 255, right only for", False),
    "grey": (
        lambda x: rows(x.mean(1, keepdim=True).expand(-1, 3, -1, -1)),
        {}, "channel order", "red and blue have the same effect", False),
    "constant": (
        lambda x: nn.functional.pad(rows(x), (0, 2)), {}, "dimensions", "2 constant and 0", False),
    "repeated": (
        lambda x: torch.cat([rows(x)] * 2, -1), {}, "dimensions", "0 constant and 6 rep", False),
    "layers": (lambda x: [rows(x), rows(x)], {}, "layers", "layers 0 and 1 are equal", False),
    "large": (lambda x: rows(x) * 1e6, {}, "dtype", "set features.dtype: float32", False),
    "half": (lambda x: rows(x).half(), {}, "dtype", "tokens are torch.float16; compute", False),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_named_with_its_remedy_and_stops_weights_if_it_is_certain(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stated, what, message, certain = FAULTS[kind]
    bone = wrap(model, **(PLAIN | stated))
    found = {finding.what: finding for finding in examine(bone, norm=True)}
    assert message in found[what].fault
    assert found[what].certain is certain
    assert str(found[what]).startswith(f"{what:14}WRONG  ")
    said: list[str] = []
    monkeypatch.setattr(log, "warning", lambda text, *args: said.append(text % args))
    if certain:
        with pytest.raises(DataError, match=f"^m: {what}: "):
            check(bone, norm=True, origin="m")
    else:
        check(bone, norm=True, origin="m")
        assert any(line.startswith(f"m: {what}: ") and message in line for line in said)


@pytest.mark.parametrize("stated", [{}, {"input_size": (8, 16)}])
def test_a_model_without_faults_passes_every_check(stated: dict[str, Any]) -> None:
    found = examine(wrap(rows, **PLAIN, **stated), norm=True)
    assert [str(f) for f in found if f.fault] == []
    assert [finding.what for finding in found] == [
        "shape", "repeatable", "batch", "patch order", "input range", "channel order",
        "dimensions", "layers", "norm", "dtype",
    ]  # fmt: skip
    assert all("  OK  " in str(f) or "OK  " in str(f) for f in found)


def test_randomness_is_found_where_wrap_does_not_see_it() -> None:
    bone = PixelsBackbone(4)
    plain = bone.__call__

    class Noisy(PixelsBackbone):
        def __call__(self, images: Tensor, **more: Any) -> Any:
            [found] = plain(images, **more)
            noise = torch.rand_like(found.patches)
            return [type(found)(found.patches + noise, None, None)]

    found = {f.what: f.fault for f in examine(Noisy(4), norm=True)}
    assert "the same images give other tokens" in found["repeatable"]


def test_the_command_reports_line_by_line(own_file: Callable[[str, str], None], root: Path) -> None:
    import yaml

    own_file(
        "models/door_checked.py",
        "from torch import nn\ndef make(flip=False):\n    proj = nn.Conv2d(3, 6, 4, 4)\n"
        "    return lambda x: proj(x).flip(3) if flip else proj(x)\n",
    )
    slot = {"source": "python", "target": "models/door_checked.py:make", "trust_code": True}
    slot |= {"patch_size": 4, "mean": [0.5] * 3, "std": [0.25] * 3}
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["models"] = {"good": slot, "bad": slot | {"args": {"flip": True}}}
    content["models"]["other"] = {"source": "pixels", "patch_size": 4}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    run = CliRunner().invoke
    assert (good := run(app, ["models", "check", "good"])).exit_code == 0
    assert good.output.count("OK  ") == 10
    assert (bad := run(app, ["models", "check", "bad"])).exit_code == 1
    assert "WRONG  tokens come from the right; return them in rows" in bad.output
    missing = run(app, ["models", "check", "other"])
    assert missing.exit_code == 3
    assert "run `dvc repro weights@other` first" in missing.output
