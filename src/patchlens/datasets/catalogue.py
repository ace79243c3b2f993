"""The catalogue: facts about each kind of dataset, read from catalogue.yaml in this folder.

It imports no readers, so that the fetch stage does not depend on the code of readers.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.base import Name, Positive, Strict
from patchlens.settings.sources import Elsewhere, Sha256
from patchlens.settings.validated import validated

FILE = Path(__file__).with_name("catalogue.yaml")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Task = Literal["segmentation", "identification", "retrieval", "tracking", "davis"]
What = Annotated[str, Field(pattern=r"^(images|masks|objects|instances|groups)$")]
# Label propagation on DAVIS is a part of the task `tracking`, for masks instead of tracks.
PART_OF = {"davis": "tracking"}
IN_WORDS = {"davis": "tracking (label propagation)"}


class Archive(Strict):
    """A file to fetch. It is unpacked if its name is that of a zip or tar archive, else copied.

    Attributes:
        url: its address, or the page that leads to it.
        name: the file's name, if the address does not end in it; may include folders.
        md5, sha256: its checksums, as far as they are published.
        roughly: its rounded size in bytes, as published or as others observed it.
        into: the folder below the dataset's root into which it is unpacked or copied.
    """

    url: Annotated[str, Field(pattern=r"^https?://")]
    name: str = ""
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    sha256: Sha256 | None = None
    roughly: Positive | None = None
    into: str = "."

    @model_validator(mode="after")
    def _inside(self) -> "Archive":
        for path in (PurePosixPath(self.into), PurePosixPath(self.file)):
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"'{path}' is outside the folder of the dataset")
        if not self.file:
            raise ValueError("'name' is missing: the address does not end in a file name")
        return self

    @property
    def file(self) -> str:
        """The name of the file, as users have it after a download by hand."""
        return self.name or PurePosixPath(urlsplit(self.url).path).name

    @property
    def checksum(self) -> str | None:
        """The checksums, each with the name of its algorithm."""
        known = {"md5": self.md5, "sha256": self.sha256}
        return " ".join(f"{name}:{value}" for name, value in known.items() if value) or None

    def at(self, other: Elsewhere) -> "Archive":
        """The same file at another address, which keeps its name and, if official, its checksum."""
        md5 = None if other.other_content else self.md5
        content = {"url": other.url, "name": self.file, "md5": md5, "sha256": other.sha256}
        return self.model_copy(update=content)


class Entry(Strict):
    """A kind of dataset. Its name, `kind` in params.yaml, is the key in catalogue.yaml.

    Attributes:
        title: full name.
        reader: its layout: a reader in `readers.READERS`.
        options: further arguments of the reader, by name.
        tasks: tasks that can run on it; `davis` is label propagation, a part of `tracking`.
        access: open (fetched without an account), csdownload (with that command and the user's
            login), account (by hand, with the user's login), placed, made (by the pipeline).
        licence: as stated by the source, else "not stated".
        citation: authors, title, venue, year.
        homepage: official page.
        how: how to obtain it, as an imperative sentence without its full stop.
        archives: the files that the fetch stage downloads, or takes from the user.
        layout: the official folder tree below `root`, as text.
        counts: split -> what -> published number.
        pixels: height and width, if they are the same for all images.
        frames: about how many frames a sequence has, if its source says.
        classes: names of the classes, in the order of their ids; empty if files name them.
        encoding: the meaning of the values in its files, and pitfalls, as a list of notes.
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
    frames: Positive | None = None
    classes: list[Text] = Field(default=[])
    encoding: Annotated[list[Text], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_obtained(self) -> "Entry":
        if self.access in ("open", "csdownload") and not self.archives:
            raise ValueError(f"access: {self.access} needs 'archives'")
        if self.access != "made" and not self.how:
            raise ValueError("'how' is missing: say how to obtain the dataset")
        files = [archive.file for archive in self.archives]
        if twice := [file for file in files if files.count(file) > 1]:
            raise ValueError(f"archives: two have the name {twice[0]}; set 'name' of one of them")
        return self


def entries() -> dict[str, Entry]:
    """All kinds with their entries, in the order of the file.

    Raises:
        SettingsError: the file is not YAML, or an entry does not match `Entry`.
    """
    return _read(FILE)


@cache
def _read(path: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = validated(path, dict[Name, Entry], missing="reinstall patchlens")
    return found


def in_words(tasks: Iterable[str]) -> str:
    """The tasks of an entry, as users know them."""
    return ", ".join(IN_WORDS.get(task, task) for task in tasks)


def find(kind: str) -> Entry:
    """The entry of a kind.

    Raises:
        SettingsError: the kind does not exist; the message names the closest one.
    """
    if kind not in entries():
        raise SettingsError(
            f"unknown kind '{kind}' of dataset (see `patchlens datasets`); "
            f"{nearest(kind, entries())}"
        )
    return entries()[kind]


def kinds() -> dict[str, frozenset[str]]:
    """Every kind with the tasks that can run on it, for the check of the settings."""
    return {
        kind: frozenset(PART_OF.get(task, task) for task in entry.tasks)
        for kind, entry in entries().items()
    }
