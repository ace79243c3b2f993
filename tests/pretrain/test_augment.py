"""Views: where they are cut, that labels follow their pixels, and who draws."""

import pytest
import torch

from patchlens.backbones.contract import IMAGENET_MEAN, IMAGENET_STD
from patchlens.pretrain.augment import seeded, view
from patchlens.pretrain.shared import Augment

PLAIN = Augment(window=24, scale=[1.0, 1.0], flip=0.0, jitter=0.0, grey=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels_of(normalised: torch.Tensor) -> torch.Tensor:
    """Back to 0..255."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (normalised * std + mean) * 255


def noise(n: int = 64, side: int = 24) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, side, side), generator=generator(9)).to(torch.uint8)


def test_a_flat_window_stays_what_it_is() -> None:
    crops = torch.arange(30, 94).view(-1, 1, 1, 1).expand(-1, 3, 24, 24).to(torch.uint8)
    for size in (8, 24, 40):
        found, labels = view(crops, size, PLAIN, (0.2, 1.0), generator())
        assert labels is None
        assert found.shape == (64, 3, size, size)
        torch.testing.assert_close(
            pixels_of(found), crops[..., :1, :1].float().expand(-1, -1, size, size)
        )


def test_halving_is_the_triangle_filter_of_pillow() -> None:
    import numpy as np
    from PIL import Image

    crops = noise(1, 32)
    # An area this large is clipped to the whole window, whatever its aspect.
    found, _ = view(crops, 16, PLAIN, (1.7, 1.7), generator())
    image = Image.fromarray(crops[0].permute(1, 2, 0).numpy())
    wanted = np.array(image.resize((16, 16), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert (pixels_of(found)[0] - torch.from_numpy(wanted)).abs().max() < 1.01


def test_boxes_cover_the_share_that_was_asked_for() -> None:
    ramp = torch.arange(200, dtype=torch.uint8).expand(400, 3, 200, 200)
    found, _ = view(ramp, 40, PLAIN, (0.25, 0.25), generator())
    row = pixels_of(found)[:, 0, 0]
    width = (row[:, -1] - row[:, 0]) * 40 / 39 / 200
    assert 0.41 < float(width.min()) < float(width.max()) < 0.6
    assert float(width.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(row.min()) < 5 < 194 < float(row.max())  # they reach the borders


def test_half_are_flipped() -> None:
    ramp = torch.arange(24, dtype=torch.uint8).expand(400, 3, 24, 24)
    flipping = PLAIN.model_copy(update={"flip": 0.5})
    found, _ = view(ramp, 12, flipping, (0.5, 0.5), generator())
    falling = (found[:, 0, 0, -1] < found[:, 0, 0, 0]).float().mean()
    assert 0.4 < float(falling) < 0.6


def test_labels_follow_their_pixels() -> None:
    classes = torch.randint(0, 4, (64, 1, 3, 3), generator=generator(3))
    mask = classes.repeat_interleave(16, 2).repeat_interleave(16, 3).to(torch.uint8)
    crops = torch.cat([mask * 60, mask * 60, mask * 60, mask], dim=1)
    flipping = PLAIN.model_copy(update={"flip": 0.5})
    found, labels = view(crops, 32, flipping, (0.2, 0.9), generator())
    assert labels is not None
    assert (labels.shape, labels.dtype) == ((64, 32, 32), torch.uint8)
    right = (pixels_of(found)[:, 0] / 60).round() == labels
    assert float(right.float().mean()) > 0.9  # all but blurred borders


def test_grey_and_jitter() -> None:
    grey = PLAIN.model_copy(update={"grey": 0.5})
    found = pixels_of(view(noise(200), 8, grey, (0.5, 1.0), generator())[0])
    is_grey = (found.amax(1) - found.amin(1)).amax((1, 2)) < 1e-2
    assert 0.4 < float(is_grey.float().mean()) < 0.6
    jittered = PLAIN.model_copy(update={"jitter": 0.4})
    one, other = (
        pixels_of(view(noise(200), 8, how, (0.5, 1.0), generator())[0]) for how in (jittered, PLAIN)
    )
    assert -1e-3 <= float(one.min()) < float(one.max()) <= 255.001
    ratio = one.mean((1, 2, 3)) / other.mean((1, 2, 3))
    assert 0.55 < float(ratio.min()) < 0.7
    assert 1.3 < float(ratio.max()) < 1.45


def test_one_generator_decides_everything() -> None:
    augment = PLAIN.model_copy(update={"flip": 0.5, "jitter": 0.3, "grey": 0.2})
    torch.manual_seed(1)
    one = view(noise(), 8, augment, (0.2, 1.0), generator(4))[0]
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    assert torch.equal(view(noise(), 8, augment, (0.2, 1.0), generator(4))[0], one)
    assert not torch.equal(view(noise(), 8, augment, (0.2, 1.0), generator(5))[0], one)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_global_draws_inside_come_from_the_generator() -> None:
    before = torch.random.get_rng_state()

    def draws(seed: int) -> torch.Tensor:
        source = generator(seed)
        with seeded(source):
            first = torch.rand(3)
        with seeded(source):
            return torch.cat([first, torch.rand(3)])

    assert torch.equal(draws(1), draws(1))
    assert not torch.equal(draws(1), draws(2))
    assert not torch.equal(draws(1)[:3], draws(1)[3:])
    assert torch.equal(torch.random.get_rng_state(), before)
