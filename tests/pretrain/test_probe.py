"""The probe: the product's own features, neighbours and scores."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from patchlens.pretrain.model import build
from patchlens.pretrain.probe import KnnProbe
from patchlens.tasks.segmentation.labels import patch_labels
from pretrain.small import PATCH, small_recipe

CPU = torch.device("cpu")


class Painted(KnnProbe):
    """A probe whose features are given."""

    given: NDArray[np.float32]

    def features(self, model: torch.nn.Module) -> NDArray[np.float32]:
        del model
        return self.given


def truth(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([patch_labels(f[3], (32, 64), 10, "majority") for f in frames])


def test_features_that_tell_the_class_are_perfect(frames: NDArray[np.uint8]) -> None:
    probe = Painted(frames[:3], 2, 1, PATCH, CPU)
    probe.given = np.eye(10, dtype=np.float32)[truth(frames[:3])]
    found = probe(torch.nn.Identity())
    shared = np.isin(truth(frames[2:3]), truth(frames[:2]))
    assert found.accuracy == pytest.approx(shared.mean())
    assert found.spread > 0.5


def test_features_that_tell_nothing_collapse(frames: NDArray[np.uint8]) -> None:
    probe = Painted(frames[:3], 2, 1, PATCH, CPU)
    probe.given = np.ones((3, 32, 64, 4), np.float32)
    found = probe(torch.nn.Identity())
    assert found.spread == pytest.approx(0, abs=1e-9)
    assert found.miou < 0.2


def test_scores_by_hand(frames: NDArray[np.uint8]) -> None:
    labels = np.zeros((2, 4, 8, 8), np.uint8)
    labels[:, 3, :, 4:] = 1  # two classes side by side, 4 × 4 pixels a patch: a grid of 2 × 2
    probe = Painted(labels, 1, 1, 4, CPU)
    probe.given = np.zeros((2, 2, 2, 2), np.float32)
    probe.given[0, :, 0] = probe.given[1, :, 0] = [1, 0]
    probe.given[0, :, 1] = probe.given[1, 0, 1] = [0, 1]
    probe.given[1, 1, 1] = [1, 0.1]  # one of the four goes to the wrong class
    found = probe(torch.nn.Identity())
    assert found.accuracy == 0.75
    assert found.miou == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_bank_and_query_are_apart(frames: NDArray[np.uint8]) -> None:
    probe = Painted(frames[:3], 2, 1, PATCH, CPU)
    rng = np.random.default_rng(0)
    probe.given = rng.normal(size=(3, 32, 64, 8)).astype(np.float32)
    assert probe(torch.nn.Identity()).accuracy < 0.6  # a patch in the bank would find itself


def test_probe_leaves_the_model_as_it_was(frames: NDArray[np.uint8]) -> None:
    model = build(small_recipe("mae").shared, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    needs = [p.requires_grad for p in model.parameters()]
    KnnProbe(frames[:2], 1, 1, PATCH, CPU)(model)
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == needs
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 24)  # still of any size
