"""Settings of T2, instance identification, and of the degradations of its queries."""

from typing import Annotated, Literal

from pydantic import Field, PlainValidator, model_validator

from patchlens.settings.base import Distance, Positive, Section, Strict, all_or_count

Above0 = Annotated[float, Field(gt=0)]
Severities = Annotated[list[Above0], Field(min_length=1)]


class Degradations(Strict):
    """The severities of each degradation, mildest first; omit a degradation to skip it.

    Pixels are those of the original image. blur: sigma in pixels. noise: sigma on 0..255.
    frequency: noise with an amplitude spectrum of 1/f; a tenth of its sigma on 0..255. jpeg:
    quality in 1..100. brightness, contrast: factor. shift: pixels, to the right and down.
    rotation: degrees, counter-clockwise. scale: factor, enlarging above 1.
    """

    blur: Severities | None = None
    noise: Severities | None = None
    frequency: Severities | None = None
    jpeg: Severities | None = None
    brightness: Severities | None = None
    contrast: Severities | None = None
    shift: Severities | None = None
    rotation: Severities | None = None
    scale: Severities | None = None

    def items(self) -> list[tuple[str, float]]:
        """Every (degradation, severity) in the order of the settings."""
        listed = {name: getattr(self, name) or [] for name in type(self).model_fields}
        return [(name, severity) for name, values in listed.items() for severity in values]

    @model_validator(mode="after")
    def _some_without_repeats(self) -> "Degradations":
        found = self.items()
        if not found:
            raise ValueError("give at least one degradation with its severities")
        if len(set(found)) != len(found):
            raise ValueError("severities must not contain repeats")
        if any(not quality.is_integer() or quality > 100 for quality in self.jpeg or []):
            raise ValueError("'jpeg' must contain qualities: integers in 1..100")
        return self


class Identification(Section):
    """T2. Patches of degraded copies of `images` query images are searched in all clean images.

    `patches` of each copy, drawn with `seed`, are queries; the gallery is all clean patches.
    Patches are also pooled in squares of `granularities` patches per side.
    """

    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    patches: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    granularities: Annotated[list[Positive], Field(min_length=1)]
    distance: Distance
    degradations: Degradations
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _patches_are_the_headline(self) -> "Identification":
        if 1 not in self.granularities or len(set(self.granularities)) != len(self.granularities):
            raise ValueError("'granularities' must contain 1 and no repeats")
        return self


SECTION = Identification
