"""Checkpoints of the pre-training: what was saved comes back, and what is damaged does not."""

from pathlib import Path

import pytest
import torch

from patchlens.pretrain.checkpoint import State, restore, save


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert restore(path) is None
    save(path, State(step=3, seconds=1.5), weights={"w": torch.arange(3)})
    found = restore(path)
    assert found is not None
    assert found[0] == State(step=3, seconds=1.5)
    assert torch.equal(found[1]["weights"]["w"], torch.arange(3))


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "other"])
def test_a_damaged_checkpoint_is_discarded_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "checkpoint.pt"
    save(path, State(step=3), weights={"w": torch.arange(1000)})
    if damage == "other":
        torch.save({"weights": {}}, path)
    else:
        content = path.read_bytes()
        damaged = {"empty": b"", "cut": content[: len(content) // 2], "garbage": b"\xff" * 99}
        path.write_bytes(damaged[damage])
    assert restore(path) is None
    assert f"{path}: damaged; discarded, and the training begins anew" in caplog.text
