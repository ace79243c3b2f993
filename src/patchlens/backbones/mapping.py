"""From the names of an official file to those of the architecture, with nothing left unexplained.

The order of the steps is that of `settings.models.Mapping`. What is neither dropped nor renamed
keeps its name, so that a stranger reaches `load_strictly`, which names it in its error.
"""

import fnmatch
import re
from typing import Any

from torch import Tensor

from patchlens.backbones.checkpoint import some
from patchlens.backbones.rules import RULES
from patchlens.errors import DataError, SettingsError
from patchlens.names import nearest
from patchlens.settings.models import Mapping


def mapped(content: dict[str, Any], mapping: Mapping, origin: str) -> dict[str, Tensor]:
    """The tensors of a loaded file under the names of the architecture.

    Args:
        content: what the file holds: named tensors, or entries of which one holds them.
        mapping: key, prefix, drop, rename and rules of the entry.
        origin: the file, for messages.

    Raises:
        DataError: the file does not hold what the mapping says: a key, prefix, drop or rename
            that matches nothing, two names that become one, or a value that is no tensor.
        SettingsError: there is no rule of this name, or a rename is no regular expression.
    """
    named = _cut(_inner(content, mapping.key, origin), mapping, origin)
    named = _without(named, mapping, origin)
    for pattern, replacement in mapping.rename:
        named = _renamed(named, pattern, replacement, origin)
    strangers = [name for name, value in named.items() if not isinstance(value, Tensor)]
    if strangers or not named:
        what = f"no tensors under {some(strangers)}" if strangers else "nothing is left to load"
        raise DataError(f"{origin}: {what}; set key, prefix or drop. It holds {some(content)}")
    for rule in mapping.rules:
        if rule not in RULES:
            raise SettingsError(f"{origin}: unknown rule '{rule}'; {nearest(rule, RULES)}")
        try:
            named = RULES[rule](named)
        except KeyError as error:
            raise DataError(f"{origin}: rule '{rule}' needs {error}, which is missing") from None
    return named


def _inner(content: dict[str, Any], keys: list[str], origin: str) -> dict[str, Any]:
    """The entry that holds the weights; "." stands for the file itself."""
    if not keys:
        return content
    for key in keys:
        if key == ".":
            return content
        if key in content:
            inner = content[key]
            if not isinstance(inner, dict):
                raise DataError(f"{origin}: '{key}' is a {type(inner).__name__}, not named tensors")
            return inner
    raise DataError(f"{origin}: no entry {' or '.join(map(repr, keys))}; it holds {some(content)}")


def _cut(named: dict[str, Any], mapping: Mapping, origin: str) -> dict[str, Any]:
    """The names behind the prefix; others that `beside` does not know keep theirs."""
    texts = {str(name): value for name, value in named.items()}
    if not mapping.prefix:
        return texts
    for prefix in mapping.prefix:
        found = {n.removeprefix(prefix): v for n, v in texts.items() if n.startswith(prefix)}
        if found:
            others = [name for name in texts if not name.startswith(prefix)]
            strangers = [
                n for n in others if not any(fnmatch.fnmatchcase(n, p) for p in mapping.beside)
            ]
            if twice := sorted(found.keys() & set(strangers)):
                raise DataError(
                    f"{origin}: {some(twice)} is there with and without the prefix '{prefix}'"
                )
            return found | {name: texts[name] for name in strangers}
    wanted = " or ".join(map(repr, mapping.prefix))
    raise DataError(f"{origin}: no name starts with {wanted}; it holds {some(named)}")


def _without(named: dict[str, Any], mapping: Mapping, origin: str) -> dict[str, Any]:
    kept = set(named)
    for pattern in [*mapping.drop, *mapping.optional_drop]:
        surplus = {name for name in named if fnmatch.fnmatchcase(name, pattern)}
        if not surplus and pattern in mapping.drop:
            raise DataError(f"{origin}: drop pattern '{pattern}' matches no name; it is a mistake")
        kept -= surplus
    return {name: value for name, value in named.items() if name in kept}


def _renamed(named: dict[str, Any], pattern: str, replacement: str, origin: str) -> dict[str, Any]:
    try:
        matches = {name: re.fullmatch(pattern, name) for name in named}
        renamed = {name: match.expand(replacement) for name, match in matches.items() if match}
    except (re.error, IndexError) as error:
        pair = f"['{pattern}', '{replacement}']"
        raise SettingsError(f"{origin}: rename {pair} is no regular expression ({error})") from None
    if not renamed:
        raise DataError(f"{origin}: rename pattern '{pattern}' matches no name; it is a mistake")
    result: dict[str, Any] = {}
    for name, value in named.items():
        new = renamed.get(name, name)
        if new in result:
            raise DataError(f"{origin}: rename '{pattern}' makes two names into '{new}'")
        result[new] = value
    return result
