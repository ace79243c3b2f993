"""Cars and people of a scene: who takes part, where they stand and how they move."""

from minicity.cast import instances
from minicity.noise import Dice
from minicity.placing import in_view
from minicity.spec import CAR, PERSON
from minicity.world import Actor, Ground, Track

_SIDEWAYS = 1.0
"""Half-angle tangent of a right angle."""


def roll_actors(
    dice: Dice, ground: Ground, track: Track, *, evaluation: bool, moving: bool
) -> tuple[Actor, ...]:
    """Draw the cars and people of a scene, mostly within the first frame's view."""
    placed: list[tuple[float, float, float]] = []
    actors = []
    count = 8 + dice.below(4) if moving else 4 + dice.below(4)
    for order, instance in enumerate(dice.sample(instances(CAR, evaluation), count)):
        far = 46.0 if moving else 30.0
        for _ in range(40):
            actor = _roll_car(dice, ground, instance, far, moving=moving)
            near = 6.5 if order < 2 else 9.0
            if _fits(actor, 2.7, placed, track, near, far):
                placed.append((actor.x, actor.z, 2.7))
                actors.append(actor)
                break
    count = 10 + dice.below(4) if moving else 5 + dice.below(5)
    for order, instance in enumerate(dice.sample(instances(PERSON, evaluation), count)):
        near, far = (4.5, 10.0) if order < 3 else (5.0, 20.0)
        for _ in range(40):
            actor = _roll_person(dice, ground, instance, far, moving=moving)
            if _fits(actor, 0.4, placed, track, near, far + (14.0 if moving else 0.0)):
                placed.append((actor.x, actor.z, 0.4))
                actors.append(actor)
                break
    return tuple(actors)


def _fits(
    actor: Actor,
    radius: float,
    placed: list[tuple[float, float, float]],
    track: Track,
    near: float,
    far: float,
) -> bool:
    if not in_view(track, actor.x, 0.8, actor.z, near, far):
        return False
    for x, z, other in placed:
        reach_x, reach_z = (radius + other) * 0.42, (radius + other) * 0.92
        if abs(actor.x - x) < reach_x and abs(actor.z - z) < reach_z:
            return False
    return True


def _roll_car(dice: Dice, ground: Ground, instance: int, far: float, *, moving: bool) -> Actor:
    half = ground.half_width
    side = dice.sign()
    z = dice.uniform(-12.0, far)
    manner = dice.unit()
    if manner < 0.5:
        turn = 0.0 if (side > 0) == dice.chance(0.9) else 100.0
        return Actor(instance, CAR, side * (half - 1.05), z, 0, 0, turn + _skew(dice), 0, 0)
    if manner < 0.66:
        turn = dice.sign() * _SIDEWAYS * dice.uniform(0.6, 1.5)
        x = side * half * dice.uniform(0.1, 0.9)
        crawl = dice.uniform(0.0, 0.02) if moving else 0.0
        # A moving camera must not drive through it.
        z = abs(z) + 22.0 if moving else z
        return Actor(instance, CAR, x, z, crawl if turn > 0 else -crawl, 0, turn, 0, 0)
    turn = 0.0 if side > 0 else 100.0
    speed = side * dice.uniform(0.12, 0.5) if moving else 0.0
    if moving and side < 0:
        z += 18.0 * dice.unit()
    return Actor(instance, CAR, side * half * 0.42, z, 0, speed, turn + _skew(dice), 0, 0)


def _skew(dice: Dice) -> float:
    return dice.uniform(-0.03, 0.03)


def _roll_person(dice: Dice, ground: Ground, instance: int, far: float, *, moving: bool) -> Actor:
    side = dice.sign()
    width = ground.sides[0 if side < 0 else 1].width
    x = side * (ground.half_width + dice.uniform(0.35, max(1.2, width - 0.4)))
    z = dice.uniform(-8.0, far + (14.0 if moving else 0.0))
    gait = dice.unit()
    manner = dice.unit()
    if manner < 0.25:
        return Actor(instance, PERSON, x, z, 0, 0, dice.uniform(-3.0, 3.0), gait, 0)
    pace = dice.uniform(0.085, 0.13)
    stride = pace * 0.62
    if manner < 0.4:
        across = dice.sign()
        x = dice.uniform(-1.0, 1.0) * ground.half_width
        z = z + 10.0 if moving else z
        return Actor(instance, PERSON, x, z, across * pace, 0, across * _SIDEWAYS, gait, stride)
    along = dice.sign()
    turn = (0.0 if along > 0 else 100.0) + _skew(dice) * 5
    return Actor(instance, PERSON, x, z, 0, along * pace, turn, gait, stride)
