"""The registry: one YAML file a family beside this module, name of a model -> its `Entry`.

Adding an entry is described in docs/add-a-model.md.
"""

from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from patchlens.backbones.registry.entry import Entry
from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.base import Name
from patchlens.settings.messages import explain
from patchlens.settings.yaml_text import read

FOLDER = Path(__file__).parent
FAMILY = TypeAdapter(dict[Name, Entry])


@cache
def entries(folder: Path = FOLDER) -> dict[str, Entry]:
    """All entries by name, in the order of the files and of the entries in them.

    Raises:
        SettingsError: a file is no YAML, an entry is not as `Entry` says, or a name is there twice.
    """
    found: dict[str, Entry] = {}
    origin: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        family = _family(path)
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


def _family(path: Path) -> dict[str, Entry]:
    try:
        content = read(path)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds no entries; one is a name with a section of keys")
    try:
        return FAMILY.validate_python(content)
    except ValidationError as error:
        lines = [f"{path}: {explain(item, dict[Name, Entry])}" for item in error.errors()]
        raise SettingsError("\n".join(lines)) from None
