"""Trees, conifers and bushes: a tapered trunk and a crown of leafy clumps."""

import numpy as np

from minicity.billboard import Billboard
from minicity.camera import Canvas
from minicity.light import Light, normalised, tint
from minicity.noise import Array, Dice, fbm, value_noise
from minicity.shadow import Occluders
from minicity.spec import TREE
from minicity.world import Tree

_FAR_TREE = 45.0


def draw_tree(canvas: Canvas, tree: Tree, light: Light, occluders: Occluders) -> None:
    """Draw the crown and then the trunk where it shows below and through the crown."""
    board = Billboard.at(canvas, tree.x, tree.z, 0.0, tree.height * 1.08, tree.radius * 1.25)
    if board is None:
        return
    centre = np.array([[tree.x], [tree.height * 0.6], [tree.z]], np.float32)
    sun = float(occluders.from_buildings(centre)[0])
    _draw_crown(board, tree, light, sun)
    if tree.kind != "bush":
        _draw_trunk(board, tree, light, sun)


def _clumps(tree: Tree) -> list[tuple[float, float, float, float]]:
    """Blobs of the crown: u, v, radius and how far each lies towards the camera (m)."""
    dice = Dice(tree.seed, 1)
    height, radius = tree.height, tree.radius
    if tree.kind == "conifer":
        blobs = []
        for layer in range(9):
            share = layer / 8
            wide = radius * (1.0 - 0.92 * share)
            v = height * (0.2 + 0.78 * share)
            for side in (-0.55, 0.0, 0.55):
                size = 0.55 * wide + 0.1
                blobs.append((side * wide, v - 0.3 * abs(side), size, dice.unit() * wide * 0.6))
        return blobs
    low, high = (0.05, 0.75) if tree.kind == "bush" else (0.42, 0.86)
    blobs = [(0.0, height * (low + high) / 2, radius * 0.72, 0.0)]
    for _ in range(11):
        share = dice.unit()
        spread = 1.0 - (2 * share - 1) * (2 * share - 1) * 0.6
        u = dice.uniform(-0.75, 0.75) * radius * spread
        v = height * (low + (high - low) * share)
        blobs.append((u, v, radius * dice.uniform(0.28, 0.5), dice.unit() * radius * 0.5))
    return blobs


def _draw_crown(board: Billboard, tree: Tree, light: Light, sun: float) -> None:
    u, v = board.u, board.v
    detail = 2.2 if tree.kind == "bush" else 1.4
    shift = tree.seed % 97
    ragged = fbm(u * detail + shift, v * detail, tree.seed, 4) - 0.5
    best = np.full(u.shape, -9.0, np.float32)
    across, up = np.zeros_like(u), np.zeros_like(u)
    for blob_u, blob_v, radius, out in _clumps(tree):
        du, dv = (u - blob_u) * (1.0 / radius), (v - blob_v) * (1.0 / radius)
        inside = 1.0 - du * du - dv * dv + ragged * 1.9
        front = np.where(inside > 0, inside * radius + out + 1.0, inside)
        nearer = front > best
        best = np.where(nearer, front, best)
        across, up = np.where(nearer, du, across), np.where(nearer, dv, up)
    hit = board.visible((best > 0) & (v > 0.02))
    if not hit.any():
        return
    u, v, rough = u[hit], v[hit], ragged[hit]
    depth = board.depth[hit]
    fine = 1.0 / (1.0 + depth / 18.0)
    leaves = value_noise(u * 9 + shift, v * 9, tree.seed + 5) - 0.5
    leaves += value_noise(u * 21, v * 21 + shift, tree.seed + 6) - 0.5
    grain_u = value_noise(u * 6 + shift, v * 6 + 40, tree.seed + 7) - 0.5
    grain_v = value_noise(u * 6 + shift + 30, v * 6, tree.seed + 8) - 0.5
    lean_u, lean_v = across[hit] * 0.8 + 1.5 * grain_u, up[hit] * 0.8 + 1.5 * grain_v
    flat = normalised(lean_u, lean_v + 0.15, np.float32(0.75) + 0 * lean_u)
    normal = board.normal(flat[0], flat[1], flat[2])
    tone = 1.0 + 1.1 * rough + (0.35 + 1.1 * fine) * leaves
    points = board.canvas.points(board.window, hit, depth)
    relative = np.clip((v - tree.height * 0.2) * (1.0 / tree.height), 0.0, 0.8)
    occlusion = (0.45 + 0.7 * relative) * np.clip(
        0.75 + 1.2 * leaves * fine + 1.0 * rough, 0.2, 1.4
    )
    through = np.clip(0.55 + 0.9 * leaves + 0.8 * rough, 0.05, 1.2) * sun
    colour = light.shade(
        tint(tree.leaf, np.maximum(tone, 0.25)), normal, points, through, occlusion
    )
    board.put(hit, colour, TREE)


def _draw_trunk(board: Billboard, tree: Tree, light: Light, sun: float) -> None:
    bend = (value_noise(board.v * 0.5, 0 * board.v, tree.seed + 2) - 0.5) * 0.5
    bend *= np.minimum(board.v * 0.4, 1.0)
    width = tree.trunk * (1.15 - 0.09 * board.v + 0.35 / (1.0 + 8 * np.maximum(board.v, 0.0)))
    across = (board.u - bend) / np.maximum(width, 0.02)
    top = tree.height * (0.9 if tree.kind == "conifer" else 0.62)
    hit = board.visible((np.abs(across) < 1) & (board.v > 0) & (board.v < top))
    if not hit.any():
        return
    bark_u, v = across[hit], board.v[hit]
    out = np.sqrt(np.maximum(1.0 - bark_u * bark_u, 0.0))
    ridges: Array = fbm(bark_u * 3.0 + 5, v * 2.2, tree.seed + 3, 3) - 0.5
    normal = board.normal(bark_u, 0 * bark_u, out)
    points = board.canvas.points(board.window, hit, board.depth[hit])
    under = 0.35 + 0.65 / (1.0 + np.maximum(v - tree.height * 0.25, 0.0))
    colour = light.shade(tint(tree.bark, 1.0 + 1.6 * ridges), normal, points, sun * under, under)
    board.put(hit, colour, TREE)
