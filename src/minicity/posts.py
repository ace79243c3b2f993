"""Lamp posts, utility poles, bollards and traffic signs."""

import numpy as np

from minicity.billboard import Billboard
from minicity.camera import Canvas, Mask, Vector, rotation
from minicity.light import Light, blend, tint
from minicity.noise import Array, cells, fbm
from minicity.shadow import Occluders
from minicity.spec import POLE, SIGN
from minicity.world import KERB, Pole, Sign


def draw_pole(canvas: Canvas, pole: Pole, light: Light, occluders: Occluders) -> None:
    """Draw the post, its bands and foot, and the lamp arm if it has one."""
    board = Billboard.at(
        canvas, pole.x, pole.z, 0.0, pole.height + 0.3, max(pole.arm + 0.4, pole.radius * 2)
    )
    if board is None:
        return
    u, v = board.u, board.v - KERB
    foot = (v < 0.35) & (pole.seed == 0)
    width = pole.radius * (1.08 - 0.03 * v) * np.where(foot, 1.5, 1.0)
    width = np.maximum(width, board.depth * (0.45 / canvas.camera.focal))
    across = u / width
    shape = (np.abs(across) < 1) & (v > 0) & (v < pole.height)
    _put_pole(board, pole, light, occluders, board.visible(shape), across, v)
    if pole.arm > 0:
        _draw_arm(board, pole, light)


def _put_pole(
    board: Billboard,
    pole: Pole,
    light: Light,
    occluders: Occluders,
    hit: Mask,
    across: Array,
    v: Array,
) -> None:
    if not hit.any():
        return
    around, v = across[hit], v[hit]
    out = np.sqrt(np.maximum(1.0 - around * around, 0.0))
    if pole.seed == 1:
        grain = fbm(around * 2.5 + 7, v * (0.7 if not pole.banded else 5.0), 51, 4) - 0.5
        shade = 1.0 + (1.5 if not pole.banded else 0.7) * grain
    else:
        shade = 1.0 + 0.5 * (fbm(around * 2 + 3, v * 4, 52, 3) - 0.5) + 0.5 * out * out * out
    rust = np.clip(1.2 - 2.2 * v, 0.0, 1.0) * 0.35
    albedo = blend(tint(pole.colour, shade), (0.12, 0.08, 0.05), rust)
    if pole.banded:
        top = 1.0 if pole.height < 2 else 1.5
        low = 0.75 if pole.height < 2 else 1.15
        band = (v > low * pole.height) if pole.height < 2 else (v > low) & (v < top)
        albedo = blend(albedo, (0.6, 0.58, 0.54), band * 0.8)
    if pole.seed == 1 and not pole.banded:
        poster = (v > 1.2) & (v < 1.7) & (np.abs(around) < 0.75)
        albedo = blend(albedo, (0.5, 0.48, 0.42), poster * 0.9)
    points = board.canvas.points(board.window, hit, board.depth[hit])
    sun = occluders.from_buildings(points) * occluders.from_trees(points)
    contact = 1.0 - 0.45 / (1.0 + 8 * v)
    colour = light.shade(albedo, board.normal(around, 0 * out, out), points, sun, contact)
    board.put(hit, colour, POLE)


def _draw_arm(board: Billboard, pole: Pole, light: Light) -> None:
    """The arm that carries the lamp over the road."""
    reach = (-1 if pole.x > 0 else 1) * board.right[0]
    sideways = board.u * (1 if reach > 0 else -1)
    length = max(pole.arm * abs(reach), 0.1)
    rise = board.v - KERB - pole.height
    arm = (sideways > 0) & (sideways < length) & (np.abs(rise) < 0.05)
    drop = (rise + 0.08) * (1.0 / 0.11)
    side = (sideways - length) * (1.0 / max(0.35 * abs(reach), 0.14))
    head = side * side + drop * drop < 1
    hit = board.visible(arm | head)
    if not hit.any():
        return
    points = board.canvas.points(board.window, hit, board.depth[hit])
    lens = (head & (rise < -0.08))[hit]
    albedo = blend(tint(pole.colour, 1.0 + 0 * points[0]), (0.7, 0.7, 0.66), lens * 0.8)
    colour = light.shade(albedo, (0.0, 0.3, 0.0), points)
    colour = colour + tint((2.6, 2.0, 1.2), lens * light.night)
    board.put(hit, colour, POLE)


