"""Where a dataset comes from: what fetch needs of it."""

from dataclasses import dataclass
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
    roughly: int | None = None  # bytes, as published: rounded
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
class Source:
    """How a dataset is had, and on what terms.

    Attributes:
        kind: the value of `kind` in params.yaml.
        title: full name.
        access: open (fetched without an account), csdownload (by that command, with the user's own
            login), account (the user's own login, by hand), placed, made (by the pipeline).
        licence: as the source states it; "not stated" where it does not.
        citation: authors, title, venue, year.
        homepage: official page.
        how: the exact steps to get it where fetch cannot.
        archives: what fetch downloads, or takes from the user.
    """

    kind: str
    title: str
    access: Literal["open", "csdownload", "account", "placed", "made"]
    licence: str
    citation: str
    homepage: str
    how: str = ""
    archives: tuple[Archive, ...] = ()
