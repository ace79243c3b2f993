"""Put a generated file between the markers `<!-- NAME -->` and `<!-- /NAME -->` of a document."""

import os
import re
import sys
from pathlib import Path

LINK = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")


def embed(document: Path, name: str, text: str) -> None:
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = document.read_text(encoding="utf-8")
    before, found, rest = content.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{document}: needs the markers {start} and {end}")
    block = f"{before}{start}\n\n{text.strip()}\n\n{end}{after}"
    document.write_text(block, encoding="utf-8")


def for_document(source: Path, document: Path) -> str:
    """The text of `source`, whose links to files beside it are written as `document` needs them."""

    def moved(link: re.Match[str]) -> str:
        return f"]({os.path.relpath(source.parent / link[1], document.parent)})"

    return LINK.sub(moved, source.read_text(encoding="utf-8"))


if __name__ == "__main__":
    target, file = Path(sys.argv[1]), Path(sys.argv[3])
    embed(target, sys.argv[2], for_document(file, target))
