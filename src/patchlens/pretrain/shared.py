"""The settings that all objectives of a size share: architecture, budget, data, augmentation."""

from typing import Annotated

from pydantic import Field, model_validator

from minicity.spec import FREE_SEEDS, HEIGHT, WIDTH
from patchlens.settings.base import MOST, Strict, Within
from patchlens.settings.models import Blocks, Heads, Patch, Width

Share = Annotated[float, Within(0, 1)]
FreeSeed = Annotated[int, Within(FREE_SEEDS, 2**32 - 1)]
Scenes = Annotated[int, Within(0, MOST)]
Some = Annotated[int, Within(1, MOST)]


class Arch(Strict):
    """The ViT, the same for every objective."""

    patch_size: Patch
    embed_dim: Width
    depth: Blocks
    num_heads: Heads

    @model_validator(mode="after")
    def _divisible(self) -> "Arch":
        if self.embed_dim % (4 * self.num_heads):  # sine-cosine positions need quarters
            raise ValueError("'embed_dim' must be a multiple of 4 × num_heads")
        return self


class Frames(Strict):
    """Scenes `first_seed`, `first_seed` + 1, …: `stills`, then `videos` × `frames` frames.

    Of a video every `every`-th frame is taken, so that neighbours differ.
    """

    first_seed: FreeSeed
    stills: Scenes
    videos: Scenes
    frames: Some
    every: Some

    @property
    def seeds(self) -> range:
        """The seeds of all its scenes."""
        return range(self.first_seed, self.first_seed + self.stills + self.videos)

    @property
    def count(self) -> int:
        """The number of frames."""
        return self.stills + self.videos * self.frames

    @model_validator(mode="after")
    def _some(self) -> "Frames":
        if self.count == 0:
            raise ValueError("'stills' and 'videos' are both 0: there is nothing to train on")
        return self


class Probe(Strict):
    """The k-NN probe: patch mIoU on held-out stills; recipes are chosen by it alone.

    The first `bank` scenes from `first_seed` on are the memory bank, the next `query` are scored.
    """

    first_seed: FreeSeed
    bank: Some
    query: Some
    k: Annotated[int, Within(1, 100_000)]
    every: Share  # of the run between two probes; the start and the end are always probed

    @property
    def seeds(self) -> range:
        """The seeds of all its scenes."""
        return range(self.first_seed, self.first_seed + self.bank + self.query)


class Augment(Strict):
    """The augmentation of every global crop, the same for all objectives.

    `window`: side of the square that is cut from a frame, in pixels; `scale`: share of the window's
    area that a crop covers; `flip`, `grey`: probabilities; `jitter`: strength of the change of
    brightness, contrast and saturation.
    """

    window: Annotated[int, Within(1, min(HEIGHT, WIDTH))]
    scale: Annotated[list[Annotated[float, Within(0.001, 1)]], Field(min_length=2, max_length=2)]
    flip: Share
    jitter: Share
    grey: Share


class Shared(Strict):
    """The settings that all objectives of a size share.

    `crops` is the budget: the crops that the backbone sees, each counted once whatever its size;
    the forward passes of the teacher are counted separately.
    """

    arch: Arch
    crop: Annotated[int, Within(1, 4096)]
    crops: Annotated[int, Within(1, 10**12)]
    train: Frames
    probe: Probe
    augment: Augment
    clip: Annotated[float, Within(1e-6, 1e6)]  # largest norm of the gradient
    log_every: Annotated[int, Within(1, 10**9)]  # steps
    checkpoint_minutes: Annotated[float, Within(0.001, 100_000)]

    @model_validator(mode="after")
    def _fits(self) -> "Shared":
        if self.crop % self.arch.patch_size:
            raise ValueError(f"'crop' must be a multiple of the patch size {self.arch.patch_size}")
        train, probe = self.train.seeds, self.probe.seeds
        if train.start < probe.stop and probe.start < train.stop:
            raise ValueError("'train' and 'probe' share scenes: move probe.first_seed")
        return self
