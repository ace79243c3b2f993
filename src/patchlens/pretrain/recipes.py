"""The part of a recipe that belongs to its objective; the rest is in `shared.Shared`."""

from typing import Annotated

from pydantic import Field, model_validator

from patchlens.settings.base import Strict, Within

Temperature = Annotated[float, Within(0.001, 1000)]
Ratio = Annotated[float, Within(0.001, 0.999)]
Momentum = Annotated[float, Within(0, 1)]
Area = Annotated[float, Within(0.001, 1)]
Width = Annotated[int, Within(1, 65_536)]


class Own(Strict):
    """Settings of every objective: AdamW with warm-up over a share of the steps, then cosine to 0.

    `batch` counts windows of frames; an objective makes one crop of each, or several.
    """

    batch: Annotated[int, Within(2, 65_536)]
    learning_rate: Annotated[float, Within(1e-9, 10)]
    weight_decay: Annotated[float, Within(0, 10)]
    warmup: Annotated[float, Within(0, 0.99)]

    @property
    def crops_per_window(self) -> int:
        """Crops that the trained backbone sees of each window."""
        return 1


class Dino(Own):
    """Self-distillation with multi-crop (Caron et al. 2021, arXiv 2104.14294).

    `momentum`: of the teacher, from first to last along a cosine. `local_scale`: share of the
    window's area.
    """

    prototypes: Annotated[int, Within(1, 1_000_000)]
    hidden: Width
    bottleneck: Width
    student_temperature: Temperature
    teacher_temperature: Temperature
    center_momentum: Momentum
    momentum: Annotated[list[Momentum], Field(min_length=2, max_length=2)]
    local_crops: Annotated[int, Within(0, 100)]
    local_crop: Annotated[int, Within(1, 4096)]
    local_scale: Annotated[list[Area], Field(min_length=2, max_length=2)]

    @property
    def crops_per_window(self) -> int:
        """Two global crops and the local ones."""
        return 2 + self.local_crops

    @model_validator(mode="after")
    def _sharper_teacher(self) -> "Dino":
        if self.teacher_temperature >= self.student_temperature:
            raise ValueError("'teacher_temperature' must be below student_temperature")
        return self


class Mae(Own):
    """Masked autoencoder (He et al. 2022, arXiv 2111.06377)."""

    mask_ratio: Ratio
    decoder_width: Width
    decoder_depth: Annotated[int, Within(1, 256)]
    decoder_heads: Annotated[int, Within(1, 256)]
    normalise_target: bool


class Ibot(Dino):
    """DINO and masked patches against the teacher's (Zhou et al. 2022, arXiv 2111.07832).

    `mask_ratio`: least and largest share of masked patches; `mask_share`: of the global crops.
    """

    mask_ratio: Annotated[list[Ratio], Field(min_length=2, max_length=2)]
    mask_share: Annotated[float, Within(0.001, 1)]

    @model_validator(mode="after")
    def _in_order(self) -> "Ibot":
        if self.mask_ratio[0] > self.mask_ratio[1]:
            raise ValueError("'mask_ratio' must be [least, largest]")
        return self


class Simmim(Own):
    """Masked patches in, their pixels out (Xie et al. 2022, arXiv 2111.09886).

    `mask_patch`: patches per side of the cells that are masked as one.
    """

    mask_ratio: Ratio
    mask_patch: Annotated[int, Within(1, 4096)]


class Supervised(Own):
    """Cross-entropy of every patch with the class of its pixels: a ceiling, not a rival."""
