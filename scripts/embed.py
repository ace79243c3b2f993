"""Put a generated file between the markers `<!-- NAME -->` and `<!-- /NAME -->` of a document."""

import sys
from pathlib import Path


def embed(document: Path, name: str, text: str) -> None:
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = document.read_text(encoding="utf-8")
    before, found, rest = content.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{document}: needs the markers {start} and {end}")
    if not text.strip():
        sys.exit(f"{document}: nothing was made to put between the markers {start} and {end}")
    block = f"{before}{start}\n\n{text.strip()}\n\n{end}{after}"
    document.write_text(block, encoding="utf-8")


if __name__ == "__main__":
    target, file = Path(sys.argv[1]), Path(sys.argv[3])
    embed(target, sys.argv[2], file.read_text(encoding="utf-8"))
