"""Label propagation: against a slow writing of its definition, on motion, and its bounds."""

import gc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from patchlens.tasks.tracking import propagation
from patchlens.tasks.tracking.propagation import enlarge, one_hot, propagate
from patchlens.tasks.tracking.settings import Propagation

DINO = Propagation(queue=7, radius=12, top=5, temperature=0.1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def slowly(frames: list[Tensor], first: Tensor, settings: Propagation) -> list[Tensor]:
    """The definition, patch by patch."""
    height, width, _ = first.shape
    units = [f / f.norm(dim=-1, keepdim=True) for f in frames]
    labels = [first]
    for t in range(1, len(frames)):
        sources = [0, *range(max(1, t - settings.queue), t)]
        found = torch.zeros_like(first)
        for y in range(height):
            for x in range(width):
                near = [
                    (float(units[t][y, x] @ units[s][j, i]), labels[s][j, i])
                    for s in sources
                    for j in range(height)
                    for i in range(width)
                    if max(abs(j - y), abs(i - x)) <= settings.radius
                ]
                best = sorted(near, key=lambda pair: -pair[0])[: settings.top]
                weights = torch.tensor([c for c, _ in best]).div(settings.temperature).softmax(0)
                found[y, x] = sum(w * share for w, (_, share) in zip(weights, best, strict=True))
        labels.append(found)
    return labels[1:]


@pytest.mark.parametrize("radius", [1, 4])
def test_it_is_what_the_definition_says(radius, monkeypatch):
    monkeypatch.setattr(propagation, "BLOCK", 3)  # blocks that do not fill the map
    settings = Propagation(queue=2, radius=radius, top=3, temperature=0.3)
    frames = [noise(5, 7, 4, seed=s) for s in range(5)]
    first = one_hot(noise(5, 7).gt(0).long(), 2, (5, 7))
    for found, expected in zip(
        propagate(frames, first, settings), slowly(frames, first, settings), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_a_moving_object_keeps_its_label():
    start = noise(10, 12, 256)
    mask = torch.zeros(10, 12, dtype=torch.long)
    mask[3:6, 2:5], mask[8, 8] = 1, 2
    frames = [start.roll((t, t), (0, 1)) for t in range(4)]
    found = list(propagate(frames, one_hot(mask, 3, (10, 12)), DINO))
    assert len(found) == 3
    for t, labels in enumerate(found, start=1):
        expected = mask.roll((t, t), (0, 1))
        inside = slice(t, None)  # what wraps around comes from beyond the radius or not at all
        assert torch.equal(labels.argmax(-1)[inside, inside], expected[inside, inside])


def test_nothing_comes_from_beyond_the_radius():
    start = noise(6, 9, 256)
    mask = torch.zeros(6, 9, dtype=torch.long)
    mask[2, 1] = 1
    frames = [start, start.roll(3, 1)]
    for radius, carried in ((3, True), (2, False)):
        settings = Propagation(queue=1, radius=radius, top=1, temperature=0.1)
        (labels,) = propagate(frames, one_hot(mask, 2, (6, 9)), settings)
        assert bool(labels[2, 4, 1] == 1) is carried


def test_sources_are_the_first_frame_and_the_last_ones():
    settings = Propagation(queue=2, radius=2, top=1, temperature=0.1)
    kinds = torch.eye(5)
    looks = [0, 1, 1, 1, 0]  # the last frame looks like the first and like none of the two before
    first = one_hot(torch.ones(1, 1, dtype=torch.long), 2, (1, 1))
    found = list(propagate([kinds[k].reshape(1, 1, 5) for k in looks], first, settings))
    assert [float(labels[0, 0, 1]) for labels in found] == [1, 1, 1, 1]


def test_memory_is_bounded_by_the_queue():
    settings = Propagation(queue=3, radius=1, top=2, temperature=0.1)
    made = 0

    def frames() -> Iterator[Tensor]:
        nonlocal made
        for seed in range(10):
            made += 1
            yield noise(4, 4, 97, seed=seed)

    first = one_hot(torch.zeros(4, 4, dtype=torch.long), 2, (4, 4))
    for _ in propagate(frames(), first, settings):
        alive = sum(1 for o in gc.get_objects() if type(o) is Tensor and o.shape == (4, 4, 97))
        # The queue, the first frame, and this frame as it came.
        assert alive <= settings.queue + 2
    assert made == 10


@pytest.mark.parametrize("width", [0, 4])
def test_features_that_say_nothing_give_the_mean_of_the_neighbourhood(width):
    settings = Propagation(queue=1, radius=1, top=2, temperature=0.1)
    mask = torch.tensor([[1, 0, 0, 0]])
    frames = [torch.zeros(1, 4, width)] * 2
    (labels,) = propagate(frames, one_hot(mask, 2, (1, 4)), settings)
    assert labels[0, :, 1].tolist() == pytest.approx([1 / 2, 1 / 3, 0, 0])


def test_one_hot_takes_the_pixel_at_the_centre_of_a_patch():
    mask = torch.zeros(4, 6, dtype=torch.long)
    mask[1, 1], mask[3, 5] = 1, 2
    assert one_hot(mask, 3, (2, 2)).argmax(-1).tolist() == [[1, 0], [0, 0]]
    # An object smaller than a patch, and off its centre, has no patch.
    assert one_hot(mask, 3, (2, 2)).sum(dim=(0, 1)).tolist() == [3, 1, 0]


def test_enlarging_stretches_every_label():
    shares = torch.zeros(3, 3, 2)
    shares[..., 0] = 1
    shares[1, 1] = torch.tensor([0.7, 0.3])  # stretched: 0 and 1
    assert enlarge(shares, (3, 3)).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    # In four times the size the edge between the two lies half-way.
    assert int(enlarge(shares, (12, 12)).sum()) in range(9, 26)


def test_enlarging_a_label_that_is_everywhere_or_nowhere():
    shares = torch.zeros(2, 2, 3)
    shares[..., 1] = 1
    assert enlarge(shares, (4, 4)).tolist() == np.ones((4, 4)).tolist()
