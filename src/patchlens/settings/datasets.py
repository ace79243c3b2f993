"""Settings of the datasets: where the images lie, which are used, how they are shown to a model."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticKnownError

from patchlens.names import DatasetName
from patchlens.settings.base import Positive, Strict, all_or_count

Size = Annotated[list[Positive], Field(min_length=2, max_length=2)]


class View(Strict):
    """How an image becomes model input.

    `mode: whole` resizes the image; `mode: tiles` cuts it into squares of `tile` pixels, resizes
    each, and stitches the patch maps before anything is scored.
    `grid: equal` gives every model the same `patches: [rows, columns]` a view (input = grid × patch
    size); `grid: paper` gives every model the same `pixels: [height, width]` input, so that grids
    differ between patch sizes and only pixel scores are comparable.
    `gsd` is the ground sample distance of images of the earth, in metres a pixel before any
    resize. Models with position mode `gsd` (Scale-MAE) use it; without it their ratio is g = 1.
    """

    mode: Literal["whole", "tiles"]
    grid: Literal["equal", "paper"]
    tile: Positive | None = None
    patches: Size | None = None
    pixels: Size | None = None
    gsd: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "View":
        if (self.mode == "tiles") != (self.tile is not None):
            raise ValueError("'tile' (pixels) is given with mode: tiles, and only then")
        if self.gsd is not None and self.tile is None:
            raise ValueError("'gsd' needs mode: tiles, so that a view covers a known ground")
        if (self.grid == "equal") != (self.patches is not None):
            raise ValueError("'patches: [rows, columns]' is given with grid: equal, and only then")
        if (self.grid == "paper") != (self.pixels is not None):
            raise ValueError("'pixels: [height, width]' is given with grid: paper, and only then")
        return self

    def input_size(self, patch_size: int) -> tuple[int, int]:
        """Height and width in pixels of one view for a model of this patch size."""
        if self.patches is not None:
            return self.patches[0] * patch_size, self.patches[1] * patch_size
        assert self.pixels is not None
        return self.pixels[0], self.pixels[1]

    @property
    def ground(self) -> float | None:
        """Metres that a side of one view covers, where that is known."""
        return None if self.gsd is None or self.tile is None else self.gsd * self.tile

    def describe(self, patch_size: int) -> str:
        """The view in words, for the protocol that every table carries."""
        height, width = self.input_size(patch_size)
        tiles = f"tiles of {self.tile}" if self.mode == "tiles" else "whole images"
        ground = "" if self.gsd is None else f", {self.gsd:g} m a pixel"
        return f"{tiles} at {height}×{width}{ground}"


class Support(Strict):
    """The few labelled images: drawn at index time, once a seed, in the order of a hash.

    `images` counts in total, of each group (the city), or of each class, as `per` says. `all` is
    the whole split: the train split of T2 to T4, which is drawn once, so with one seed.
    `sequences` keeps only so many whole sequences of the split, the first in hash order.
    """

    split: str
    sequences: Positive | None = None
    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    per: Literal["total", "group", "class"]
    seeds: Annotated[list[int], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> "Support":
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("'seeds' must be distinct")
        if self.images == "all" and (self.per != "total" or len(self.seeds) > 1):
            raise ValueError("images: all is one draw: it needs per: total and one seed")
        return self


class Query(Strict):
    """The images that are scored: all of the split, or `images` (of each group) in hash order.

    `sequences` keeps only so many whole sequences of the split, the first in hash order. `unit` is
    what the bootstrap resamples: the sequence where frames are near-duplicates.
    """

    split: str
    sequences: Positive | None = None
    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    per: Literal["total", "group"]
    unit: Literal["image", "sequence"]


class _Dataset(Strict):
    # Nullable and not optional: DVC fails where a parameter of a stage is not written at all.
    view: View
    support: Support | None
    query: Query | None

    @model_validator(mode="after")
    def _together(self) -> "_Dataset":
        if self.support is not None and self.query is None:
            raise ValueError("'support' needs a 'query': nothing would be scored")
        return self

    def few_shot(self) -> tuple[Support, Query]:
        """Support and query of a dataset that segmentation uses: there, as `load` has checked."""
        assert self.support is not None
        assert self.query is not None
        return self.support, self.query


class Minicity(_Dataset):
    """The procedural street world, rendered by the render stage.

    `stills` of each of support and query and `videos` of each of video_train and video_test are
    rendered: the first ones of the frozen whole (64 and 4).
    """

    kind: Literal["minicity"]
    stills: Annotated[int, Field(ge=0, le=64)]
    videos: Annotated[int, Field(ge=0, le=4)]

    @model_validator(mode="after")
    def _something(self) -> "Minicity":
        if self.stills == self.videos == 0:
            raise ValueError("'stills' and 'videos' are both 0: nothing would be rendered")
        return self


class Collected(_Dataset):
    """A dataset that others collected, or the user: of any kind in the catalogue but minicity.

    With `root` it is where the user placed it, in its official layout (the manifest stage lists
    it at every run). Without `root` the fetch stage brings it to data/raw/<name>: by download where
    the source is open, else from `archives`, a folder of the official archives that the user
    downloaded with an own account.
    """

    kind: str
    root: str | None = None
    archives: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Collected":
        if self.root is not None and self.archives is not None:
            raise ValueError("'root' (unpacked) and 'archives' (to be unpacked): give one of them")
        if self.kind == "folder" and self.root is None:
            raise ValueError("'root' is missing: kind: folder reads a folder of yours")
        return self


# Every kind with the tasks that can run on it. The catalogue says so; it lies in a room above, and
# is given to `load`.
Kinds = Mapping[str, Collection[str]]
MADE, COLLECTED = "minicity", "collected"


def _known(value: Any, info: ValidationInfo) -> Any:
    """Refuse a section whose kind is missing or unknown before its other keys are judged."""
    if not isinstance(value, dict):
        return value
    assert info.context is not None, "settings are validated with the kinds as context"
    kinds: Kinds = info.context
    if "kind" not in value:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
    if (kind := str(value["kind"])) not in kinds:
        allowed = ", ".join(f"'{name}'" for name in kinds)
        told = {"discriminator": "'kind'", "tag": kind, "expected_tags": allowed}
        raise PydanticKnownError("union_tag_invalid", told)
    return value


def _section(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return MADE if kind == MADE else COLLECTED


Dataset = Annotated[
    Annotated[Minicity, Tag(MADE)] | Annotated[Collected, Tag(COLLECTED)],
    Discriminator(_section),
    BeforeValidator(_known),
]


class Fetch(Strict):
    """Where images come from; one stage brings the datasets of each list.

    `made`: rendered by the pipeline (render). `downloaded`: fetched from its source, or unpacked
    from the user's archives (fetch). `placed`: a folder of the user's, checked each run (manifest).
    """

    made: list[DatasetName]
    downloaded: list[DatasetName]
    placed: list[DatasetName]
