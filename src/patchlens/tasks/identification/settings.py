"""Settings of T2, instance identification, and of the degradations of its queries."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import PlainValidator, model_validator

from patchlens.settings.base import Distance, Section, Seed, Some, Strict, Within, all_or_count

if TYPE_CHECKING:
    from patchlens.settings.load import Settings

Sigma = Some[Annotated[float, Within(0.001, 1000)]]  # pixels, or steps of 0..255
Factor = Some[Annotated[float, Within(0.01, 100)]]


class Degradations(Strict):
    """The severities of each degradation, mildest first; omit a degradation to skip it.

    Pixels are those of the original image. blur: sigma in pixels. noise: sigma on 0..255.
    frequency: noise with an amplitude spectrum of 1/f; a tenth of its sigma on 0..255. jpeg:
    quality in 1..100. brightness, contrast: factor. shift: pixels, to the right and down.
    rotation: degrees, counter-clockwise. scale: factor, enlarging above 1.
    """

    blur: Sigma | None = None
    noise: Sigma | None = None
    frequency: Sigma | None = None
    jpeg: Some[Annotated[float, Within(1, 100)]] | None = None
    brightness: Factor | None = None
    contrast: Factor | None = None
    shift: Some[Annotated[float, Within(0.01, 10_000)]] | None = None
    rotation: Some[Annotated[float, Within(0.01, 359.99)]] | None = None
    scale: Factor | None = None

    def items(self) -> list[tuple[str, float]]:
        """Every (degradation, severity) in the order of the settings."""
        listed = {name: getattr(self, name) or [] for name in type(self).model_fields}
        return [(name, severity) for name, values in listed.items() for severity in values]

    @model_validator(mode="after")
    def _some(self) -> "Degradations":
        if not self.items():
            raise ValueError("give at least one degradation with its severities")
        if any(not quality.is_integer() for quality in self.jpeg or []):
            raise ValueError("'jpeg' must contain qualities: integers in 1..100")
        return self


class Identification(Section):
    """T2. Patches of degraded copies of `images` query images are searched in all clean images.

    `patches` of each copy, drawn with `seed`, are queries; the gallery is all clean patches.
    Patches are also pooled in squares of `granularities` patches per side.
    """

    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    patches: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    granularities: Some[Annotated[int, Within(1, 512)]]
    distance: Distance
    degradations: Degradations
    seed: Seed

    def too_coarse(self, grid: tuple[int, int]) -> str | None:
        """Why the patches of an image have no room for a granularity; None if they have."""
        if (coarsest := max(self.granularities)) <= min(grid):
            return None
        return (
            f"identification.granularities: {coarsest} exceeds the grid of {grid[0]}×{grid[1]} "
            "patches; remove it"
        )

    def check(self, settings: "Settings") -> Iterable[str]:
        """Every granularity must fit the grid of a dataset, where that is known."""
        for name in self.datasets:
            grid = settings.grid(name)
            if grid is not None and (problem := self.too_coarse(grid)):
                yield f"{problem}, or enlarge datasets.{name}.view.patches"

    @model_validator(mode="after")
    def _patches_are_the_headline(self) -> "Identification":
        if 1 not in self.granularities:
            raise ValueError("'granularities' must contain 1, the single patches")
        return self


SECTION = Identification
