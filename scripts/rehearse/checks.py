"""What a run must have left: every claim judged, tables whole, pages whole."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pandas as pd

LINK = re.compile(r"""(?:href|src)=["']([^"'#][^"']*)["']""")
ODD = re.compile(r">\s*(?:nan|NaN|None|inf|undefined)\s*<")


def judged(verdicts: dict[str, Any], asked: list[str]) -> Iterator[str]:
    """Claims without a verdict."""
    if not asked:
        yield "claims: none is asked"
    for name in asked:
        verdict = verdicts.get(name, {}).get("verdict", "missing")
        if verdict not in ("supported", "contradicted", "undecided"):
            yield f"claim {name}: {verdict}"


def tables(folder: Path, cells: dict[str, set[tuple[str, str]]]) -> Iterator[str]:
    """Tables that lack a cell, or hold words where numbers belong.

    Args:
        folder: metrics/tables.
        cells: task -> the (dataset, model) pairs that it ran on.
    """
    from patchlens.tasks.table import TASKS

    for task, wanted in cells.items():
        path = folder / f"{task}.csv"
        if not path.is_file():
            yield f"table {task}: missing"
            continue
        table = pd.read_csv(path)
        found = set(zip(table["dataset"], table["model"], strict=True))
        if found != wanted:
            yield f"table {task}: lacks {sorted(wanted - found)}, has also {sorted(found - wanted)}"
        keys = [metric.key for metric in TASKS[task].metrics if metric.key in table]
        if not keys:
            yield f"table {task}: has no metric"
        for key in keys:
            if not pd.api.types.is_numeric_dtype(table[key]):
                yield f"table {task}: {key} is not a number everywhere"
            elif table[key].isna().all():
                yield f"table {task}: {key} is empty"


def pages(site: Path) -> Iterator[str]:
    """Pages that lack what they link to, or show the absence of a number as a word."""
    found = sorted(site.rglob("*.html"))
    if not found:
        yield f"{site}: no pages"
    for page in found:
        text = page.read_text(encoding="utf-8")
        for link in LINK.findall(text):
            parts = urlsplit(link)
            if parts.scheme or not parts.path:
                continue
            if not (page.parent / unquote(parts.path)).exists():
                yield f"{page.name}: dead link {link}"
        for odd in ODD.findall(text):
            yield f"{page.name}: shows {odd}"
