"""One entry of the registry: everything that is needed to fetch, load and cite a model."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from patchlens.settings.base import Positive, Strict
from patchlens.settings.models import Colour, Interpolation, PositionMode, Spread

Objective = Literal[
    "self-distilled",
    "contrastive",
    "pixel reconstruction",
    "token reconstruction",
    "joint-embedding prediction",
    "supervised",
    "language-supervised",
    "segmentation",
    "distilled from others",
]


class Source(Strict):
    """Where the official file lies.

    `hub`: `repo` at `revision` (a commit), `file` in it. `url`: https, a GitHub release included.
    `drive`: a Google Drive file id. `bytes`, `sha256`, `md5` where published; `sha256_starts` and
    `md5_starts` where only the first digits are.
    """

    kind: Literal["hub", "url", "drive"]
    url: str | None = None
    repo: str | None = None
    revision: str | None = None
    file: str | None = None
    id: str | None = None
    gated: bool = False
    bytes: Positive | None = None
    sha256: str | None = None
    sha256_starts: str | None = None
    md5: str | None = None
    md5_starts: str | None = None

    @model_validator(mode="after")
    def _says_where(self) -> "Source":
        needed = {"hub": ("repo", "file"), "url": ("url",), "drive": ("id",)}[self.kind]
        if missing := [key for key in needed if getattr(self, key) is None]:
            raise ValueError(f"kind {self.kind} needs {' and '.join(missing)}")
        return self


class Mapping(Strict):
    """From the names in the file to those of the architecture, in this order.

    `key`: entries of a nested file that may hold the weights, the first that is there is taken;
    an empty list is a flat file, and a name "." in the list means that the file may be flat.
    `prefix`: what the wanted names start with, which is cut off; of several, the first that any
    name has. `beside`: patterns of the names without it, which are dropped.
    `drop`: patterns of names that are known surplus (`optional_drop`: may be absent).
    `rename`: [pattern, replacement] pairs, regular expressions over whole names, each must match.
    `rules`: named conversions in code (backbones/rules.py) for what renaming cannot say.
    """

    key: list[str] = Field(default=[])
    prefix: list[str] = Field(default=[])
    beside: list[str] = Field(default=[])
    drop: list[str] = Field(default=[])
    optional_drop: list[str] = Field(default=[])
    rename: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field(default=[])
    rules: list[str] = Field(default=[])
    pickled: list[str] = Field(default=[])  # classes that the official file pickles beside tensors


class Entry(Strict):
    """A model as it was published. The name of the entry is the key in its family's file."""

    title: str
    family: str
    objective: Objective
    data: str
    images_seen: str  # in words, as published; "not stated" where it is not
    source: Source
    mapping: Mapping
    arch: str
    arch_args: dict[str, Any] = Field(default={})
    mean: Colour
    std: Spread
    interpolation: Interpolation
    position: PositionMode
    prefix_tokens: Annotated[int, Field(ge=0)]
    patch_size: Positive
    width: Positive
    depth: Positive
    native: Positive  # side of the training images in pixels
    parameters_m: Annotated[float, Field(gt=0)]
    licence: str
    non_commercial: bool
    citation: str
    homepage: str
    notes: list[str] = Field(default=[])
