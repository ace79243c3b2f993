"""Text on pictures, in a font that comes with vl-convert: Pillow's own has ASCII alone."""

from html import escape
from io import BytesIO

import vl_convert
from PIL import Image


def text(words: str, size: int, colour: str = "black") -> Image.Image:
    """One line of text on transparent ground, as wide as its ink, `1.4 * size` pixels high.

    The font has European scripts; vl-convert takes others from the fonts of the system.
    """
    height = round(1.4 * size)
    safe = escape("".join(sign if sign.isprintable() else "?" for sign in words))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{(len(words) + 1) * size}" '
        f'height="{height}"><text x="0" y="{size}" font-family="Liberation Sans, sans-serif" '
        f'font-size="{size}" fill="{colour}" xml:space="preserve">{safe}</text></svg>'
    )
    drawn = Image.open(BytesIO(vl_convert.svg_to_png(svg))).convert("RGBA")
    ink = drawn.getbbox() or (0, 0, 1, height)
    return drawn.crop((0, 0, ink[2], height))


def put(page: Image.Image, place: tuple[int, int], words: str, size: int, colour: str) -> None:
    """Write one line of text on a picture; `place` is its top left corner."""
    drawn = text(words, size, colour)
    page.paste(drawn, place, drawn)
