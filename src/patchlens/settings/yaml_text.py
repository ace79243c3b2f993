"""Reads YAML files that users write: plain values whose meaning is the same for every reader.

ruamel.yaml parses, as in DVC. Refused before a value is made: two equal keys in a section (the last
would silently win), numbers and words that YAML 1.1 and YAML 1.2 read differently, tags, anchors
that contain themselves or expand without bound, and deep nesting.
"""

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CSafeLoader
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import implicit_resolvers

from patchlens import given

LIMIT = 10 * given.MEGABYTE
DEEPEST = 50  # levels of lists and sections
MOST = 2_000_000  # values, counting those of an anchor at each of its uses
# What all readers take for the same value. y and n are texts for all, though not by YAML 1.1.
ALIKE = re.compile(
    r"""true|True|TRUE|false|False|FALSE | null|Null|NULL|~| | [yYnN]
    | [-+]?(0|[1-9][0-9]*) | 0x[0-9a-fA-F]+
    | ([-+]?[0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)? | [-+]?\.(inf|Inf|INF) | \.(nan|NaN|NAN)""",
    re.VERBOSE,
)
BOOLEANS = {"yes": True, "on": True, "no": False, "off": False}  # of YAML 1.1
SIXTIES = re.compile(r"[-+]?[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?")  # 1:30 is 90 in YAML 1.1


def read(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        FileNotFoundError: there is no such file.
        given.Unreadable: the file cannot be read; the message does not name it.
        YAMLError: it is not YAML, or not as the module says; the message names the line, not the
            file.
    """
    text = given.text(path, LIMIT)
    try:
        return _parsed(text)
    except YAMLError as error:
        # The parser does not know the file of the text; the caller names it.
        told = str(error).replace('in "<unicode string>", ', "at ")
        hint = "; inside [] or {} put it in quotes" if "unexpected ':'" in told else ""
        raise YAMLError(told + hint) from None


class _Representer(SafeRepresenter):
    """Writes what `read` reads."""


_Representer.add_representer(
    float, lambda self, value: self.represent_scalar("tag:yaml.org,2002:float", _spelled(value))
)
_Representer.add_representer(
    str,
    lambda self, value: self.represent_scalar(
        "tag:yaml.org,2002:str", value, style="'" if _ambiguous(value) else None
    ),
)


def dumped(content: Any, *, sort: bool = False) -> str:
    """Plain values as YAML that `read` reads back, with the keys in their order or sorted."""
    yaml = YAML(typ="safe")
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = sort  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _parsed(text: str) -> Any:
    _check_events(text)
    loader = CSafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Nodes(node).check()
        return loader.construct_document(node)
    except (ValueError, OverflowError) as error:
        raise YAMLError(f"a value cannot be read ({error}); put it in quotes") from None


def _check_events(text: str) -> None:
    """Refuse what must not reach the composer, which recurses: deep nesting; and all tags."""
    loader, depth = CSafeLoader(text), 0
    while loader.check_event():
        event = loader.get_event()
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _fault(f"more than {DEEPEST} levels of nesting", event)
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        tag: str | None = getattr(event, "tag", None)
        if tag is not None:
            raise _fault(f"the tag {tag} is not read; write the plain value", event)


class _Nodes:
    """The nodes of a document, each checked once, whatever refers to it."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._size: dict[int, int] = {}  # values below a node, with each use of an anchor
        self._depth: dict[int, int] = {}
        self._open: set[int] = set()

    def check(self) -> None:
        """Raise an error for the first node that is refused."""
        self._measure(self._root)

    def _measure(self, node: Node) -> None:
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

    def _below(self, node: Node) -> Iterator[Node]:
        """The children of a node, after a check of the node itself."""
        if isinstance(node, ScalarNode):
            _check_scalar(node)
        elif isinstance(node, SequenceNode):
            yield from node.value
        elif isinstance(node, MappingNode):
            seen = set[str]()
            for key, value in node.value:
                if not isinstance(key, ScalarNode):
                    raise _fault("a key must be a name, not a list or a section", key)
                if key.value in seen:
                    raise _fault(f"'{key.value}' is defined twice", key)
                seen.add(key.value)
                if key.tag != "tag:yaml.org,2002:merge":  # `<<: *anchor`
                    yield key
                yield value


def _check_scalar(node: ScalarNode) -> None:
    """Refuse a plain word or number that YAML 1.1 and YAML 1.2 read differently."""
    if node.style not in (None, "", "plain"):
        return  # in quotes, or a block of text
    text = str(node.value)
    if len(text) > 100 and text.strip("-+0123456789_.eE") == "":
        raise _fault("a number of more than 100 digits", node)
    if not _ambiguous(text):
        return
    value = _meant(text)
    if value is None:
        raise _fault(f"'{text}' may be read as a date or command; write '{text}' in quotes", node)
    raise _fault(
        f"'{text}' is not the same value in YAML 1.1 and YAML 1.2; write {_spelled(value)}, or "
        f"'{text}' in quotes if it is a text",
        node,
    )


def _ambiguous(text: str) -> bool:
    """Whether a plain scalar is a text for some readers of YAML and another value for others."""
    if ALIKE.fullmatch(text):
        return False
    return _meant(text) is not None or any(
        text[:1] in first and form.match(text) for _, _, form, first in implicit_resolvers
    )


def _meant(text: str) -> bool | float | None:
    """The number or boolean for which a reader takes a text that is not `ALIKE`."""
    if text.lower() in BOOLEANS:
        return BOOLEANS[text.lower()]
    if not text.lstrip("-+.")[:1].isdecimal():
        return None
    digits = text.replace("_", "")
    if SIXTIES.fullmatch(text):
        whole, _, part = digits.lstrip("-+").partition(".")
        value: float = sum(int(n) * 60**i for i, n in enumerate(reversed(whole.split(":"))))
        value = float(f"{value}.{part}") if "." in digits else value
        return -value if text.startswith("-") else value
    for read_as in (int, lambda number: int(number, 0), float):
        try:
            return read_as(digits)
        except ValueError:
            continue
    return None


def _spelled(value: float) -> str:
    """A number or boolean as all readers of YAML read it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    shown = repr(value)
    # 1e-07 is a text in YAML 1.1, which wants a point and a sign.
    return shown.replace("e", ".0e") if "e" in shown and "." not in shown else shown


def _fault(problem: str, at: Any) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
