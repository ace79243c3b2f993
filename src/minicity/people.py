"""People: jointed figures of tapered limbs, dressed in one of the cast's outfits."""

from dataclasses import dataclass

import numpy as np

from minicity.billboard import Billboard
from minicity.camera import Canvas, Vector, rotation
from minicity.cast import PersonLook, person_look
from minicity.light import Light, tint
from minicity.noise import Array, fbm, wave
from minicity.shadow import Occluders
from minicity.spec import PERSON
from minicity.world import KERB, Actor


@dataclass(frozen=True)
class Limb:
    """A tapered capsule on the body: ends (u, v), radii, how far in front, cloth and colour."""

    a: tuple[float, float]
    b: tuple[float, float]
    radius_a: float
    radius_b: float
    front: float
    colour: Vector
    pattern: str = ""
    second: Vector = (0.0, 0.0, 0.0)


def draw_person(
    canvas: Canvas, actor: Actor, frame: int, base: float, light: Light, occluders: Occluders
) -> None:
    """Draw a person who stands on the ground height ``base`` (m)."""
    look = person_look(actor.instance)
    x, z = actor.at(frame)
    board = Billboard.at(canvas, x, z, base, base + look.height + 0.5, 0.85)
    if board is None:
        return
    cos, sin = rotation(actor.turn)
    yaw_cos, yaw_sin = rotation(canvas.camera.yaw)
    # Walking direction in the board's frame: to the right, and towards the camera.
    ahead = sin * yaw_cos - cos * yaw_sin
    facing = -(sin * yaw_sin + cos * yaw_cos)
    limbs = _figure(look, ahead, facing, actor.gait + actor.stride * frame, actor.stride > 0)
    scale = look.height / 1.75
    u, v = board.u * (1.0 / scale), (board.v - base) * (1.0 / scale)
    best = np.full(u.shape, -9.0, np.float32)
    colour = np.zeros((3, *u.shape), np.float32)
    lean_u, lean_v = np.zeros_like(u), np.zeros_like(u)
    for limb in limbs:
        _add_limb(limb, u, v, best, colour, lean_u, lean_v)
    hit = board.visible(best > -8.0)
    if not hit.any():
        return
    across, up = lean_u[hit], lean_v[hit]
    out = np.sqrt(np.maximum(1.0 - across * across - up * up, 0.02))
    points = canvas.points(board.window, hit, board.depth[hit])
    centre = np.array([[x], [base + 1.0], [z]], np.float32)
    sun = float((occluders.from_buildings(centre) * occluders.from_trees(centre))[0])
    rise = np.maximum(v[hit], 0.0)
    folds = fbm(u[hit] * 9 + actor.instance, v[hit] * 6, 81, 3) - 0.5
    contact = (1.0 - 0.5 / (1.0 + 5 * rise)) * (0.75 + 0.25 * out)
    albedo = colour[:, hit] * (1.0 + 0.45 * folds)
    lit = light.shade(albedo, board.normal(across, up, out), points, sun, contact)
    board.put(hit, lit, PERSON, actor.instance)


def _add_limb(
    limb: Limb, u: Array, v: Array, best: Array, colour: Array, lean_u: Array, lean_v: Array
) -> None:
    """Paint a limb over what lies further back (``best`` is the nearness so far)."""
    big = max(limb.radius_a, limb.radius_b)
    low_u, high_u = min(limb.a[0], limb.b[0]) - big, max(limb.a[0], limb.b[0]) + big
    low_v, high_v = min(limb.a[1], limb.b[1]) - big, max(limb.a[1], limb.b[1]) + big
    near = np.nonzero((u > low_u) & (u < high_u) & (v > low_v) & (v < high_v))
    if near[0].size == 0:
        return
    along_u, along_v = limb.b[0] - limb.a[0], limb.b[1] - limb.a[1]
    square = along_u * along_u + along_v * along_v + 1e-6
    du, dv = u[near] - limb.a[0], v[near] - limb.a[1]
    t = np.clip((du * along_u + dv * along_v) * (1.0 / square), 0.0, 1.0)
    du, dv = du - t * along_u, dv - t * along_v
    radius = limb.radius_a + (limb.radius_b - limb.radius_a) * t
    du, dv = du / radius, dv / radius
    inside = (du * du + dv * dv < 1) & (best[near] < limb.front)
    chosen = tuple(axis[inside] for axis in near)
    best[chosen] = limb.front
    lean_u[chosen], lean_v[chosen] = du[inside] * 0.95, dv[inside] * 0.95
    paint = _cloth(limb, u[chosen], v[chosen], t[inside])
    for i in range(3):
        colour[i][chosen] = paint[i]


