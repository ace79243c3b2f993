"""Cars: convex bodies and cabins on wheels, painted in local coordinates."""

import numpy as np

from minicity.camera import Canvas, Mask, rotation
from minicity.carpaint import body_albedo, cabin_albedo
from minicity.cast import CarLook, CarModel, car_look
from minicity.light import Light, blend, normalised, power16, tint, unit
from minicity.noise import Array, value_noise
from minicity.shadow import Caster, Occluders
from minicity.sky import sky_colour
from minicity.solids import LocalRays, Plane
from minicity.spec import CAR
from minicity.world import Actor


def car_caster(actor: Actor, frame: int) -> Caster:
    """The shadow that a car throws."""
    model = car_look(actor.instance).model
    x, z = actor.at(frame)
    cos, sin = rotation(actor.turn)
    rear, roof_rear, roof_front, screen = model.cabin
    cabin = (screen - rear + roof_front - roof_rear) / 4, model.height, (roof_front + roof_rear) / 2
    return Caster(
        x, 0.0, z, cos, sin, model.width / 2, ((model.length / 2, model.belt, 0.0), cabin)
    )


def draw_car(canvas: Canvas, actor: Actor, frame: int, light: Light, occluders: Occluders) -> None:
    """Draw one car."""
    look = car_look(actor.instance)
    model = look.model
    x, z = actor.at(frame)
    cos, sin = rotation(actor.turn)
    half_w, half_l, top = model.width / 2 + 0.05, model.length / 2 + 0.05, model.height + 0.3
    window = canvas.camera.window(
        [
            (x + a * half_w * cos + b * half_l * sin, y, z - a * half_w * sin + b * half_l * cos)
            for a in (-1, 1)
            for b in (-1, 1)
            for y in (0.0, top)
        ]
    )
    if window is None:
        return
    rays = LocalRays.of(canvas, window, x, z, cos, sin)
    if abs(rays.origin[0]) < half_w + 0.3 and abs(rays.origin[2]) < half_l + 0.3:
        return
    centre = np.array([[x], [0.8], [z]], np.float32)
    sun = float((occluders.from_buildings(centre) * occluders.from_trees(centre))[0])
    solids = [_body(model), _cabin(model)]
    if model.sign:
        solids.append(_box(0.28, model.height, model.height + 0.17, -0.35, -0.1))
    if model.rack:
        front, rear = model.cabin[2] - 0.1, model.cabin[1] + 0.15
        for side in (-1, 1):
            solids.append(_rail(side * model.width * 0.33, model.height, rear, front))
    for part, planes in enumerate(solids):
        depth, index = rays.enter(planes)
        hit = depth < canvas.depth[window]
        if not hit.any():
            continue
        depth = depth[hit]
        normals = np.array(planes, np.float32)[index[hit], :3].T
        points = rays.points(hit, depth)
        if part == 0:
            albedo, shine, glow = body_albedo(look, points, normals)
        elif part == 1:
            albedo, shine, glow = cabin_albedo(look, points, normals)
        else:
            albedo = tint((0.5, 0.42, 0.12) if model.sign else (0.03, 0.03, 0.03), 1.0 + 0 * depth)
            shine, glow = 0.05 + 0 * depth, np.zeros_like(albedo)
        colour = _lit(rays, canvas, hit, depth, points, normals, albedo, shine, light, sun, model)
        colour = colour + glow * (0.25 + 1.6 * light.night)
        canvas.put(window, hit, depth, colour, CAR, actor.instance)
    _draw_wheels(canvas, rays, look, light, sun, actor.instance)


