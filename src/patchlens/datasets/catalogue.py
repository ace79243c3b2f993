"""The catalogue: what each kind of dataset is, read from catalogue.yaml beside this module.

It knows no reader, so that a stage that only fetches does not depend on how datasets are read.
"""

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.base import Name, Positive, Strict
from patchlens.settings.validated import validated

FILE = Path(__file__).with_name("catalogue.yaml")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Task = Literal["segmentation", "identification", "retrieval", "tracking", "davis"]
What = Annotated[str, Field(pattern=r"^(images|masks|objects|instances|groups)$")]
# Label propagation on DAVIS is the part of the task `tracking` for masks in place of tracks.
PART_OF = {"davis": "tracking"}


class Archive(Strict):
    """A file that can be fetched. What is no zip or tar by its name is put as it is.

    Attributes:
        url: where it lies, or the page that leads to it.
        name: the file's name, where the address does not end in it; folders in front of it count.
        md5: its checksum; a missing one means that none is published.
        roughly: bytes, as published: rounded.
        into: folder below the dataset's root that it is unpacked (or put) into.
    """

    url: Annotated[str, Field(pattern=r"^https?://")]
    name: str = ""
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    roughly: Positive | None = None
    into: str = "."

    @model_validator(mode="after")
    def _inside(self) -> "Archive":
        for path in (PurePosixPath(self.into), PurePosixPath(self.file)):
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"'{path}' leaves the folder of the dataset")
        if not self.file:
            raise ValueError("'name' is missing: the address does not end in a file's name")
        return self

    @property
    def file(self) -> str:
        """The name of the file, as users have it after a download by hand."""
        return self.name or PurePosixPath(urlsplit(self.url).path).name

    @property
    def checksum(self) -> str | None:
        """The checksum with the name of its algorithm."""
        return f"md5:{self.md5}" if self.md5 else None


class Entry(Strict):
    """A kind of dataset. Its name, `kind` in params.yaml, is the key in catalogue.yaml.

    Attributes:
        title: full name.
        reader: the layout that it has: a reader of `readers.READERS`.
        options: what the reader asks for beside the entry, by the names of its arguments.
        tasks: what it serves; `davis` is label propagation, a part of the task `tracking`.
        access: open (fetched without an account), csdownload (by that command, with the user's own
            login), account (the user's own login, by hand), placed, made (by the pipeline).
        licence: as the source states it; "not stated" where it does not.
        citation: authors, title, venue, year.
        homepage: official page.
        how: what the user does to obtain it, as an imperative sentence without its full stop.
        archives: what fetch downloads, or takes from the user.
        layout: the official folder tree below `root`, as text.
        counts: split -> what -> published number.
        pixels: height and width, where all images have the same.
        classes: names of the classes, in the order of their ids; empty where files name them.
        encoding: what the values of its files mean, and their traps, one note each.
    """

    title: Text
    reader: Name
    options: dict[str, Any] = Field(default={})
    tasks: Annotated[list[Task], Field(min_length=1)]
    access: Literal["open", "csdownload", "account", "placed", "made"]
    licence: Text
    citation: Text
    homepage: Text
    how: str = ""
    archives: list[Archive] = Field(default=[])
    layout: Text
    counts: dict[str, dict[What, Positive]] = Field(default={})
    pixels: Annotated[tuple[Positive, Positive], Field(strict=False)] | None = None
    classes: list[Text] = Field(default=[])
    encoding: Annotated[list[Text], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_obtained(self) -> "Entry":
        if self.access in ("open", "csdownload") and not self.archives:
            raise ValueError(f"access: {self.access} needs 'archives' to fetch")
        if self.access != "made" and not self.how:
            raise ValueError("'how' is missing: say how to obtain the dataset")
        files = [archive.file for archive in self.archives]
        if twice := [file for file in files if files.count(file) > 1]:
            raise ValueError(f"archives: two are called {twice[0]}; give one of them a 'name'")
        return self


def entries() -> dict[str, Entry]:
    """All kinds with what they are, in the order of the file.

    Raises:
        SettingsError: the file is no YAML, or an entry is not as `Entry` says.
    """
    return _read(FILE)


@cache
def _read(path: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = validated(path, dict[Name, Entry], missing="install patchlens again")
    return found


def find(kind: str) -> Entry:
    """The entry of a kind.

    Raises:
        SettingsError: there is none; the message has the nearest name.
    """
    if kind not in entries():
        raise SettingsError(
            f"the catalogue has no kind '{kind}' (`patchlens datasets` lists what it has); "
            f"{nearest(kind, entries())}"
        )
    return entries()[kind]


def kinds() -> dict[str, frozenset[str]]:
    """Every kind with the tasks that can run on it: what the settings are checked against."""
    return {
        kind: frozenset(PART_OF.get(task, task) for task in entry.tasks)
        for kind, entry in entries().items()
    }
