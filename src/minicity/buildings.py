"""Buildings: boxes with facades in perspective, windows, doors, shops and roofs."""

import numpy as np

from minicity.camera import Canvas, Mask, Vector, Window
from minicity.light import Light, blend, tint, unit
from minicity.noise import Array, cells, fbm, smoothstep, value_noise
from minicity.shadow import Occluders
from minicity.spec import BUILDING
from minicity.world import Building

_DOOR_HEIGHT = 2.2


def draw_building(canvas: Canvas, building: Building, light: Light, occluders: Occluders) -> None:
    """Draw the sides of a building that face the camera."""
    side, front = building.side, building.x
    back, top = front + building.depth, building.height
    ridge = top + building.slope * building.depth / 2
    corners = [
        (side * x, y, z)
        for x in (front, back)
        for y in (0.0, ridge)
        for z in (building.z0, building.z1)
    ]
    window = canvas.camera.window(corners)
    if window is None:
        return
    rays = canvas.rays[:, window[0], window[1]]
    at_x, at_y, at_z = canvas.camera.position
    nearest = canvas.depth[window]
    # The facade towards the street.
    depth = (side * front - at_x) / _apart(rays[0])
    y, z = at_y + depth * rays[1], at_z + depth * rays[2]
    hit = (depth > 0.3) & (depth < nearest) & (y > 0) & (y < top)
    hit &= (z > building.z0) & (z < building.z1)
    _put_wall(canvas, window, hit, depth, building, light, occluders, (-side, 0.0, 0.0))
    # The end wall that the camera can see, if any.
    if at_z < building.z0 or at_z > building.z1:
        wall_z = building.z0 if at_z < building.z0 else building.z1
        depth = (wall_z - at_z) / _apart(rays[2])
        inward = side * (at_x + depth * rays[0]) - front
        y = at_y + depth * rays[1]
        limit = top + building.slope * np.minimum(inward, building.depth - inward)
        hit = (depth > 0.3) & (depth < nearest) & (y > 0) & (y < limit)
        hit &= (inward > 0) & (inward < building.depth)
        facing = -1.0 if wall_z == building.z0 else 1.0
        _put_wall(canvas, window, hit, depth, building, light, occluders, (0.0, 0.0, facing))
    if building.slope > 0:
        _put_roof(canvas, window, building, light, occluders)


def _apart(ray: Array) -> Array:
    """Ray components with zeros moved a little, to divide by."""
    return np.where(np.abs(ray) < 1e-6, np.float32(1e-6), ray)


def _put_wall(
    canvas: Canvas,
    window: Window,
    hit: Mask,
    depth: Array,
    building: Building,
    light: Light,
    occluders: Occluders,
    normal: Vector,
) -> None:
    depth = depth[hit]
    if depth.size == 0:
        return
    points = canvas.points(window, hit, depth)
    street = normal[0] != 0
    along = points[2] - building.z0 if street else np.abs(points[0]) - building.x
    sun: Array | float = 1.0
    facing = normal[0] * light.sun[0] + normal[2] * light.sun[2]
    if max(light.sun_colour) > 0.15 and facing > 0:
        sun = occluders.from_buildings(points)
        if street:
            sun = sun * occluders.from_trees(points)
    width = building.z1 - building.z0 if street else building.depth
    fine = 1.0 / (
        1.0 + depth * depth * (40000.0 / (canvas.camera.focal * canvas.camera.focal)) / 700
    )
    albedo, glass, lit = _facade(building, along, points[1], width, fine, street)
    contact = 1.0 - 0.4 / (1.0 + 2.5 * points[1])
    colour = light.shade(albedo, normal, points, sun, contact)
    sheen = value_noise(along * 0.35 + points[1] * 0.2, points[1] * 0.5, building.seed + 3)
    mirror = blend(tint(light.horizon, 0.35 + 0 * sheen), light.zenith, sheen) * (
        0.25 + 0.6 * sheen
    )
    colour = colour + mirror * glass
    if light.night > 0:
        warm = tint((1.0, 0.72, 0.36), lit * (0.55 * light.night))
        colour = colour + warm
    canvas.put(window, hit, depth, colour, BUILDING, 0)