def _cloth(limb: Limb, u: Array, v: Array, t: Array) -> Array:
    """Albedo [3, n] of a limb's cloth at body coordinates (u, v) and t along the limb."""
    if limb.pattern == "stripes":
        second = v * 11 - np.floor(v * 11) < 0.5
    elif limb.pattern == "checks":
        second = (np.floor(v * 10) + np.floor(u * 10)) % 2 > 0
    elif limb.pattern == "dots":
        x, y = u * 10 - np.floor(u * 10) - 0.5, v * 10 - np.floor(v * 10) - 0.5
        second = x * x + y * y < 0.09
    elif limb.pattern == "block":
        second = v > 1.22
    elif limb.pattern == "vest":
        second = (np.abs(v - 1.08) < 0.035) | (np.abs(np.abs(u) - 0.09) < 0.022)
    elif limb.pattern == "suit":
        second = np.abs(u) < (v - 1.1) * 0.22
    else:
        second = np.zeros(u.shape, np.bool_)
    return np.where(second, tint(limb.second, 1.0 + 0 * u), tint(limb.colour, 1.0 + 0 * u))


def _figure(
    look: PersonLook, ahead: float, facing: float, gait: float, walking: bool
) -> list[Limb]:
    """The limbs of a body 1.75 m tall; ``ahead`` and ``facing`` give its direction."""
    wear = look.outfit
    swing = 0.34 if walking else 0.05
    girth = look.girth
    wide = 0.35 + 0.65 * abs(facing)
    shoulder, hip = 0.19 * girth * wide, 0.085 * girth * wide
    turned = -1.0 if facing < 0 else 1.0
    limbs: list[Limb] = []
    for side in (-1, 1):
        step = wave(gait + (0.5 if side > 0 else 0.0)) * swing
        lift = max(0.0, wave(gait + (0.75 if side > 0 else 0.25))) * 0.12 * (1 if walking else 0)
        # A side that is away from the camera is drawn behind the trunk.
        front = 1.0 + 0.2 * side * (1 if ahead > 0 else -1)
        base = side * hip * turned
        knee = (base + step * 0.55 * ahead + lift * ahead, 0.47)
        foot = (base + step * ahead - lift * ahead, 0.06 + lift)
        bare = wear.legs != "trousers"
        shin = look.skin if bare else look.bottom
        thigh = look.skin if wear.legs == "skirt" else look.bottom
        limbs.append(Limb((base, 0.86), knee, 0.095 * girth, 0.068, front, thigh))
        limbs.append(Limb(knee, foot, 0.06, 0.045, front - 0.01, shin))
        toe = (foot[0] + 0.1 * ahead, foot[1] - 0.01)
        limbs.append(Limb(foot, toe, 0.055, 0.045, front + 0.01, look.shoes))
        arm_step = -step * 0.9
        top = (side * shoulder * turned, 1.38)
        elbow = (top[0] * 1.18 + arm_step * 0.4 * ahead, 1.12)
        hand = (elbow[0] * 1.02 + arm_step * 0.55 * ahead + 0.05 * ahead, 0.88)
        if wear.umbrella and side > 0:
            elbow, hand = (top[0] + 0.05 * ahead, 1.14), (top[0] + 0.12 * ahead, 1.34)
        front = 2.0 + 0.5 * side * (1 if ahead > 0 else -1) if abs(ahead) > 0.4 else 1.9
        lower = look.top if wear.sleeves else look.skin
        pattern = wear.pattern if wear.pattern in ("stripes", "checks", "block") else ""
        limbs.append(Limb(top, elbow, 0.062, 0.05, front, look.top, pattern, look.second))
        limbs.append(Limb(elbow, hand, 0.05, 0.036, front + 0.01, lower))
        limbs.append(Limb(hand, (hand[0], hand[1] - 0.05), 0.042, 0.038, front + 0.02, look.skin))
        if wear.umbrella and side > 0:
            limbs += _umbrella(look, hand)
        if wear.bag in ("handbag", "case") and side > 0:
            half = 0.05 if wear.bag == "handbag" else 0.13
            low = hand[1] - 0.2
            limbs.append(
                Limb(
                    (hand[0] - half, low),
                    (hand[0] + half, low),
                    0.085,
                    0.085,
                    front + 0.03,
                    look.bag,
                )
            )
    limbs += _trunk(look, ahead, facing, shoulder, hip)
    return limbs + _head(look, ahead, facing)