def draw_sign(canvas: Canvas, sign: Sign, light: Light, occluders: Occluders) -> None:
    """Draw a sign's plate with its border and glyph."""
    cos, sin = rotation(sign.turn)
    half_u, half_v = sign.width / 2, sign.height / 2
    corners = [
        (sign.x + s * half_u * cos, sign.y + t * half_v, sign.z - s * half_u * sin)
        for s in (-1, 1)
        for t in (-1, 1)
    ]
    window = canvas.camera.window(corners)
    if window is None:
        return
    rays = canvas.rays[:, window[0], window[1]]
    at_x, at_y, at_z = canvas.camera.position
    distance = (sign.x - at_x) * sin + (sign.z - at_z) * cos
    if abs(distance) < 0.5:
        return
    slope = rays[0] * np.float32(sin) + rays[2] * np.float32(cos)
    depth = distance / np.where(np.abs(slope) < 1e-5, np.float32(1e-5), slope)
    along = (at_x + depth * rays[0] - sign.x) * cos - (at_z + depth * rays[2] - sign.z) * sin
    u, v = along * (1.0 / half_u), (at_y + depth * rays[1] - sign.y) * (1.0 / half_v)
    edge = _inside(sign.shape, u, v)
    hit = (edge > 0) & (depth > 0.5) & (depth < canvas.depth[window])
    if not hit.any():
        return
    u, v, edge = u[hit], v[hit], edge[hit]
    points = canvas.points(window, hit, depth[hit])
    albedo = tint(sign.field, 1.0 + 0 * u)
    if distance < 0:
        albedo = tint((0.26, 0.27, 0.28), 1.0 + 0 * u)
    else:
        albedo = np.where(_glyph(sign, u, v), tint(sign.glyph, 1.0 + 0 * u), albedo)
        albedo = blend(albedo, sign.border, edge < (0.26 if sign.shape != "board" else 0.1))
    dirt = fbm(u * 2 + sign.seed % 31, v * 1.5, 61, 3)
    albedo = albedo * (0.72 + 0.5 * dirt)
    normal: Vector = (-sin, 0.25, -cos) if distance > 0 else (sin, 0.25, cos)
    sun = occluders.from_buildings(points) * occluders.from_trees(points)
    colour = light.shade(albedo, normal, points, sun)
    canvas.put(window, hit, depth[hit], colour, SIGN, 0)


def _inside(shape: str, u: Array, v: Array) -> Array:
    """Distance-like value, positive inside a plate of the given shape over [-1, 1]^2."""
    wide, tall = np.abs(u), np.abs(v)
    edge: Array = 1.0 - np.maximum(wide, tall)
    if shape == "circle":
        edge = 1.0 - np.sqrt(u * u + v * v)
    if shape == "triangle":
        edge = np.minimum(v + 0.85, (0.95 - v) * 0.5 - wide * 0.98)
    if shape == "octagon":
        edge = 1.0 - np.maximum(np.maximum(wide, tall), (wide + tall) * 0.72)
    if shape == "diamond":
        edge = 1.0 - wide - tall
    return edge


def _glyph(sign: Sign, u: Array, v: Array) -> Mask:
    """Where the plate's glyph is: lines of text, an arrow, a bar or a figure."""
    if sign.shape == "board":
        lines = 2 if sign.height < 0.7 else 4
        row = (v * 0.5 + 0.5) * lines
        in_row: Mask = np.abs(row - np.floor(row) - 0.5) < 0.26
        letters = cells(u * 4 * sign.width + 40, row, sign.seed) < 0.62
        gaps = u * 8 * sign.width
        text: Mask = in_row & letters & (gaps - np.floor(gaps) < 0.8) & (np.abs(u) < 0.8)
        return text
    style = sign.seed % 4
    if style == 0:
        bar: Mask = (np.abs(v + 0.05) < 0.16) & (np.abs(u) < 0.5)
        return bar
    if style == 1:
        shaft: Mask = (np.abs(u) < 0.11) & (v > -0.5) & (v < 0.2)
        arrow: Mask = shaft | ((v > 0.05) & (v < 0.5) & (np.abs(u) < 0.55 - v))
        return arrow
    if style == 2:
        head: Mask = u * u + (v - 0.3) * (v - 0.3) < 0.03
        return head | ((np.abs(u) < 0.3 - 0.5 * v) & (v > -0.5) & (v < 0.12) & (np.abs(u) < 0.26))
    digits: Mask = (np.abs(u) < 0.5) & (np.abs(u) > 0.08) & (np.abs(v) < 0.34)
    return digits & ~((np.abs(np.abs(u) - 0.28) < 0.08) & (np.abs(v) < 0.2))
