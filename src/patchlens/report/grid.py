"""A header and rows of text cells as Markdown and as LaTeX; what a column says, in words."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from tabulate import tabulate

SIGNS = {
    "\\": "\\textbackslash{}",
    "{": "\\{",
    "}": "\\}",
    "$": "\\$",
    "#": "\\#",
    "%": "\\%",
    "&": "\\&",
    "_": "\\_",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "≈": "$\\approx$",
    "δ": "$\\delta$",
    "≥": "$\\geq$",
    "≤": "$\\leq$",
    "±": "$\\pm$",
    "×": "$\\times$",
    "†": "$^\\dagger$",
    "−": "$-$",
    "–": "--",
    "⌈": "$\\lceil$",
    "⌉": "$\\rceil$",
    "Σ": "$\\Sigma$",
    "²": "$^2$",
}


COST = {
    "parameters_m": "params (M)",
    "gflops_per_image": "GFLOPs/image",
}


def number(value: Any) -> str:
    """A number as short as it is, or the words that stand for it."""
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def values(rows: pd.DataFrame, key: str) -> str:
    """What the rows hold under `key`; where they differ, all of it."""
    return "/".join(dict.fromkeys(rows[key].astype(str)))


def view(rows: pd.DataFrame) -> str:
    """How images became features, in words."""
    of = partial(values, rows)
    return (
        f"View: {of('view')}, grid {of('grid')} ({of('grid_rule')}), layer {of('layer')} "
        f"(0-based), final norm {of('norm')}, {of('dtype')}."
    )


def ceilings(rows: pd.DataFrame) -> str:
    """Which models are shown but not compared, in words; nothing where all are."""
    names = dict.fromkeys(rows.loc[rows["role"] == "ceiling", "model"])
    if not names:
        return ""
    return f" No part of the comparison, as it saw these classes in training: {', '.join(names)}."


def libraries(rows: pd.DataFrame) -> str:
    """The versions of the libraries, in words."""
    of = partial(values, rows)
    return f"torch {of('torch')}, timm {of('timm')}, numpy {of('numpy')}."


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table as GitHub shows it."""
    # A bar would end the cell.
    clean = [[cell.replace("|", "\\|") for cell in row] for row in body]
    return tabulate(clean, header, tablefmt="github", disable_numparse=True)


def escape(text: str) -> str:
    """`text` as LaTeX shows it: signs that LaTeX would read as commands are replaced."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def latex(header: Sequence[str], body: Sequence[Sequence[str]], caption: str) -> str:
    """A table environment, to be input; it needs no package. `**bold**` cells become bold."""
    grid = tabulate(
        [[_cell(cell) for cell in row] for row in body],
        [escape(cell) for cell in header],
        tablefmt="latex_raw",
        disable_numparse=True,
    )
    return f"\\begin{{table}}\n\\centering\n{grid}\n\\caption{{{escape(caption)}}}\n\\end{{table}}"


def _cell(text: str) -> str:
    if text.startswith("**") and text.endswith("**") and len(text) > 4:
        return f"\\textbf{{{escape(text[2:-2])}}}"
    return escape(text)
