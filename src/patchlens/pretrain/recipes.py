"""The part of a recipe that belongs to its objective; the rest is in `shared.Shared`."""

from typing import Annotated

from pydantic import Field, model_validator

from patchlens.settings.base import Positive, Strict

Temperature = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0, lt=1)]
Momentum = Annotated[float, Field(ge=0, le=1)]
Area = Annotated[float, Field(gt=0, le=1)]


class Own(Strict):
    """Settings of every objective: AdamW with warm-up over a share of the steps, then cosine to 0.

    `batch` counts windows of frames; an objective makes one crop of each, or several.
    """

    batch: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Annotated[float, Field(ge=0, lt=1)]

    @property
    def crops_per_window(self) -> int:
        """Crops that the trained backbone sees of each window."""
        return 1


class Dino(Own):
    """Self-distillation with multi-crop (Caron et al. 2021, arXiv 2104.14294).

    `momentum`: of the teacher, from first to last along a cosine. `local_scale`: share of the
    window's area.
    """

    prototypes: Positive
    hidden: Positive
    bottleneck: Positive
    student_temperature: Temperature
    teacher_temperature: Temperature
    center_momentum: Momentum
    momentum: Annotated[list[Momentum], Field(min_length=2, max_length=2)]
    local_crops: Annotated[int, Field(ge=0)]
    local_crop: Positive
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
    decoder_width: Positive
    decoder_depth: Positive
    decoder_heads: Positive
    normalise_target: bool


class Ibot(Dino):
    """DINO and masked patches against the teacher's (Zhou et al. 2022, arXiv 2111.07832).

    `mask_ratio`: least and largest share of masked patches; `mask_share`: of the global crops.
    """

    mask_ratio: Annotated[list[Ratio], Field(min_length=2, max_length=2)]
    mask_share: Annotated[float, Field(gt=0, le=1)]

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
    mask_patch: Positive


class Supervised(Own):
    """Cross-entropy of every patch with the class of its pixels: a ceiling, not a rival."""
