"""A header and rows of text cells as Markdown and LaTeX, and parts of captions."""

import re
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

# What begins code, an escape, HTML or a link in <>, or follows the text of a link in brackets.
MARKUP = re.compile(r"[\\`]|<(?=[A-Za-z/!?])|(?<=\])[(\[:]")
ESCAPED = {"<": "&lt;"}

COST = {
    "parameters_m": "params (M)",
    "gflops_per_image": "GFLOPs/image",
}


def number(value: Any) -> str:
    """A number without trailing zeros; text stays as it is."""
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def values(rows: pd.DataFrame, key: str) -> str:
    """The distinct values of a column, joined by "/"; whole numbers have no decimals."""
    return "/".join(dict.fromkeys(map(_text, rows[key])))


def view(rows: pd.DataFrame) -> str:
    """The view and the features of the rows, in words."""
    of = partial(values, rows)
    return (
        f"View: {of('view')}, grid {of('grid')} ({of('grid_rule')}), layer {of('layer')} "
        f"(0-based), final norm {of('norm')}, {of('dtype')}."
    )


def ceilings(rows: pd.DataFrame) -> str:
    """Which models are excluded from the ranking, in words; empty if none is."""
    names = dict.fromkeys(rows.loc[rows["role"] == "ceiling", "model"])
    if not names:
        return ""
    return f" Excluded from ranking: {', '.join(names)} (trained on these labels)."


def unofficial(rows: pd.DataFrame) -> str:
    """Which files behind the rows are not the official ones, in words; empty if all are."""
    marks = rows.get("not_official", pd.Series(index=rows.index, dtype=object)).fillna("")
    parts = []
    for what, column in (("dataset", "dataset"), ("weights", "model")):
        if names := dict.fromkeys(rows.loc[marks.str.contains(what), column]):
            parts.append(f"{what} of {', '.join(names)}")
    return f" NOT THE OFFICIAL FILES: {'; '.join(parts)}." if parts else ""


def libraries(rows: pd.DataFrame) -> str:
    """The versions of the libraries, in words."""
    of = partial(values, rows)
    return f"torch {of('torch')}, timm {of('timm')}, numpy {of('numpy')}."


def difference(share: bool, values: Sequence[float], sign: str = "") -> str:
    """A difference and the ends of its interval in the unit of the tables; no end is rounded to 0.

    Args:
        share: whether the metric is a share, so that the unit is percentage points.
        values: the difference and both ends.
        sign: `+` to show the sign of a positive difference.
    """
    if not share:
        return f"{{:{sign}.4g}} [{{:.4g}}, {{:.4g}}]".format(*values)
    points = [100 * value for value in values]
    digits = 2 if any(0 < abs(value) < 0.05 for value in points) else 1
    return f"{{:{sign}.{digits}f}} points [{{:.{digits}f}}, {{:.{digits}f}}]".format(*points)


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in GitHub's Markdown, whose cells are plain text or `**bold**`."""
    # An unescaped bar would end the cell.
    first, *clean = [[plain(cell).replace("|", "\\|") for cell in row] for row in (header, *body)]
    return tabulate(clean, first, tablefmt="github", disable_numparse=True)


def plain(text: str) -> str:
    """One line of Markdown that shows `text` as it is: no HTML, image, link or code in it works.

    Names of files, splits and classes and the texts of claims come from users. A bracket is no
    link without what follows it, so that intervals are written as they are.
    """
    return MARKUP.sub(lambda found: ESCAPED.get(found[0], f"\\{found[0]}"), " ".join(text.split()))


def escape(text: str) -> str:
    """`text` with the special characters of LaTeX escaped."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def latex(header: Sequence[str], body: Sequence[Sequence[str]], caption: str) -> str:
    """A table environment that needs no package; `**bold**` cells become bold."""
    grid = tabulate(
        [[_cell(cell) for cell in row] for row in body],
        [escape(cell) for cell in header],
        tablefmt="latex_raw",
        disable_numparse=True,
    )
    return f"\\begin{{table}}\n\\centering\n{grid}\n\\caption{{{escape(caption)}}}\n\\end{{table}}"


def _text(value: Any) -> str:
    """A value as text; a column of counts is of floats where some of its rows are empty."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def _cell(text: str) -> str:
    if text.startswith("**") and text.endswith("**") and len(text) > 4:
        return f"\\textbf{{{escape(text[2:-2])}}}"
    return escape(text)
