"""Road, kerbs, sidewalks and grass: one ray-cast of the street's cross-section."""

import numpy as np

from minicity.camera import FAR, Canvas, Mask
from minicity.light import Light, blend, tint
from minicity.noise import Array, cells, fbm, smoothstep, value_noise
from minicity.shadow import Occluders
from minicity.spec import GRASS, ROAD, SIDEWALK
from minicity.world import KERB, Ground

_UP = (0.0, 1.0, 0.0)
_KERB_EDGE = 0.3


def draw_ground(canvas: Canvas, ground: Ground, light: Light, occluders: Occluders) -> None:
    """Fill every empty sample below the horizon with road, sidewalk or grass."""
    whole = slice(0, canvas.depth.shape[0]), slice(0, canvas.depth.shape[1])
    empty = (canvas.depth >= FAR) & (canvas.rays[1] < -1e-3)
    dx, dy = canvas.rays[0][empty], canvas.rays[1][empty]
    at_x, at_y, _ = canvas.camera.position
    half = ground.half_width
    upper = np.minimum((KERB - at_y) / dy, FAR - 1)
    lower = np.minimum(-at_y / dy, FAR - 1)
    beside = np.abs(at_x + upper * dx) > half
    on_road = ~beside & (np.abs(at_x + lower * dx) < half)
    face = ~beside & ~on_road
    edge = np.where(dx > 0, half, -half) - at_x
    depth = np.where(beside, upper, lower)
    depth = np.where(face, np.clip(edge / np.where(dx == 0, 1, dx), upper, lower), depth)
    points = canvas.points(whole, empty, depth)
    slope = canvas.camera.focal * at_y / (depth * depth)
    kind = _kinds(ground, points[0])
    kind[on_road] = 0
    kind[face] = 1
    shares = _visibility(points, kind, ground, light, occluders)
    for code, painter, class_id in (
        (0, _road, ROAD),
        (1, _kerb, SIDEWALK),
        (2, _grass, GRASS),
        (3, _slabs, SIDEWALK),
        (4, _bricks, SIDEWALK),
    ):
        chosen = np.flatnonzero(kind == code)
        if chosen.size == 0:
            continue
        some = points[:, chosen]
        albedo = painter(ground, some, np.minimum(slope[chosen], 60.0))
        wet = light.wet * (0.2 if class_id == GRASS else 0.5)
        sun, sky = shares[0][chosen], shares[1][chosen]
        colour = light.shade(albedo * (1 - wet), _UP, some, sun, sky)
        hit = _subset(empty, chosen)
        canvas.put(whole, hit, depth[chosen], colour, class_id, 0)
        if light.wet > 0.5 and class_id != GRASS:
            puddle = smoothstep(0.42, 0.62, fbm(some[0] * 0.5, some[2] * 0.35, 77, 3))
            shine = (0.22 + 0.55 * puddle) * light.wet * (1.0 if class_id == ROAD else 0.4)
            canvas.gloss[hit] = shine * sky


def _subset(mask: Mask, chosen: np.ndarray) -> Mask:
    """The mask of the ``chosen`` ones among the set entries of ``mask``."""
    flat = np.zeros(mask.size, np.bool_)
    flat[np.flatnonzero(mask)[chosen]] = True
    return flat.reshape(mask.shape)


def _kinds(ground: Ground, x: Array) -> np.ndarray:
    """Ground kind of each sample: 0 road, 1 kerb, 2 grass, 3 slabs, 4 bricks."""
    codes = {"grass": 2, "slabs": 3, "bricks": 4}
    kind = np.zeros(x.shape, np.uint8)
    for index, side in enumerate((-1, 1)):
        out = x * side - ground.half_width
        strips = ground.sides[index]
        local = np.full(x.shape, codes[strips.beyond], np.uint8)
        for end, name in reversed(strips.strips):
            local[out < end] = codes[name]
        local[out < _KERB_EDGE] = 1
        kind = np.where(out > 0, local, kind)
    return kind


def _visibility(
    points: Array, kind: np.ndarray, ground: Ground, light: Light, occluders: Occluders
) -> tuple[Array, Array]:
    """Shares of sun and skylight at ground points [3, n]."""
    sun, sky = occluders.from_casters(points[0], points[2])
    if max(light.sun_colour) > 0.15:
        sun = sun * occluders.from_buildings(points) * occluders.from_trees(points)
        sun = sun * occluders.from_poles(points[0], points[2])
    for index, side in enumerate((-1, 1)):
        gap = np.abs(points[0] * side - ground.half_width - ground.sides[index].width)
        sky = sky * (1.0 - 0.45 / (1.0 + 3.0 * gap))
        gutter = ground.half_width - points[0] * side
        sky = np.where(
            (kind == 0) & (gutter > 0), sky * (1 - 0.4 / (1 + 60 * gutter * gutter)), sky
        )
    return sun, sky


def _fine(slope: Array, limit: float) -> Array:
    """Fades detail out where samples are too far apart to show it (rows per metre vs limit)."""
    return slope / (slope + limit)