def _lit(
    rays: LocalRays,
    canvas: Canvas,
    hit: Mask,
    depth: Array,
    points: Array,
    normals: Array,
    albedo: Array,
    shine: Array,
    light: Light,
    sun: float,
    model: CarModel,
) -> Array:
    """Shaded lacquer: matt light plus a mirrored sky and a highlight of the sun."""
    # Panels bulge: bend the flat normals outwards from the middle of the body.
    bent = normalised(
        normals[0] + 0.22 * points[0] * (2 / model.width),
        normals[1] + 0.55 * (points[1] - 0.62 * model.belt) * (1 - np.abs(normals[1])),
        normals[2] + 0.22 * points[2] * (2 / model.length),
    )
    world = rays.to_world(bent)
    positions = canvas.points(rays.window, hit, depth)
    low = np.maximum(points[1], 0.0)
    contact = 0.35 + 0.65 * np.minimum(low * 1.3, 1.0)
    colour = light.shade(albedo, world, positions, sun, contact)
    view = canvas.rays[:, rays.window[0], rays.window[1]][:, hit]
    facing = view[0] * world[0] + view[1] * world[1] + view[2] * world[2]
    length = 1.0 / np.sqrt(view[0] * view[0] + view[1] * view[1] + view[2] * view[2])
    x, y, z = ((view[i] - 2 * facing * world[i]) * length for i in range(3))
    grazing = 1.0 - np.minimum(np.abs(facing) * length, 1.0)
    strength = shine * (0.3 + 0.7 * grazing * grazing)
    sky = sky_colour(light, x, y, z)
    street = value_noise(x * 5 + z * 4 + points[2] * 0.3, y * 6, 91)
    block = (y < 0.12 + 0.5 * street).astype(np.float32)
    sky = blend(sky, sky * 0.3, block)
    sky = np.where(y < -0.02, sky * 0.5, sky)
    bright = np.maximum(x * light.sun[0] + y * light.sun[1] + z * light.sun[2], 0.0)
    bright = power16(bright)
    spark = bright * bright * sun * shine * 2.0
    return np.stack([colour[i] + sky[i] * strength + light.sun_colour[i] * spark for i in range(3)])


def _body(model: CarModel) -> tuple[Plane, ...]:
    """The lower body: sides lean in above the waist, bonnet and boot slope down."""
    half_w, half_l = model.width / 2, model.length / 2
    planes: list[Plane] = [(0, -1, 0, -model.clearance)]
    waist = 0.62 * model.belt
    for side in (-1, 1):
        planes.append(_through((side, 0.14, 0), (side * half_w, waist, 0)))
        planes.append(_through((side, -0.10, 0), (side * half_w, waist, 0)))
        planes.append(_through((side, 0, 0.55), (side * half_w, 0, half_l - 0.32)))
        planes.append(_through((side, 0, -0.5), (side * half_w, 0, -half_l + 0.28)))
    front, rear = model.cabin[3], model.cabin[0]
    planes.append(_sloped(front, model.belt, half_l - 0.1, model.nose))
    planes.append(_through((0, 0.25, 1), (0, model.nose * 0.6, half_l)))
    planes.append(_through((0, -0.3, 1), (0, model.nose * 0.6, half_l)))
    planes.append(_through((0, 0.12, -1), (0, model.tail * 0.6, -half_l)))
    planes.append(_through((0, -0.3, -1), (0, model.tail * 0.6, -half_l)))
    if rear > -half_l + 0.3:
        planes.append(_sloped(rear, model.belt, -half_l + 0.08, model.tail))
    planes.append((0, 1, 0, model.belt))
    return tuple(planes)


def _cabin(model: CarModel) -> tuple[Plane, ...]:
    """The greenhouse: raked screens and sides that lean in."""
    rear, roof_rear, roof_front, screen = model.cabin
    planes: list[Plane] = [(0, -1, 0, -model.belt + 0.06), (0, 1, 0, model.height)]
    lean = 0.1 if model.height > 2 else 0.26
    for side in (-1, 1):
        planes.append(_through((side, lean, 0), (side * (model.width / 2 - 0.06), model.belt, 0)))
        edge = model.width / 2 - 0.2
        planes.append(_through((side * 0.7, 1, 0), (side * edge, model.height - 0.06, 0)))
    planes.append(_sloped(screen, model.belt, roof_front, model.height))
    planes.append(_sloped(rear, model.belt, roof_rear, model.height))
    planes.append(_through((0, 1, 0.3), (0, model.height - 0.03, roof_front)))
    planes.append(_through((0, 1, -0.3), (0, model.height - 0.03, roof_rear)))
    return tuple(planes)


def _box(half: float, low: float, high: float, rear: float, front: float) -> tuple[Plane, ...]:
    return (
        (1, 0, 0, half), (-1, 0, 0, half), (0, 1, 0, high), (0, -1, 0, -low), (0, 0, 1, front),
        (0, 0, -1, -rear),
    )  # fmt: skip


