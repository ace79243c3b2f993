"""The registry: one YAML file a family beside this module, name of a model -> its `Entry`.

Adding an entry to a file, or a file, is all that adding a model takes: see docs/add-a-model.md.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from patchlens.backbones.registry.entry import Entry
from patchlens.errors import SettingsError
from patchlens.names import nearest
from patchlens.settings.messages import explain

FOLDER = Path(__file__).parent
NAME = re.compile(r"[a-z0-9_]+")


@cache
def entries(folder: Path = FOLDER) -> dict[str, Entry]:
    """All entries by name, in the order of the files and of the entries in them.

    Raises:
        SettingsError: a file is no YAML, an entry is not as `Entry` says, or a name is there twice.
    """
    found: dict[str, Entry] = {}
    origin: dict[str, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        for name, content in _family(path).items():
            if not NAME.fullmatch(str(name)):
                raise SettingsError(f"{path}: '{name}': use a-z, 0-9 and _ only in a name")
            if name in found:
                raise SettingsError(f"{path}: '{name}' is in {origin[name].name} too; rename one")
            found[name], origin[name] = _entry(path, name, content), path
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


def _entry(path: Path, name: str, content: Any) -> Entry:
    try:
        return Entry.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {name}.{explain(item, Entry)}" for item in error.errors()]
        raise SettingsError("\n".join(lines)) from None


def _family(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        # YAML itself lets the last of two equal keys win in silence.
        if twice := sorted(_repeated(yaml.compose(text, yaml.SafeLoader))):
            raise SettingsError(f"{path}: '{twice[0]}' is written twice in one section")
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: holds no entries; one is a name with a section of keys")
    return content


def _repeated(node: Any) -> Iterable[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
    if isinstance(node, yaml.MappingNode):
        keys = [str(key.value) for key, _ in node.value]
        yield from {key for key in keys if keys.count(key) > 1}
        for _, value in node.value:
            yield from _repeated(value)