def _road(ground: Ground, points: Array, slope: Array) -> Array:
    x, z = points[0], points[2]
    seed = ground.seed
    grain = value_noise(x * 22, z * 22, seed + 1) - 0.5
    grain += value_noise(x * 60, z * 60, seed + 2) - 0.5
    broad = fbm(x * 0.45, z * 0.2, seed + 3, 3)
    shade = 0.72 + 0.55 * broad + 0.55 * grain * _fine(slope, 9.0)
    lane = np.abs(np.abs(np.abs(x) - ground.half_width * 0.45) - 0.75)
    shade *= 1.0 - 0.16 / (1.0 + 12 * lane * lane)
    patch = cells(x * 0.42 + 0.3, z * 0.16, seed + 4)
    shade *= np.where(patch < 0.12, 0.68, np.where(patch > 0.94, 1.22, 1.0))
    crack = np.abs(fbm(x * 0.55, z * 0.55, seed + 5, 4) - 0.5)
    shade *= 1.0 - 0.6 * smoothstep(0.014, 0.003, crack) * _fine(slope, 4.0)
    hole_x, hole_z = np.abs(x - 0.35 * ground.half_width), z - np.floor(z * 0.055 + 0.4) / 0.055
    ring = np.sqrt(hole_x * hole_x + hole_z * hole_z)
    grid = np.where((np.floor(x * 12) + np.floor(z * 12)) % 2 > 0, 0.5, 0.75)
    shade *= np.where(ring < 0.34, grid, 1.0)
    albedo = tint(ground.asphalt, shade)
    marked = _markings(ground, x, z)
    worn = smoothstep(0.75, 0.4, fbm(x * 2.4, z * 2.4, seed + 6, 3))
    return blend(albedo, (0.62, 0.61, 0.57), marked * (0.25 + 0.7 * worn))


def _markings(ground: Ground, x: Array, z: Array) -> Array:
    """Coverage 0..1 of the road by paint."""
    marked = np.zeros(x.shape, np.bool_)
    if ground.dashes:
        marked |= (np.abs(x) < 0.07) & (z - np.floor(z / 6.0) * 6.0 < 3.0)
    if ground.edge_lines:
        marked |= np.abs(np.abs(x) - ground.half_width + 0.35) < 0.06
    if ground.crossing is not None:
        band = np.abs(z - ground.crossing) < 1.6
        stripes = x - np.floor(x) < 0.5
        marked = (marked & ~band) | (band & stripes & (np.abs(x) < ground.half_width - 0.2))
    return marked.astype(np.float32)


def _kerb(ground: Ground, points: Array, slope: Array) -> Array:
    x, y, z = points
    grain = fbm(x * 9 + y * 9, z * 9, ground.seed + 11, 3)
    joint = z - np.floor(z)
    shade = 1.0 + 0.6 * (grain - 0.5) - 0.5 * (joint < 0.03)
    shade *= 0.72 + 0.28 * smoothstep(0.0, KERB, y)
    return tint((0.36, 0.35, 0.33), shade * (0.6 + 0.8 * ground.paving[1]))


def _grass(ground: Ground, points: Array, slope: Array) -> Array:
    x, z = points[0], points[2]
    seed = ground.seed
    dry = smoothstep(0.35, 0.7, fbm(x * 0.5, z * 0.5, seed + 21, 3))
    blades = value_noise(x * 30, z * 9, seed + 22) - 0.5
    blades += 0.8 * (value_noise(x * 55 + z * 7, z * 18, seed + 23) - 0.5)
    tufts = fbm(x * 3.0, z * 2.0, seed + 24, 3) - 0.5
    shade = 1.0 + 1.5 * blades * _fine(slope, 6.0) + 1.3 * tufts
    albedo = blend(tint(ground.grass, 1.0 + 0 * x), ground.dry_grass, dry) * np.maximum(shade, 0.15)
    leaf = cells(x * 11, z * 11, seed + 25) > 0.975
    return blend(albedo, (0.26, 0.17, 0.07), leaf * _fine(slope, 5.0))


def _slabs(ground: Ground, points: Array, slope: Array) -> Array:
    return _paving(ground, points, slope, ground.slab, ground.slab, 0.0)


def _bricks(ground: Ground, points: Array, slope: Array) -> Array:
    return _paving(ground, points, slope, 0.36, 0.18, 0.5)


def _paving(
    ground: Ground, points: Array, slope: Array, long: float, short: float, bond: float
) -> Array:
    """Stones of the given sizes (m); ``bond`` shifts every second row."""
    u, v = points[0] / long, points[2] / short
    u = u + bond * (np.floor(v) % 2)
    seed = ground.seed
    stone = cells(u, v, seed + 31) - 0.5
    gap_u, gap_v = u - np.floor(u), v - np.floor(v)
    width = 0.025
    joint = (gap_u < width / long) | (gap_v < width / short)
    grain = fbm(points[0] * 8, points[2] * 8, seed + 32, 3) - 0.5
    stain = fbm(points[0] * 0.7, points[2] * 0.7, seed + 33, 3) - 0.5
    fine = _fine(slope, 3.0 / short)
    shade = 1.0 + 0.5 * stone * fine + 0.35 * grain + 0.6 * stain - 0.5 * joint * fine
    return tint(ground.paving, np.maximum(shade, 0.1))
