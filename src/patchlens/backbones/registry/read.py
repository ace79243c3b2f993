"""The registry: one YAML file a family beside this module, name of a model -> its `Entry`.

Adding an entry is described in docs/add-a-model.md.
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
        SettingsError: a file is no YAML, an entry is not as `Entry` says, or a name is there twice.
    """
    found: dict[str, Entry] = {}
    origin: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        family: dict[str, Entry] = validated(path, FAMILY, missing="install patchlens again")
        for name in family.keys() & found.keys():
            raise SettingsError(f"{path}: '{name}' is in {origin[name].name} too; rename one")
        found |= family
        origin |= dict.fromkeys(family, path)
    return found


def find(name: str, where: str) -> Entry:
    """The entry `name`; `where` is the place that names it, for the message.

    Raises:
        SettingsError: there is none; the message has the nearest name.
    """
    known = entries()
    if name not in known:
        raise SettingsError(
            f"{where}: the registry has no '{name}' (`patchlens models` lists what it has); "
            f"{nearest(name, known)}"
        )
    return known[name]
