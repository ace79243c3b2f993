"""What stands where: draws a whole street scene from a seed."""

from dataclasses import replace

from minicity.actors import roll_actors
from minicity.camera import Camera, Vector
from minicity.light import linear, roll_light
from minicity.noise import Dice, wave
from minicity.spec import EVALUATION_SEEDS
from minicity.street import roll_posts
from minicity.world import Building, Ground, Scene, Side, Track, Tree

_WALLS = (
    (176, 150, 122), (150, 92, 72), (198, 190, 176), (128, 126, 122), (110, 86, 72),
    (150, 158, 160), (204, 184, 140), (118, 74, 62), (164, 142, 130), (96, 104, 112),
    (188, 168, 156), (140, 148, 126), (84, 80, 80), (214, 208, 200),
)  # fmt: skip
_TRIMS = ((214, 208, 198), (92, 84, 78), (150, 146, 140), (60, 64, 68), (170, 120, 90))
_ROOFS = ((122, 66, 50), (72, 70, 74), (96, 82, 72), (140, 90, 66))
_LEAVES = (
    (70, 104, 46), (52, 86, 44), (96, 116, 50), (60, 80, 56), (150, 124, 52), (146, 92, 46),
    (112, 112, 66), (80, 96, 40), (44, 70, 48), (124, 74, 52),
)  # fmt: skip
_GRASSES = ((92, 124, 54), (112, 124, 66), (140, 132, 84), (72, 104, 50), (104, 104, 62))
_ASPHALTS = ((92, 92, 94), (112, 110, 108), (128, 126, 124), (74, 76, 80), (120, 112, 104))
_PAVINGS = ((150, 146, 140), (128, 124, 120), (168, 158, 144), (142, 118, 102), (108, 108, 110))


def sample_scene(seed: int, *, moving: bool) -> Scene:
    """Draw scene ``seed``; ``moving`` gives the camera and the actors a path to go."""
    light = roll_light(Dice(seed, 1))
    ground = _roll_ground(Dice(seed, 2))
    track = _roll_track(Dice(seed, 3), ground, moving=moving)
    buildings = _roll_buildings(Dice(seed, 4), ground)
    poles, signs = roll_posts(Dice(seed, 5), ground, track)
    trees = _roll_trees(Dice(seed, 6), ground, track)
    evaluation = any(seed in seeds for seeds in EVALUATION_SEEDS)
    actors = roll_actors(Dice(seed, 7), ground, track, evaluation=evaluation, moving=moving)
    if light.night > 0:
        lamps = [
            (pole.x - (1 if pole.x > 0 else -1) * pole.arm, pole.height - 0.1, pole.z)
            for pole in poles
            if pole.arm > 0 and pole.z < track.start.position[2] + 45
        ]
        light = replace(light, lamps=tuple(lamps[:7]))
    return Scene(seed, light, ground, buildings, trees, poles, signs, actors, track)


def camera_at(track: Track, frame: int) -> Camera:
    """The camera's pose at a frame of its path."""
    x, y, z = track.start.position
    swing = wave(frame / 34 + track.phase) - wave(track.phase)
    bob = wave(frame / 7 + track.phase)
    position = (
        x + track.drift * frame,
        y + track.bob * bob,
        z + track.speed * frame,
    )
    return Camera(
        position,
        track.start.yaw + track.sway * swing,
        track.start.pitch + 0.12 * track.bob * wave(frame / 9),
        track.start.focal,
    )


def _colour(dice: Dice, table: tuple[tuple[int, int, int], ...]) -> Vector:
    red, green, blue = dice.pick(table)
    shift = dice.below(31) - 15
    return linear(
        red + shift, green + shift + dice.below(11) - 5, blue + shift + dice.below(11) - 5
    )


def _roll_ground(dice: Dice) -> Ground:
    return Ground(
        half_width=dice.uniform(3.6, 5.6),
        sides=(_roll_side(dice), _roll_side(dice)),
        asphalt=_colour(dice, _ASPHALTS),
        paving=_colour(dice, _PAVINGS),
        grass=_colour(dice, _GRASSES),
        dry_grass=_colour(dice, _GRASSES),
        slab=dice.pick((0.5, 0.6, 0.8, 1.2)),
        dashes=dice.chance(0.8),
        edge_lines=dice.chance(0.5),
        crossing=dice.uniform(8.0, 26.0) if dice.chance(0.45) else None,
        seed=dice.below(1 << 20),
    )


def _roll_side(dice: Dice) -> Side:
    paving = dice.pick(("slabs", "slabs", "bricks"))
    verge, walk = dice.uniform(1.2, 3.0), dice.uniform(2.2, 4.2)
    yard = dice.uniform(1.5, 4.5)
    layout = dice.unit()
    if layout < 0.4:
        strips: tuple[tuple[float, str], ...] = (
            (0.3 + verge, "grass"),
            (0.3 + verge + walk, paving),
        )
    elif layout < 0.65:
        strips = ((0.3 + walk, paving), (0.3 + walk + yard, "grass"))
    elif layout < 0.85:
        end = 0.3 + verge + walk
        strips = ((0.3 + verge, "grass"), (end, paving), (end + yard, "grass"))
    else:
        strips = ((0.6 + walk * 1.4, paving),)
    return Side(strips, dice.pick(("grass", "grass", paving)))


