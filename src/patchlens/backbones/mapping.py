"""From the tensor names of an official file to those of the architecture.

The steps are in the order of `settings.models.Mapping`. Tensors that are neither dropped nor
renamed keep their names, so that `load_strictly` reports unknown ones.
"""

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from patchlens.backbones.checkpoint import some
from patchlens.backbones.pickles import kind_of
from patchlens.backbones.rules import RULES
from patchlens.errors import DataError, SettingsError
from patchlens.names import nearest
from patchlens.settings.models import Mapping


def mapped(content: dict[str, Any], mapping: Mapping, origin: str) -> dict[str, Tensor]:
    """The tensors of a loaded file under the names of the architecture.

    Args:
        content: the file: named tensors, or entries one of which contains them.
        mapping: key, prefix, drop, rename and rules.
        origin: the file, for messages.

    Raises:
        DataError: the file does not match the mapping: a key, prefix, drop or rename matches
            nothing, two names become one, or a value is not a tensor.
        SettingsError: a rule is unknown, or a rename is not a regular expression.
    """
    named = _cut(_inner(content, mapping.key, origin), mapping, origin)
    named = _without(named, mapping, origin)
    for pattern, replacement in mapping.rename:
        named = _renamed(named, pattern, replacement, origin)
    unknown = {n: kind_of(v) for n, v in named.items() if not isinstance(v, Tensor)}
    if unknown or not named:
        what = f"no tensors under {some(unknown)}" if unknown else "no tensors left to load"
        hint = _hint(content)
        if unknown and all(kind.startswith("numpy") for kind in unknown.values()):
            hint = "They are arrays of NumPy: save them as tensors (torch.from_numpy)"
        raise DataError(f"{origin}: {what}; set key, prefix or drop. {hint}")
    for rule in mapping.rules:
        if rule not in RULES:
            raise SettingsError(f"{origin}: unknown rule '{rule}'; {nearest(rule, RULES)}")
        try:
            named = RULES[rule](named)
        except KeyError as error:
            raise DataError(
                f"{origin}: rule '{rule}' needs {error}, which the file does not contain"
            ) from None
    return named


def _inner(content: dict[str, Any], keys: list[str], origin: str) -> dict[str, Any]:
    """The entry that contains the weights; "." is the file itself, `a.b` the entry b in a."""
    if not keys:
        return content
    for key in keys:
        if key == ".":
            return content
        if (inner := _entry(content, key)) is not None:
            if not isinstance(inner, dict):
                raise DataError(
                    f"{origin}: '{key}' is a {kind_of(inner)}, not named tensors. {_hint(content)}"
                )
            return inner
    raise DataError(f"{origin}: no entry {' or '.join(map(repr, keys))}. {_hint(content)}")


def _entry(content: dict[str, Any], key: str) -> Any:
    """The value of a key, or of a path of keys; None if there is none."""
    if key in content:
        return content[key]
    first, _, rest = key.partition(".")
    inner = content.get(first)
    return _entry(inner, rest) if rest and isinstance(inner, dict) else None


def _hint(content: dict[str, Any]) -> str:
    """Which entries hold the most named tensors, and what else the file contains."""
    held = sorted(_holders(content), key=lambda found: -found[1])[:3]
    keys = " or ".join(f"['{path}']" for path, _ in held)
    found = f"The file contains {some(content) or 'nothing'}"
    return f"{found}; its tensors are in mapping.key: {keys}" if held else found


def _holders(content: dict[Any, Any], path: str = "", depth: int = 4) -> Iterator[tuple[str, int]]:
    """The path of every entry that holds named tensors, and their number."""
    for name, value in content.items():
        if not isinstance(value, dict) or not depth:
            continue
        if count := sum(isinstance(inner, Tensor) for inner in value.values()):
            yield f"{path}{name}", count
        yield from _holders(value, f"{path}{name}.", depth - 1)


def _cut(named: dict[str, Any], mapping: Mapping, origin: str) -> dict[str, Any]:
    """The names without the prefix; other names that `beside` does not list are kept."""
    texts = {str(name): value for name, value in named.items()}
    if not mapping.prefix:
        return texts
    for prefix in mapping.prefix:
        found = {n.removeprefix(prefix): v for n, v in texts.items() if n.startswith(prefix)}
        if found:
            others = [name for name in texts if not name.startswith(prefix)]
            unknown = [
                n for n in others if not any(fnmatch.fnmatchcase(n, p) for p in mapping.beside)
            ]
            if twice := sorted(found.keys() & set(unknown)):
                raise DataError(
                    f"{origin}: {some(twice)} exists both with and without the prefix '{prefix}'"
                )
            return found | {name: texts[name] for name in unknown}
    wanted = " or ".join(map(repr, mapping.prefix))
    raise DataError(f"{origin}: no name starts with {wanted}; the file contains {some(named)}")


def _without(named: dict[str, Any], mapping: Mapping, origin: str) -> dict[str, Any]:
    kept = set(named)
    for pattern in [*mapping.drop, *mapping.optional_drop]:
        surplus = {name for name in named if fnmatch.fnmatchcase(name, pattern)}
        if not surplus and pattern in mapping.drop:
            raise DataError(
                f"{origin}: drop pattern '{pattern}' matches no name; correct or remove it"
            )
        kept -= surplus
    return {name: value for name, value in named.items() if name in kept}


def _renamed(named: dict[str, Any], pattern: str, replacement: str, origin: str) -> dict[str, Any]:
    try:
        matches = {name: re.fullmatch(pattern, name) for name in named}
        renamed = {name: match.expand(replacement) for name, match in matches.items() if match}
    except (re.error, IndexError) as error:
        pair = f"['{pattern}', '{replacement}']"
        raise SettingsError(
            f"{origin}: rename {pair} is not a regular expression ({error})"
        ) from None
    if not renamed:
        raise DataError(
            f"{origin}: rename pattern '{pattern}' matches no name; correct or remove it"
        )
    result: dict[str, Any] = {}
    for name, value in named.items():
        new = renamed.get(name, name)
        if new in result:
            raise DataError(f"{origin}: rename '{pattern}' maps two names to '{new}'")
        result[new] = value
    return result
