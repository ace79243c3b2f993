"""Reads YAML files: plain values, and no key twice in one section.

In plain YAML, the last of two equal keys silently wins.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# The parser in C is ten times as fast; wheels of PyYAML for rare platforms may lack it.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        OSError: the file cannot be read.
        yaml.YAMLError: it is not YAML in UTF-8, or a section has a key twice; the message names the
            line, not the file.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors on Windows write a mark at the start
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise yaml.YAMLError(f"line {line} is not UTF-8; save the file as UTF-8") from None
    try:
        return _parsed(text)
    except yaml.YAMLError as error:
        # PyYAML does not know the file of the text; the caller names it.
        raise yaml.YAMLError(str(error).replace('in "<unicode string>", ', "at ")) from None


def _parsed(text: str) -> Any:
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        for key in _repeated(node):
            raise yaml.MarkedYAMLError(
                problem=f"'{key.value}' is defined twice", problem_mark=key.start_mark
            )
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _repeated(node: Any) -> Iterator[Any]:
    """Keys that occur a second time in their section, anywhere below a node."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            if str(key.value) in seen:
                yield key
            seen.add(str(key.value))
            yield from _repeated(value)