def _umbrella(look: PersonLook, hand: tuple[float, float]) -> list[Limb]:
    top = 2.02
    limbs = [Limb(hand, (hand[0], top), 0.014, 0.014, 2.6, (0.05, 0.05, 0.05))]
    for index in range(5):
        reach = 0.14 * (index - 2)
        sag = 0.022 * (index - 2) * (index - 2)
        at = (hand[0] + reach * 1.5, top - sag)
        limbs.append(Limb(at, (hand[0], top + 0.1), 0.1, 0.05, 4.0, look.bag))
    return limbs


def _trunk(
    look: PersonLook, ahead: float, facing: float, shoulder: float, hip: float
) -> list[Limb]:
    wear = look.outfit
    wide = 0.105 * look.girth
    limbs = []
    for side in (-1, 1):
        a, b = (side * (shoulder - 0.05), 1.36), (side * hip, 0.93)
        limbs.append(Limb(a, b, wide, wide * 1.05, 1.8, look.top, wear.pattern, look.second))
    limbs.append(
        Limb((0, 1.36), (0, 0.93), wide, wide * 1.1, 1.81, look.top, wear.pattern, look.second)
    )
    hem = 0.86 - wear.coat
    if wear.coat > 0.1:
        flare = hip + 0.04
        for side in (-1, 1):
            limbs.append(
                Limb((side * hip, 0.95), (side * flare, hem), wide, wide * 1.2, 1.79, look.top,
                     "stripes" if wear.pattern == "stripes" else "", look.second)
            )  # fmt: skip
    if wear.legs == "skirt":
        for side in (-1, 0, 1):
            end = (side * (hip + 0.1), 0.58)
            pattern = "dots" if wear.pattern == "dots" else ""
            limbs.append(
                Limb((side * hip, 0.9), end, wide, 0.13, 1.7, look.bottom, pattern, look.second)
            )
    if wear.bag == "backpack":
        at = -0.2 * ahead
        front = 1.5 if facing > 0.3 else 2.2
        limbs.append(Limb((at, 1.3), (at, 1.02), 0.14, 0.16, front, look.bag))
    return limbs


def _head(look: PersonLook, ahead: float, facing: float) -> list[Limb]:
    wear = look.outfit
    nod = 0.03 * ahead
    limbs = [Limb((0, 1.42), (nod, 1.52), 0.055, 0.055, 1.85, look.skin)]
    limbs.append(Limb((nod, 1.58), (nod, 1.64), 0.088, 0.1, 2.1, look.skin))
    back = -0.035 * ahead
    hair_front = 2.3 if facing < 0.3 else 2.0
    if wear.hair != "none":
        limbs.append(Limb((back, 1.66), (back, 1.69), 0.105, 0.098, hair_front, look.hair))
        limbs.append(Limb((back, 1.71), (nod, 1.715), 0.085, 0.08, 2.2, look.hair))
    if wear.hair == "long":
        limbs.append(Limb((back * 2, 1.64), (back * 2.4, 1.4), 0.105, 0.1, hair_front, look.hair))
    if wear.hair == "bun":
        limbs.append(Limb((back * 3.2, 1.72), (back * 3.2, 1.76), 0.06, 0.055, 2.3, look.hair))
    if wear.hat:
        limbs += _hat(look, wear.hat, nod, ahead, facing)
    return limbs


def _hat(look: PersonLook, hat: str, nod: float, ahead: float, facing: float) -> list[Limb]:
    if hat == "hood":
        front = 2.4 if facing < 0.3 else 2.05
        return [Limb((-0.03 * ahead, 1.56), (-0.03 * ahead, 1.68), 0.13, 0.125, front, look.top)]
    crown = Limb((nod, 1.71), (nod, 1.745), 0.112, 0.095, 2.5, look.second)
    if hat == "beanie":
        return [crown, Limb((nod, 1.8), (nod, 1.84), 0.045, 0.04, 2.5, look.bag)]
    if hat == "sunhat":
        return [crown, Limb((nod - 0.2, 1.69), (nod + 0.2, 1.69), 0.035, 0.035, 2.6, look.second)]
    reach = nod + 0.17 * ahead
    return [crown, Limb((nod, 1.70), (reach, 1.69), 0.045, 0.03, 2.6, look.second)]


def ground_height(x: float, half_width: float) -> float:
    """Height of the ground under x: the road or the raised sidewalk."""
    return 0.0 if abs(x) < half_width else KERB
