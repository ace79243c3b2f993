"""The card of a dataset: what its page in docs/datasets, `patchlens datasets` and fetch need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Archive:
    """A file that can be fetched. A missing checksum means that none is published.

    What is no zip or tar by its name is put as it is.
    """

    url: str
    md5: str | None = None
    size: int | None = None  # bytes, where published
    roughly: int | None = None  # bytes, where only a rounded size is published
    into: str = "."  # folder below the dataset's root that it is unpacked (or put) into
    name: str = ""  # the file's name, where the address does not end in it

    @property
    def file(self) -> str:
        """The name of the file, as users have it after a download by hand."""
        return self.name or PurePosixPath(urlsplit(self.url).path).name

    @property
    def checksum(self) -> str | None:
        """The checksum with the name of its algorithm."""
        return f"md5:{self.md5}" if self.md5 else None


@dataclass(frozen=True)
class Card:
    """Facts about a dataset, each from its official source (named in the module's docstring).

    Attributes:
        kind: the value of `kind` in params.yaml.
        title: full name.
        tasks: which of segmentation, identification, retrieval, tracking, davis it serves.
        access: open (fetched without an account), account (the user's own login), placed.
        licence: as the source states it; "not stated" where it does not.
        citation: authors, title, venue, year.
        homepage: official page.
        layout: the official folder tree below `root`, as text.
        counts: split -> what (images, masks, objects, instances, groups) -> published number.
        pixels: height and width, where all images have the same.
        classes: names of the classes, in the order of their ids; empty where files name them.
        encoding: what the values of its files mean, and their traps, one sentence each.
        how: the exact steps to get it where fetch cannot.
        archives: what fetch downloads where access is open.
    """

    kind: str
    title: str
    tasks: tuple[str, ...]
    access: Literal["open", "account", "placed"]
    licence: str
    citation: str
    homepage: str
    layout: str
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    pixels: tuple[int, int] | None = None
    classes: tuple[str, ...] = ()
    encoding: tuple[str, ...] = ()
    how: str = ""
    archives: tuple[Archive, ...] = ()
