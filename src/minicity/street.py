"""Lamp posts, utility poles, bollards and signs: where they stand."""

from minicity.camera import Vector
from minicity.light import linear
from minicity.noise import Dice
from minicity.placing import in_view
from minicity.world import KERB, Ground, Pole, Sign, Track

_METALS = (
    (96, 100, 102), (140, 142, 140), (60, 66, 62), (74, 70, 68), (120, 100, 82), (168, 164, 156),
    (84, 96, 92),
)  # fmt: skip
_WHITE, _BLACK, _RED = linear(226, 224, 218), linear(34, 34, 36), linear(170, 44, 40)
_BLUE, _GREEN, _YELLOW = linear(48, 84, 148), linear(52, 110, 78), linear(206, 170, 66)
_BROWN, _GREY = linear(124, 84, 60), linear(150, 152, 150)
_LIVERIES: tuple[tuple[str, Vector, Vector, Vector], ...] = (
    ("circle", _WHITE, _RED, _BLACK),
    ("triangle", _WHITE, _RED, _BLACK),
    ("octagon", _RED, _WHITE, _WHITE),
    ("circle", _BLUE, _WHITE, _WHITE),
    ("square", _BLUE, _WHITE, _WHITE),
    ("diamond", _YELLOW, _BLACK, _BLACK),
    ("board", _GREEN, _WHITE, _WHITE),
    ("board", _BLUE, _WHITE, _WHITE),
    ("board", _YELLOW, _BLACK, _BLACK),
    ("board", _WHITE, _BLACK, _BLACK),
    ("board", _BROWN, _WHITE, _WHITE),
    ("board", _GREY, _WHITE, _BLACK),
)


def roll_posts(
    dice: Dice, ground: Ground, track: Track
) -> tuple[tuple[Pole, ...], tuple[Sign, ...]]:
    """Draw the poles and signs of a street; some of them near the camera."""
    poles: list[Pole] = []
    signs: list[Sign] = []
    half = ground.half_width
    camera = track.start.position
    metal = linear(*dice.pick(_METALS))
    for side in (-1, 1):
        z, gap = dice.uniform(-4.0, 12.0), dice.uniform(15.0, 24.0)
        while z < 90:
            poles.append(_lamp(dice, side * (half + 0.55), z, metal))
            z += gap
    for _ in range(1 + dice.below(2)):
        x, z = _spot(dice, ground, track, 3.6, 9.0)
        wooden = dice.chance(0.5)
        radius = dice.uniform(0.13, 0.24)
        colour = linear(*(dice.pick(((112, 94, 76), (138, 134, 126), (88, 76, 66)))))
        poles.append(Pole(x, z, dice.uniform(6.5, 9.0), radius, colour, 0.0, not wooden, 1))
    for index in range(3 + dice.below(3)):
        near, far = (4.0, 10.0) if index < 2 else (8.0, 32.0)
        x, z = _spot(dice, ground, track, near, far)
        _add_sign(dice, poles, signs, x, z, big=dice.chance(0.3), track=track)
    for _ in range(dice.below(8)):
        x, z = _spot(dice, ground, track, 4.0, 16.0)
        colour = linear(*dice.pick(_METALS))
        poles.append(
            Pole(x, z, dice.uniform(0.9, 1.15), dice.uniform(0.06, 0.13), colour, 0, True, 3)
        )
    kept = tuple(p for p in poles if abs(p.x - camera[0]) > 0.9 or abs(p.z - camera[2]) > 2.5)
    return kept, tuple(signs)


def _lamp(dice: Dice, x: float, z: float, colour: Vector) -> Pole:
    return Pole(x, z, dice.uniform(5.2, 7.0), 0.085, colour, dice.uniform(0.9, 1.6), False, 0)


def _spot(dice: Dice, ground: Ground, track: Track, near: float, far: float) -> tuple[float, float]:
    """A place beside the kerb that the camera sees, if one is found in a few tries."""
    x = z = 0.0
    for _ in range(24):
        x = dice.sign() * (ground.half_width + dice.pick((0.45, 0.6, 0.9, 2.2)))
        z = dice.uniform(-far, far + 14.0 * (track.speed > 0))
        if in_view(track, x, 1.0, z, near, far + 40 * track.speed):
            break
    return x, z


def _add_sign(
    dice: Dice, poles: list[Pole], signs: list[Sign], x: float, z: float, *, big: bool, track: Track
) -> None:
    """A sign on its own post (boards that are big hang on two posts)."""
    shape, field, border, glyph = dice.pick(_LIVERIES[6:] if big else _LIVERIES)
    board = shape == "board"
    size = dice.uniform(0.62, 0.95)
    width = dice.uniform(1.3, 2.0) if big else size * (1.3 if board else 1.0)
    height = dice.uniform(0.8, 1.2) if big else size * (0.75 if board else 1.0)
    y = KERB + dice.uniform(1.6, 2.5) + height / 2
    toward = track.start.yaw
    turn = toward * dice.uniform(0.3, 1.0) + dice.uniform(-0.12, 0.12)
    colour = linear(*dice.pick(_METALS))
    if big:
        for shift in (-0.36, 0.36):
            poles.append(Pole(x + shift * width, z + 0.06, y, 0.06, colour, 0.0, False, 2))
    else:
        poles.append(Pole(x, z + 0.06, y + height * 0.4, 0.045, colour, 0.0, False, 2))
    signs.append(
        Sign(x, y, z, width, height, turn, shape, field, border, glyph, dice.below(1 << 16))
    )
    if not big and dice.chance(0.35):
        below = Sign(
            x, y - height / 2 - 0.24, z, width * 0.9, 0.36, turn, "board", _WHITE, _BLACK, _BLACK, 5
        )
        signs.append(below)
