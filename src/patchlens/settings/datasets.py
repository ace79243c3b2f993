"""Settings of the datasets: where images are, which are used, how they become model input."""

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
from patchlens.settings.base import (
    MOST,
    Line,
    PathLine,
    Seed,
    Several,
    Some,
    Strict,
    Within,
    all_or_count,
)

Two = Field(min_length=2, max_length=2)
Patches = Annotated[list[Annotated[int, Within(1, 512)]], Two]
Pixels = Annotated[list[Annotated[int, Within(1, 8192)]], Two]
Count = Annotated[int, Within(1, MOST)]


class View(Strict):
    """How an image becomes model input.

    `mode: whole` resizes the image; `mode: tiles` cuts it into squares of `tile` pixels, resizes
    each, and stitches the patch maps before scoring.
    `grid: equal` gives every model the same `patches: [rows, columns]` per view (input = grid ×
    patch size); `grid: paper` gives every model the same `pixels: [height, width]` input, so that
    grids differ between patch sizes and only pixel scores are comparable.
    `gsd` is the ground sample distance of images of the earth, in metres per pixel before any
    resize. Models with position mode `gsd` (Scale-MAE) use it; without it, their ratio is g = 1.
    """

    mode: Literal["whole", "tiles"]
    grid: Literal["equal", "paper"]
    tile: Annotated[int, Within(1, 32_768)] | None = None
    patches: Patches | None = None
    pixels: Pixels | None = None
    gsd: Annotated[float, Within(0.0001, 100_000)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "View":
        if (self.mode == "tiles") != (self.tile is not None):
            raise ValueError("'tile' (pixels) is required with mode: tiles and only allowed there")
        if self.gsd is not None and self.tile is None:
            raise ValueError("'gsd' needs mode: tiles, so that the ground of a view is known")
        if (self.grid == "equal") != (self.patches is not None):
            raise ValueError(
                "'patches: [rows, columns]' is required with grid: equal and only allowed there"
            )
        if (self.grid == "paper") != (self.pixels is not None):
            raise ValueError(
                "'pixels: [height, width]' is required with grid: paper and only allowed there"
            )
        return self

    def input_size(self, patch_size: int) -> tuple[int, int]:
        """Height and width in pixels of one view for a model of this patch size."""
        if self.patches is not None:
            return self.patches[0] * patch_size, self.patches[1] * patch_size
        assert self.pixels is not None
        return self.pixels[0], self.pixels[1]

    @property
    def ground(self) -> float | None:
        """Metres on the ground along a side of one view, if known."""
        return None if self.gsd is None or self.tile is None else self.gsd * self.tile

    def describe(self, patch_size: int) -> str:
        """The view in words, for the protocol in every table."""
        height, width = self.input_size(patch_size)
        tiles = f"tiles of {self.tile}" if self.mode == "tiles" else "whole images"
        ground = "" if self.gsd is None else f", {self.gsd:g} m per pixel"
        return f"{tiles} at {height}×{width}{ground}"


class Support(Strict):
    """The few labelled images: drawn by the index stage, once per seed, in the order of a hash.

    `images` is a number in total, per group (such as the city) or per class, according to `per`.
    `all` is the whole split: the train split of T2 to T4, which is drawn once, so with one seed.
    `sequences` keeps only this number of whole sequences of the split, the first in hash order.
    With `folds`, the images of the split are support and query in turn: each seed deals them to so
    many folds, at most one per image, and every fold is scored on the support of all others.
    Near-duplicates and the frames of a sequence stay in one fold.
    """

    split: Line
    sequences: Count | None = None
    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    per: Literal["total", "group", "class"]
    seeds: Some[Seed]
    folds: Annotated[int, Within(2, 100_000)] | None = None

    @model_validator(mode="after")
    def _all_is_one_draw(self) -> "Support":
        if self.folds is not None:
            if (self.images, self.per) != ("all", "total"):
                raise ValueError("'folds' needs images: all and per: total: all take their turn")
        elif self.images == "all" and (self.per != "total" or len(self.seeds) > 1):
            raise ValueError("images: all needs per: total and a single seed: it is the same draw")
        return self


class Query(Strict):
    """The images that are scored: all of the split, or `images` (per group), in hash order.

    `sequences` keeps only this number of whole sequences of the split, the first in hash order.
    `unit` is what the bootstrap resamples: the sequence if frames are near-duplicates.
    """

    split: Line
    sequences: Count | None = None
    images: Annotated[Literal["all"] | int, PlainValidator(all_or_count)]
    per: Literal["total", "group"]
    unit: Literal["image", "sequence"]


class _Dataset(Strict):
    # Nullable but not optional: DVC fails if a parameter of a stage is absent.
    view: View
    support: Support | None
    query: Query | None

    @model_validator(mode="after")
    def _together(self) -> "_Dataset":
        if self.support is not None and self.query is None:
            raise ValueError("'support' needs a 'query', because nothing else is scored")
        return self

    def few_shot(self) -> tuple[Support, Query]:
        """Support and query of a dataset for segmentation; `load` has checked that they exist."""
        assert self.support is not None
        assert self.query is not None
        return self.support, self.query


class Minicity(_Dataset):
    """The procedural street world, rendered by the render stage.

    Rendered are the first `stills` of support and of query (at most 64 each), and the first
    `videos` of video_train and of video_test (at most 4 each).
    """

    kind: Literal["minicity"]
    stills: Annotated[int, Within(0, 64)]
    videos: Annotated[int, Within(0, 4)]

    @model_validator(mode="after")
    def _something(self) -> "Minicity":
        if self.stills == self.videos == 0:
            raise ValueError("'stills' and 'videos' must not both be 0: nothing would be rendered")
        return self


class Collected(_Dataset):
    """A published dataset, or the user's: of any kind in the catalogue except minicity.

    With `root`, it is where the user placed it, in its official layout (the manifest stage lists
    it in every run). Without `root`, the fetch stage writes it to data/raw/<name>: from a download
    if the source is open, else from `archives`, a folder of the official archives that the user
    downloaded with a personal account.

    Links below `root` that lead out of it are followed with `follow_links: true` only. A picture or
    a mask of more than `max_megapixels` is refused, because a small file can claim any size.

    With `pictures`, the report shows images of the dataset, and says that it is not for
    publication. By default it does so for the user's own only: the terms of others may forbid it.
    """

    kind: Line
    root: PathLine | None = None
    archives: PathLine | None = None
    follow_links: bool = False
    max_megapixels: Annotated[float, Within(0.0001, 100_000)] = 179
    pictures: bool | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Collected":
        if self.root is not None and self.archives is not None:
            raise ValueError("'root' (unpacked) and 'archives' (to be unpacked): remove one")
        if self.follow_links and self.root is None:
            raise ValueError("'follow_links' is about links below 'root', which is missing")
        if self.kind == "folder" and self.root is None:
            raise ValueError("'root' is missing: kind: folder needs the path of your folder")
        return self


# Every kind with the tasks that can run on it. This is in the catalogue of a higher package, whose
# content callers pass to `load`.
Kinds = Mapping[str, Collection[str]]
MADE, COLLECTED = "minicity", "collected"


def pictured(dataset: Mapping[str, Any]) -> bool:
    """Whether the report shows images of a dataset, from its section as in params.yaml."""
    shown = dataset.get("pictures")
    return dataset.get("kind") in (MADE, "folder") if shown is None else bool(shown)


def _known(value: Any, info: ValidationInfo) -> Any:
    """Refuse a section whose kind is missing or unknown, before its other keys are checked."""
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
    """The origin of the images; one stage obtains the datasets of each list.

    `made`: rendered by the pipeline (render). `downloaded`: fetched from their source, or unpacked
    from the user's archives (fetch). `placed`: folders of the user, checked in each run (manifest).
    """

    made: Several[DatasetName]
    downloaded: Several[DatasetName]
    placed: Several[DatasetName]
