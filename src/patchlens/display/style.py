"""How matplotlib figures look: colours of variants, type, and files with the same bytes always."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

# Okabe and Ito's colour-blind-safe palette.
VARIANT_COLOURS = {
    "raw": "#000000",
    "prune": "#D55E00",
    "keep_top": "#0072B2",
    "prune_random": "#999999",
    "zscore": "#009E73",
    "rival": "#CC79A7",
}
STYLE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, the same bytes every time."""
    # Without the date that would make every file differ.
    figure.savefig(path, dpi=130, metadata={"Software": None})
