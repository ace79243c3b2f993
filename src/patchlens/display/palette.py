"""One colour and one shape per model, the same in every figure.

After Okabe and Ito's colour-blind-safe set, each moved in lightness until it has a contrast of 3:1
or more on both the light and the dark ground. The shape identifies a model without colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MODEL_COLOURS = (
    "#0072b2",  # blue
    "#d55e00",  # vermilion
    "#009e73",  # bluish green
    "#b5628f",  # reddish purple
    "#b07a00",  # orange
    "#7d7d7d",  # grey
    "#2f8fc7",  # sky blue: late, since lines have no shape to distinguish it from blue
    "#8a8400",  # yellow
)
# Names of Vega's symbols with the same shape as an SVG path in a box of -1..1.
SHAPES = {
    "circle": "M0-.8A.8.8 0 1 0 0 .8A.8.8 0 1 0 0-.8Z",
    "square": "M-.75-.75H.75V.75H-.75Z",
    "triangle-up": "M0-.9L.9.75H-.9Z",
    "diamond": "M0-1L.85 0L0 1L-.85 0Z",
    "cross": "M-.3-.9H.3V-.3H.9V.3H.3V.9H-.3V.3H-.9V-.3H-.3Z",
    "triangle-down": "M0 .9L.9-.75H-.9Z",
    "triangle-right": "M.9 0L-.75.9V-.9Z",
    "triangle-left": "M-.9 0L.75.9V-.9Z",
}


@dataclass(frozen=True)
class Look:
    """How a model is drawn: a colour, and a shape by its name in Vega and as an SVG path."""

    colour: str
    shape: str
    path: str


def looks(models: Sequence[str]) -> dict[str, Look]:
    """Model -> look, by its place in `models`; pairs repeat only after all 64."""
    shapes = list(SHAPES)
    found = {}
    for i, model in enumerate(models):
        shape = shapes[(i + i // len(MODEL_COLOURS)) % len(shapes)]
        found[model] = Look(MODEL_COLOURS[i % len(MODEL_COLOURS)], shape, SHAPES[shape])
    return found
