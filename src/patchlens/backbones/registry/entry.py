"""One entry of the registry: everything needed to download, load and cite a model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from patchlens.settings.base import Positive, Strict, Within
from patchlens.settings.models import (
    ArchArgs,
    Colour,
    Interpolation,
    Mapping,
    PositionMode,
    Spread,
)
from patchlens.settings.sources import Sha256

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
    """The location of the official file.

    `hub`: `file` in `repo` at `revision` (a commit). `url`: an https address, such as a GitHub
    release. `drive`: `file` with this `id` on Google Drive, downloaded by hand. `bytes`, `sha256`
    and `md5` if published; `sha256_starts` and `md5_starts` if only the first digits are published;
    `roughly`, rounded bytes, if the file is much larger than its model and no size is published.
    """

    kind: Literal["hub", "url", "drive"]
    url: Annotated[str, Field(pattern=r"^https://")] | None = None
    repo: str | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    file: str | None = None
    id: str | None = None
    gated: bool = False
    bytes: Positive | None = None
    roughly: Positive | None = None
    sha256: Sha256 | None = None
    sha256_starts: Annotated[str, Field(pattern=r"^[0-9a-f]{4,63}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    md5_starts: Annotated[str, Field(pattern=r"^[0-9a-f]{4,31}$")] | None = None

    @property
    def address(self) -> str:
        """The web address of the file, which identifies its source."""
        if self.kind == "hub":
            return (
                f"https://huggingface.co/{self.repo}/resolve/{self.revision or 'main'}/{self.file}"
            )
        if self.kind == "drive":
            return f"https://drive.google.com/file/d/{self.id}/view"
        return str(self.url)

    @property
    def published(self) -> str | None:
        """A published hash of the file, or its published first digits: `sha256 starts 1a2b`."""
        keys = ("sha256", "md5", "sha256_starts", "md5_starts")
        stated = ((key, getattr(self, key)) for key in keys)
        return next((f"{key.replace('_', ' ')} {value}" for key, value in stated if value), None)

    @model_validator(mode="after")
    def _says_where(self) -> "Source":
        needed = {"hub": ("repo", "file"), "url": ("url",), "drive": ("id", "file")}[self.kind]
        if missing := [key for key in needed if getattr(self, key) is None]:
            raise ValueError(f"kind {self.kind} needs {' and '.join(missing)}")
        return self


class Entry(Strict):
    """A published model. The name of the entry is its key in the file of its family."""

    title: str
    family: str
    objective: Objective
    data: str
    images_seen: str  # in words, as published; otherwise "not stated"
    source: Source
    mapping: Mapping
    arch: str
    arch_args: ArchArgs = Field(default={})
    mean: Colour
    std: Spread
    interpolation: Interpolation
    position: PositionMode
    prefix_tokens: Annotated[int, Within(0)]
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