def _roll_track(dice: Dice, ground: Ground, *, moving: bool) -> Track:
    half = ground.half_width
    if moving:
        x, yaw = half * dice.uniform(0.1, 0.55), dice.uniform(-0.12, 0.12)
    elif dice.chance(0.12):
        side = dice.sign()
        x, yaw = -side * half * dice.uniform(0.3, 1.15), side * dice.uniform(0.32, 0.85)
    else:
        x, yaw = dice.uniform(-1.1, 1.1) * half, dice.uniform(-0.2, 0.2)
        if abs(x) > half * 0.6 and x * yaw > 0:
            yaw = -yaw
    y = dice.uniform(1.3, 2.5) + (0.6 if dice.chance(0.2) else 0.0)
    camera = Camera((x, y, 0.0), yaw, dice.uniform(-0.06, 0.05), dice.uniform(145.0, 240.0))
    if not moving:
        return Track(camera, 0.0, 0.0, 0.0, 0.0, 0.0)
    speed = dice.uniform(0.16, 0.36)
    drift = dice.uniform(-0.012, 0.012)
    return Track(
        camera, speed, drift, dice.uniform(0.05, 0.13), dice.uniform(0.01, 0.03), dice.unit()
    )


def _roll_buildings(dice: Dice, ground: Ground) -> tuple[Building, ...]:
    buildings = []
    end = dice.uniform(75.0, 120.0)
    for index, side in enumerate((-1, 1)):
        line = ground.half_width + ground.sides[index].width
        houses = dice.chance(0.45)
        z = -14.0 - dice.uniform(0.0, 10.0)
        while z < end:
            width = dice.uniform(8.0, 14.0) if houses else dice.uniform(10.0, 22.0)
            buildings.append(_roll_building(dice, side, line, z, width, houses))
            if houses or dice.chance(0.25):
                z += dice.uniform(2.5, 8.0)
            z += width
        far = _roll_building(dice, side, 0.0, end + 6.0, 14.0, False)
        buildings.append(replace(far, depth=dice.uniform(14.0, 40.0)))
    return tuple(buildings)


def _roll_building(
    dice: Dice, side: int, line: float, z: float, width: float, house: bool
) -> Building:
    floor = dice.uniform(2.8, 3.5)
    floors = 1 + dice.below(2) if house else 2 + dice.below(4)
    setback = dice.uniform(0.0, 2.0) if house else dice.pick((0.0, 0.0, 0.6))
    materials = ("brick", "plaster", "wood") if house else ("brick", "plaster", "panel", "glass")
    return Building(
        side=side,
        x=line + setback,
        z0=z,
        z1=z + width,
        height=floors * floor + dice.uniform(0.3, 0.8),
        depth=dice.uniform(8.0, 12.0),
        slope=dice.uniform(0.5, 1.0) if house or dice.chance(0.15) else 0.0,
        material=dice.pick(materials),
        wall=_colour(dice, _WALLS),
        trim=_colour(dice, _TRIMS),
        roof=_colour(dice, _ROOFS),
        floor=floor,
        bay=dice.uniform(2.0, 3.6),
        window=(dice.uniform(0.36, 0.6), dice.uniform(0.42, 0.62)),
        shop=not house and dice.chance(0.55),
        seed=dice.below(1 << 20),
    )


def _roll_trees(dice: Dice, ground: Ground, track: Track) -> tuple[Tree, ...]:
    trees = []
    leaf = _colour(dice, _LEAVES)
    for index, side in enumerate((-1, 1)):
        line = ground.sides[index]
        kind = dice.pick(("round", "round", "round", "oval", "conifer"))
        spacing = dice.uniform(7.0, 16.0)
        offset = 0.9 if line.strips[0][1] == "grass" else line.width - 0.8
        z = dice.uniform(-6.0, 6.0)
        while z < 85:
            if dice.chance(0.65):
                x = side * (ground.half_width + offset + dice.uniform(-0.2, 0.3))
                trees.append(_roll_tree(dice, x, z, kind, leaf))
            z += spacing * dice.uniform(0.8, 1.3)
        for _ in range(dice.below(5)):
            x = side * (ground.half_width + line.width + dice.uniform(-1.2, 0.2))
            trees.append(_roll_tree(dice, x, dice.uniform(3.0, 40.0), "bush", leaf))
        for _ in range(5):
            x = side * (ground.half_width + line.width + dice.uniform(11.0, 20.0))
            trees.append(_roll_tree(dice, x, dice.uniform(-10.0, 90.0), "round", leaf))
    # No crown may hang in front of the lens, nor stand close beside a moving camera's path.
    x, _, z = track.start.position
    path = 3.5 + 44.0 * track.speed
    return tuple(
        tree
        for tree in trees
        if abs(tree.x - x) > 2.2 + tree.radius * 0.4 or abs(tree.z - z) > path
    )


def _roll_tree(dice: Dice, x: float, z: float, kind: str, leaf: Vector) -> Tree:
    if dice.chance(0.4):
        leaf = _colour(dice, _LEAVES)
    height = dice.uniform(0.9, 1.8) if kind == "bush" else dice.uniform(4.5, 9.0)
    wide = {"bush": 0.75, "round": 0.36, "oval": 0.24, "conifer": 0.25}[kind]
    return Tree(
        x=x,
        z=z,
        height=height,
        radius=height * wide * dice.uniform(0.85, 1.15),
        trunk=0.03 * height * dice.uniform(0.7, 1.2),
        kind=kind,
        leaf=leaf,
        bark=_colour(dice, ((96, 78, 60), (84, 76, 68), (120, 110, 98), (66, 54, 46))),
        seed=dice.below(1 << 20),
    )