def _rail(x: float, height: float, rear: float, front: float) -> tuple[Plane, ...]:
    return (
        (1, 0, 0, x + 0.03), (-1, 0, 0, 0.03 - x), (0, 1, 0, height + 0.09),
        (0, -1, 0, -height - 0.02), (0, 0, 1, front), (0, 0, -1, -rear),
    )  # fmt: skip


def _through(normal: tuple[float, float, float], point: tuple[float, float, float]) -> Plane:
    x, y, z = unit(*normal)
    return x, y, z, x * point[0] + y * point[1] + z * point[2]


def _sloped(z0: float, y0: float, z1: float, y1: float) -> Plane:
    """The plane across the car through two (z, y) points of the side view, facing up."""
    dz, dy = z1 - z0, y1 - y0
    return _through((0, abs(dz), -dy if dz > 0 else dy), (0, y0, z0))


def _draw_wheels(
    canvas: Canvas, rays: LocalRays, look: CarLook, light: Light, sun: float, instance: int
) -> None:
    """Tyres as cylinders, rims as discs, and the dark floor between them."""
    model = look.model
    side = 1.0 if rays.origin[0] > 0 else -1.0
    outer = side * (model.width / 2 + 0.01)
    flat = np.where(np.abs(rays.direction[0]) < 1e-6, np.float32(1e-6), rays.direction[0])
    disc = (outer - rays.origin[0]) / flat
    disc_y = rays.origin[1] + disc * rays.direction[1]
    disc_z = rays.origin[2] + disc * rays.direction[2]
    for z in axles(model):
        dy, dz = disc_y - model.wheel, disc_z - z
        ring = np.sqrt(dy * dy + dz * dz) * (1.0 / model.wheel)
        hit = (ring < 1) & (disc > 0.05) & (disc < canvas.depth[rays.window])
        _put_disc(canvas, rays, hit, disc, ring, dy, dz, look, light, sun, instance)
        depth = rays.axle(model.wheel, z, model.wheel)
        depth = np.where(np.isfinite(depth), depth, np.float32(1e6))
        x = np.abs(rays.origin[0] + depth * rays.direction[0])
        hit = (x < model.width / 2) & (x > model.width / 2 - 0.22)
        hit &= depth < canvas.depth[rays.window]
        if hit.any():
            depth = depth[hit]
            albedo = tint((0.025, 0.025, 0.027), 1.0 + 0 * depth)
            positions = canvas.points(rays.window, hit, depth)
            colour = light.shade(albedo, (0.0, 0.5, 0.0), positions, sun)
            canvas.put(rays.window, hit, depth, colour, CAR, instance)


def axles(model: CarModel) -> tuple[float, float]:
    """Local z of the rear and the front axle."""
    return -model.length * 0.31, model.length * 0.315


def _put_disc(
    canvas: Canvas,
    rays: LocalRays,
    hit: Mask,
    depth: Array,
    ring: Array,
    dy: Array,
    dz: Array,
    look: CarLook,
    light: Light,
    sun: float,
    instance: int,
) -> None:
    if not hit.any():
        return
    ring, dy, dz, depth = ring[hit], dy[hit], dz[hit], depth[hit]
    spokes = np.zeros(ring.shape, np.bool_)
    for number in range(look.rim):
        cos, sin = rotation((2 * number + 1) / look.rim - 1.0)
        spokes |= np.abs(dy * cos - dz * sin) < 0.035
    rim = (ring < 0.66) & (spokes | (ring > 0.56) | (ring < 0.16))
    albedo = np.where(ring < 0.66, np.float32(0.04), np.float32(0.022))
    albedo = np.where(rim, np.float32(0.34), albedo)
    normal = rays.to_world(np.array([[1.0 if rays.origin[0] > 0 else -1.0], [0.25], [0.0]]))
    positions = canvas.points(rays.window, hit, depth)
    colour = light.shade(tint((1, 1, 1.02), albedo), normal.astype(np.float32), positions, sun)
    canvas.put(rays.window, hit, depth, colour, CAR, instance)