def _facade(
    building: Building, u: Array, v: Array, width: float, fine: Array, street: bool
) -> tuple[Array, Array, Array]:
    """Albedo [3, n], glass share [n] and lamplight [n] at (u, v) metres on a wall."""
    seed = building.seed
    albedo = _material(building, u, v, fine)
    bays = max(1, int(width / building.bay))
    across = u * (bays / width)
    level = v * (1.0 / building.floor)
    col, row = np.floor(across), np.floor(level)
    x, y = across - col - 0.5, level - row
    half_x, half_y = building.window[0] * 0.5, building.window[1]
    if building.material == "glass":
        half_x, half_y = 0.46, 0.86
    if not street:
        half_x *= 0.7
    below_top = (row + 1) * building.floor < building.height + 0.2
    inside_x, inside_y = half_x - np.abs(x), half_y * 0.5 - np.abs(y - 0.54)
    pane_width = width / bays
    gap = np.minimum(inside_x * pane_width, inside_y * building.floor)
    shown = below_top & (cells(col, row, seed + 1) < (1.0 if street else 0.6))
    if street and building.shop:
        shop = (row == 0) & (v > 0.4) & (v < 2.5)
        gap = np.where(row == 0, np.where(shop, (0.47 - np.abs(x)) * pane_width, -1.0), gap)
    elif street:
        door_col = seed % bays
        door = (row == 0) & (col == door_col)
        wide = 0.55 - np.abs(x) * pane_width
        gap = np.where(door, np.minimum(wide, _DOOR_HEIGHT - v), gap)
    window = shown & (gap > 0)
    trim = shown & (gap <= 0) & (gap > -0.12)
    albedo = blend(albedo, building.trim, trim * 0.85)
    sill = (
        shown & (y < 0.54 - half_y * 0.5) & (y > 0.54 - half_y * 0.5 - 0.12) & (np.abs(x) < half_x)
    )
    albedo = albedo * (1.0 - 0.4 * (sill & ~trim & (row > 0)))
    bars = window & ((np.abs(x) * pane_width < 0.035) | (gap < 0.05))
    pane = cells(col, row, seed + 2)
    curtain = window & (np.abs(x) > half_x * (0.25 + 0.75 * pane)) & (pane < 0.6)
    inner = tint((0.03, 0.035, 0.04), 0.7 + 1.2 * pane)
    inner = blend(inner, (0.42, 0.40, 0.36), curtain * 0.7)
    recess = smoothstep(0.0, 0.22, half_y * 0.5 - (y - 0.54)) * 0.6 + 0.4
    albedo = np.where(window, inner * recess, albedo)
    albedo = blend(albedo, building.trim, bars * 0.8)
    glass = (window & ~bars).astype(np.float32) * (1.0 - 0.6 * curtain)
    lit = glass * (pane * 7.31 - np.floor(pane * 7.31) < 0.42) * (0.4 + pane)
    if street:
        albedo = _street_level(building, albedo, u, v, col)
        if not building.shop:
            is_door = window & (row == 0) & (col == seed % bays)
            albedo = np.where(is_door, tint(building.roof, 0.7 + 0.3 * (gap > 0.12)), albedo)
            glass, lit = glass * ~is_door, lit * ~is_door
    return albedo, glass, lit


def _street_level(building: Building, albedo: Array, u: Array, v: Array, col: Array) -> Array:
    """Adds the plinth, the shop's fascia and awning, floor bands and the cornice."""
    albedo = blend(albedo, building.trim, (v > building.height - 0.45) * 0.8)
    albedo = albedo * (1.0 - 0.45 * ((v < building.height - 0.45) & (v > building.height - 0.6)))
    albedo = albedo * (1.0 - 0.35 * (v < 0.4))
    if building.shop:
        fascia = (v > 2.5) & (v < 3.0)
        letters = (np.abs(v - 2.75) < 0.13) & (cells(u * 6, v * 4, building.seed + 5) < 0.5)
        albedo = np.where(fascia, tint(building.roof, 0.9 + 0 * v), albedo)
        albedo = blend(albedo, building.trim, fascia & letters & (col % 2 == 0))
        stripes = np.floor(u * 2.5) % 2
        awning = (v > 2.05) & (v < 2.5) & (cells(col, 0 * col, building.seed + 6) < 0.5)
        cloth = blend(tint(building.roof, 1.2 + 0 * v), (0.6, 0.58, 0.52), stripes)
        albedo = np.where(awning, cloth * (0.6 + (v - 2.05)), albedo)
    elif building.seed % 3 == 0:
        band = v / building.floor
        albedo = blend(albedo, building.trim, (band - np.floor(band) < 0.05) * 0.7)
    return albedo


