"""Patches and objects framed in their images, for the sheets of `patchlens show`."""

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image

from patchlens.display.style import VARIANT_COLOURS

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels
Look = tuple[str, str]  # the colour and the line of a frame
# Distinguished by colour, by line and by the word beside it.
RIGHT, WRONG = (VARIANT_COLOURS["zscore"], "-"), (VARIANT_COLOURS["prune"], "--")
PLAIN = (VARIANT_COLOURS["keep_top"], "-")


@dataclass(frozen=True)
class Place:
    """A patch or an object in an image: the pixels, and its box in them."""

    image: Image.Image
    box: Box


def framed(
    axes: Axes,
    image: Image.Image,
    extent: Box,
    box: Rectangle,
    look: Look,
    title: str,
    **text: Any,
) -> None:
    """Draw an image with a box in a frame; grey lies outside the image.

    Args:
        axes: where to draw; the caller sets its limits.
        image: the pixels to show.
        extent: its left, right, bottom and top, in pixels.
        box: the box that is framed; see `outline`.
        look: colour and line of the frame.
        title: above the image.
        text: properties of the title text.
    """
    colour, line = look
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#EEEEEE")
    axes.imshow(image, extent=extent, interpolation="nearest")
    axes.add_patch(box)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set(edgecolor=colour, linestyle=line, linewidth=2)
    axes.set_title(title, fontsize=7, **text)


def outline(box: Box, colour: str, width: float) -> Rectangle:
    """The edge of a box."""
    x0, y0, x1, y1 = box
    return Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=width)
