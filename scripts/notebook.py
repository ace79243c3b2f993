"""Writes an example as a notebook: its docstring as text, and one cell for each of its paragraphs.

`notebook.py` writes examples/variants_on_arrays.ipynb from the script of the same name.
"""

import ast
import json
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/variants_on_arrays.py"
TARGET = EXAMPLE.with_suffix(".ipynb")


def main() -> None:
    TARGET.write_text(notebook(EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")


def notebook(script: str) -> str:
    """The notebook in its format 4.5, without outputs."""
    title, *body = ast.parse(script).body
    text = ast.get_docstring(ast.parse(script)) or ""
    lines = script.splitlines()
    cells = [_cell("markdown", text, 0)]
    start, last = body[0].lineno, title.end_lineno or 1
    for node in body:
        # Two statements without an empty line between them belong together.
        if node.lineno > last + 1 and node is not body[0] and not _imports(node):
            cells.append(_cell("code", "\n".join(lines[start - 1 : last]), len(cells)))
            start = node.lineno
        last = node.end_lineno or last
    cells.append(_cell("code", "\n".join(lines[start - 1 : last]), len(cells)))
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": python, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _imports(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _cell(kind: str, text: str, number: int) -> dict[str, Any]:
    about: dict[str, Any] = {"id": f"cell-{number}", "cell_type": kind, "metadata": {}}
    about |= {"source": text.strip().splitlines(keepends=True)}
    return about | ({"execution_count": None, "outputs": []} if kind == "code" else {})


if __name__ == "__main__":
    main()