def _material(building: Building, u: Array, v: Array, fine: Array) -> Array:
    """Albedo [3, n] of the bare wall."""
    seed = building.seed
    stain = fbm(u * 0.6, v * 0.22, seed, 3) - 0.5
    shade = 1.0 + 0.5 * stain
    if building.material == "brick":
        course = v / 0.13
        brick = u / 0.36 + 0.5 * (np.floor(course) % 2)
        shade = shade + 0.7 * (cells(brick, course, seed + 7) - 0.5) * fine
        mortar = (course - np.floor(course) < 0.16) | (brick - np.floor(brick) < 0.07)
        return blend(tint(building.wall, shade), (0.45, 0.43, 0.40), mortar * 0.6 * fine)
    if building.material == "wood":
        board = v / 0.22
        shade = shade + 0.3 * (cells(0 * u, board, seed + 7) - 0.5)
        shade = shade + 0.4 * (value_noise(u * 1.5, v * 22, seed + 8) - 0.5) * fine
        return tint(building.wall, shade * (1.0 - 0.45 * (board - np.floor(board) < 0.15) * fine))
    if building.material == "panel":
        x, y = u / 2.4, v / (building.floor * 0.5)
        shade = shade + 0.25 * (cells(x, y, seed + 7) - 0.5)
        joint = (x - np.floor(x) < 0.02) | (y - np.floor(y) < 0.03)
        return tint(building.wall, shade * (1.0 - 0.4 * joint))
    rough = fbm(u * 7, v * 7, seed + 7, 2) - 0.5
    return tint(building.wall, shade + 0.35 * rough * fine)


def _put_roof(
    canvas: Canvas, window: Window, building: Building, light: Light, occluders: Occluders
) -> None:
    """The roof slope towards the street: a tilted plane with rows of tiles."""
    side, slope = building.side, building.slope
    rays = canvas.rays[:, window[0], window[1]]
    at_x, at_y, at_z = canvas.camera.position
    # y = height + slope * (side * x - front), solved along the ray; the eaves hang 0.4 m over.
    fall = rays[1] - slope * side * rays[0]
    depth = (building.height + slope * (side * at_x - building.x) - at_y) / _apart(fall)
    inward = side * (at_x + depth * rays[0]) - building.x
    z = at_z + depth * rays[2]
    hit = (depth > 0.3) & (depth < canvas.depth[window]) & (inward > -0.4)
    hit &= (inward < building.depth / 2) & (z > building.z0 - 0.3) & (z < building.z1 + 0.3)
    depth = depth[hit]
    if depth.size == 0:
        return
    points = canvas.points(window, hit, depth)
    u, v = points[2] / 0.3, inward[hit] / 0.34
    u = u + 0.5 * (np.floor(v) % 2)
    fine = 1.0 / (1.0 + depth * depth / 900)
    rounded = (v - np.floor(v)) * 0.6 + 0.35 * cells(u, v, building.seed + 11)
    moss = fbm(points[2] * 0.5, points[1] * 0.7, building.seed + 12, 3)
    albedo = tint(building.roof, 0.75 + 0.5 * (rounded - 0.4) * fine + 0.5 * (moss - 0.5))
    normal = unit(-side * slope, 1.0, 0.0)
    sun = occluders.from_buildings(points)
    canvas.put(window, hit, depth, light.shade(albedo, normal, points, sun), BUILDING, 0)
