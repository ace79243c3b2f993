"""Tables as LaTeX, to be input; they need no package."""

from collections.abc import Sequence

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


def escape(text: str) -> str:
    """`text` as LaTeX shows it: signs that LaTeX would read as commands are replaced."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def table(header: Sequence[str], body: Sequence[Sequence[str]], caption: str) -> str:
    """A table environment from plain text cells; `**bold**` cells become bold."""
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
