"""Reads YAML files that users write: plain values whose meaning is the same for every reader.

Refused before a value is made: two equal keys in a section (the last would silently win), numbers
and words that YAML 1.1 (this reader) and YAML 1.2 (DVC) read differently, tags, anchors that
contain themselves or expand without bound, and deep nesting.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from patchlens import given

# The parser in C is ten times as fast; wheels of PyYAML for rare platforms may lack it.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LIMIT = 10 * given.MEGABYTE
DEEPEST = 50  # levels of lists and sections
MOST = 2_000_000  # values, counting those of an anchor at each of its uses

STR, INT, FLOAT, BOOL, NULL = (f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool",
                                                                 "null"))  # fmt: skip
# The core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3.2).
CORE = {
    NULL: re.compile(r"null|Null|NULL|~|"),
    BOOL: re.compile(r"true|True|TRUE|false|False|FALSE"),
    INT: re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    FLOAT: re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
BASES = {"0o": 8, "0x": 16}


def read(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        FileNotFoundError: there is no such file.
        given.Unreadable: the file cannot be read; the message does not name it.
        yaml.YAMLError: it is not YAML, or not as the module says; the message names the line, not
            the file.
    """
    text = given.text(path, LIMIT)
    try:
        return _parsed(text)
    except yaml.YAMLError as error:
        # PyYAML does not know the file of the text; the caller names it.
        raise yaml.YAMLError(str(error).replace('in "<unicode string>", ', "at ")) from None


def _parsed(text: str) -> Any:
    _check_events(text)
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Nodes(node).check()
        return loader.construct_document(node)
    except (ValueError, OverflowError) as error:  # such as a date in month 13
        raise yaml.YAMLError(f"a value cannot be read ({error}); put it in quotes") from None
    finally:
        loader.dispose()


def _check_events(text: str) -> None:
    """Refuse what must not reach the composer, which recurses: deep nesting; and all tags."""
    depth = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _fault(f"more than {DEEPEST} levels of nesting", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tag: str | None = getattr(event, "tag", None)
        if tag is not None:
            raise _fault(f"the tag {tag} is not read; write the plain value", event)


class _Nodes:
    """The nodes of a document, each checked once, whatever refers to it."""

    def __init__(self, root: yaml.Node) -> None:
        self._root = root
        self._size: dict[int, int] = {}  # values below a node, with each use of an anchor
        self._depth: dict[int, int] = {}
        self._open: set[int] = set()

    def check(self) -> None:
        """Raise an error for the first node that is refused."""
        self._measure(self._root)

    def _measure(self, node: yaml.Node) -> None:
        me = id(node)
        if me in self._size:
            return
        if me in self._open:
            raise _fault("this anchor contains itself; write its content out", node)
        self._open.add(me)
        below = list(self._below(node))
        for child in below:
            self._measure(child)
        self._open.remove(me)
        self._size[me] = 1 + sum(self._size[id(child)] for child in below)
        self._depth[me] = 1 + max((self._depth[id(child)] for child in below), default=0)
        if self._size[me] > MOST:
            raise _fault(f"anchors and their uses expand to more than {MOST} values", node)
        if self._depth[me] > DEEPEST:
            raise _fault(f"more than {DEEPEST} levels of nesting", node)

    def _below(self, node: yaml.Node) -> Iterator[yaml.Node]:
        """The children of a node, after a check of the node itself."""
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            yield from node.value
        elif isinstance(node, yaml.MappingNode):
            seen = set[str]()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise _fault("a key must be a name, not a list or a section", key)
                if key.value in seen:
                    raise _fault(f"'{key.value}' is defined twice", key)
                seen.add(key.value)
                if key.tag != "tag:yaml.org,2002:merge":  # `<<: *anchor`
                    yield key
                yield value


def _check_scalar(node: yaml.ScalarNode) -> None:
    """Refuse a plain word or number that YAML 1.1 and YAML 1.2 read differently."""
    if node.style is not None and node.style not in ("", "plain"):
        return  # in quotes, or a block of text
    text = str(node.value)
    if len(text) > 100 and text.strip("-+0123456789_.eE") == "":
        raise _fault("a number of more than 100 digits", node)
    core = next((tag for tag, form in CORE.items() if form.fullmatch(text)), STR)
    if node.tag == core == STR:
        return
    here, there = _value(node), _core_value(core, text)
    if type(here) is type(there) and (here == there or here != here):
        return
    number = there if isinstance(there, int | float) and core != BOOL else here
    plain = _spelled(number) if isinstance(number, bool | int | float) else None
    advice = f"write {plain}, or" if plain is not None else "write"
    raise _fault(
        f"'{text}' is {_in_words(here)} in YAML 1.1 and {_in_words(there)} in YAML 1.2, which DVC "
        f"reads; {advice} '{text}' in quotes if it is a text",
        node,
    )


def _value(node: yaml.ScalarNode) -> Any:
    """What the loader makes of a scalar."""
    if node.tag not in CORE:
        return node.value if node.tag == STR else yaml.ScalarNode  # a date, `=`: no plain value
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:  # 0b_, which the resolver takes for a number
        return yaml.ScalarNode


def _core_value(tag: str, text: str) -> Any:
    """What YAML 1.2 makes of a scalar of the core schema."""
    if tag == INT:
        return int(text[2:], BASES[text[:2]]) if text[:2] in BASES else int(text)
    if tag == FLOAT:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if tag == BOOL:
        return text.lower() == "true"
    return None if tag == NULL else text


def _in_words(value: Any) -> str:
    if value is yaml.ScalarNode:
        return "a date or a special word"
    return "a text" if isinstance(value, str) else _spelled(value)


def _spelled(value: Any) -> str:
    """A value as both versions of YAML read it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    shown = repr(value)
    # 1e-07 is a text in YAML 1.1, which wants a point and a sign.
    if "e" in shown and "." not in shown:
        shown = shown.replace("e", ".0e")
    return shown


def _fault(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
