"""Resampling tables of relative position biases, as BEiT's code does."""

import numpy as np
import pytest
import torch
from torch import Tensor

from patchlens.backbones.position import positions, resize_table


def table(rows: int, columns: int, heads: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn((2 * rows - 1) * (2 * columns - 1) + 3, heads, generator=generator)


def test_the_stored_grid_is_left_as_it_is() -> None:
    stored = table(4, 4)
    assert resize_table(stored, (4, 4), (4, 4)) is stored


@pytest.mark.parametrize("target", [(7, 7), (2, 3), (1, 9)])
def test_the_values_of_the_class_token_are_kept(target: tuple[int, int]) -> None:
    stored = table(4, 4)
    moved = resize_table(stored, (4, 4), target)
    assert moved.shape == ((2 * target[0] - 1) * (2 * target[1] - 1) + 3, 2)
    assert torch.equal(moved[-3:], stored[-3:])
    assert moved.dtype == torch.float32


@pytest.mark.parametrize("target", [(6, 6), (3, 8)])
def test_distance_0_and_1_keep_their_values(target: tuple[int, int]) -> None:
    """They are stored positions, whatever the factor; so is a constant everywhere."""
    stored = table(4, 4)
    moved = resize_table(stored, (4, 4), target)
    sides = [2 * side - 1 for side in target]
    old, new = stored[:-3].reshape(7, 7, 2), moved[:-3].reshape(*sides, 2)
    y, x = target[0] - 1, target[1] - 1
    torch.testing.assert_close(new[y - 1 : y + 2, x - 1 : x + 2], old[2:5, 2:5])
    flat = resize_table(torch.ones_like(stored), (4, 4), target)
    torch.testing.assert_close(flat, torch.ones_like(flat))


def test_a_side_that_keeps_its_length_keeps_its_values() -> None:
    stored = table(4, 4)
    moved = resize_table(stored, (4, 4), (4, 6))[:-3].reshape(7, 11, 2)
    torch.testing.assert_close(moved[:, 5], stored[:-3].reshape(7, 7, 2)[:, 3])


def test_rows_and_columns_are_not_mixed_up() -> None:
    stored = table(3, 5)
    moved = resize_table(stored, (3, 5), (5, 5))[:-3].reshape(9, 9, 2)
    torch.testing.assert_close(moved[4], stored[:-3].reshape(5, 9, 2)[2])


@pytest.mark.parametrize(("stored", "target"), [(14, 16), (14, 32), (4, 5)])
def test_the_farthest_value_lies_at_the_farthest_distance(stored: int, target: int) -> None:
    places = positions(stored, target)
    assert len(places) == 2 * stored - 1
    assert places[-1] == pytest.approx(target - 1, abs=1e-3)
    np.testing.assert_array_equal(places, -places[::-1])
    assert (np.diff(places, 2)[stored:] > 0).all()


def test_values_beyond_the_last_stored_one_are_as_the_last() -> None:
    """The factor is at most 1.5: a tiny grid cannot be stretched as far as one likes."""
    assert positions(4, 9)[-1] == pytest.approx(1 + 1.5 + 1.5**2, abs=1e-4)
    moved = resize_table(table(4, 4), (4, 4), (9, 9))[:-3].reshape(17, 17, 2)
    torch.testing.assert_close(moved[0], moved[2])


def test_a_small_stored_grid_is_read_with_a_lower_degree() -> None:
    moved = resize_table(table(2, 2), (2, 2), (4, 4))
    assert moved.shape == (7 * 7 + 3, 2)
    assert moved.isfinite().all()
