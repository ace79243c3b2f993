"""The readable layouts: name of a reader in the catalogue -> its function."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import ConfigDict, ValidationError, validate_call

from patchlens.datasets import (
    ade20k,
    bdd100k_seg,
    bdd100k_track,
    camvid,
    catalogue,
    cityscapes,
    coil100,
    cub200,
    davis,
    fair1m,
    folder,
    grocerystore,
    instre,
    kitti,
    minicity,
    mot,
    revisited,
    voc,
)
from patchlens.datasets.catalogue import find
from patchlens.datasets.layout import Layout
from patchlens.errors import SettingsError
from patchlens.names import nearest

# Each takes the dataset's root, its entry, and the options of the entry.
READERS: dict[str, Callable[..., Layout]] = {
    "ade20k": ade20k.read,
    "bdd100k_seg": bdd100k_seg.read,
    "bdd100k_track": bdd100k_track.read,
    "camvid": camvid.read,
    "cityscapes": cityscapes.read,
    "coil100": coil100.read,
    "cub200": cub200.read,
    "davis": davis.read,
    "fair1m": fair1m.read,
    "folder": folder.read,
    "grocerystore": grocerystore.read,
    "instre": instre.read,
    "kitti": kitti.read,
    "minicity": minicity.read,
    "mot": mot.read,
    "revisited": revisited.read,
    "voc": voc.read,
}


def read(kind: str, root: Path) -> Layout:
    """Read a dataset of this kind at `root` with the reader of its entry.

    Raises:
        SettingsError: the kind, its reader or an option of its entry is unknown.
        SourceError: files are missing.
        DataError: files do not match the layout.
    """
    facts, where = find(kind), f"{catalogue.FILE}: {kind}"
    if facts.reader not in READERS:
        known = nearest(facts.reader, READERS)
        raise SettingsError(f"{where}.reader: '{facts.reader}' is unknown; {known}")
    checked = validate_call(config=ConfigDict(strict=True))(READERS[facts.reader])
    try:
        layout: Layout = checked(root, facts, **facts.options)
    except ValidationError as error:
        lines = [f"{where}.options.{e['loc'][0]}: {e['msg']}" for e in error.errors()]
        raise SettingsError("\n".join(lines)) from None
    return replace(layout, reader=facts.reader)
