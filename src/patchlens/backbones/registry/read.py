"""The registry: one YAML file per family beside this module, model name -> `Entry`.

See docs/add-a-model.md for how to add an entry.
"""

from functools import cache
from pathlib import Path

from patchlens.backbones.registry.entry import Entry
from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.base import Name
from patchlens.settings.validated import validated

FOLDER = Path(__file__).parent
FAMILY = dict[Name, Entry]


@cache
def entries(folder: Path = FOLDER) -> dict[str, Entry]:
    """All entries by name, in the order of the files and of the entries in them.

    Raises:
        SettingsError: a file is not YAML, an entry does not match `Entry`, or a name is repeated.
    """
    found: dict[str, Entry] = {}
    origin: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        family: dict[str, Entry] = validated(path, FAMILY, missing="reinstall patchlens")
        for name in family.keys() & found.keys():
            raise SettingsError(
                f"{path}: '{name}' is also in {origin[name].name}; rename one of them"
            )
        found |= family
        origin |= dict.fromkeys(family, path)
    return found


def find(name: str, where: str) -> Entry:
    """The entry `name`; `where` is the setting that names it, for the message.

    Raises:
        SettingsError: the entry does not exist; the message names the closest one.
    """
    known = entries()
    if name not in known:
        raise SettingsError(
            f"{where}: '{name}' is not in the registry (see `patchlens models`); "
            f"{nearest(name, known)}"
        )
    return known[name]
