"""The parts that a street scene is made of, as plain data (metres, linear colours)."""

from dataclasses import dataclass

from minicity.camera import Camera, Vector
from minicity.light import Light

KERB = 0.14
"""Height of the sidewalk above the road."""


@dataclass(frozen=True)
class Side:
    """The ground beside the road, seen from the kerb outwards.

    ``strips`` are (end distance from the kerb, "grass" | "slabs" | "bricks"); ``beyond`` is the
    kind of everything further out.
    """

    strips: tuple[tuple[float, str], ...]
    beyond: str

    @property
    def width(self) -> float:
        """Distance from the kerb to the building line."""
        return self.strips[-1][0]


@dataclass(frozen=True)
class Ground:
    """Road and ground appearance; ``crossing`` is z of a zebra crossing or None."""

    half_width: float
    sides: tuple[Side, Side]
    asphalt: Vector
    paving: Vector
    grass: Vector
    dry_grass: Vector
    slab: float
    dashes: bool
    edge_lines: bool
    crossing: float | None
    seed: int


@dataclass(frozen=True)
class Building:
    """A block at ``side`` (-1 left, +1 right) whose facade stands at distance ``x``."""

    side: int
    x: float
    z0: float
    z1: float
    height: float
    depth: float
    slope: float
    material: str
    wall: Vector
    trim: Vector
    roof: Vector
    floor: float
    bay: float
    window: tuple[float, float]
    shop: bool
    seed: int


@dataclass(frozen=True)
class Tree:
    """A tree, bush or conifer; ``trunk`` is the trunk's radius."""

    x: float
    z: float
    height: float
    radius: float
    trunk: float
    kind: str
    leaf: Vector
    bark: Vector
    seed: int


@dataclass(frozen=True)
class Pole:
    """An upright post; ``arm`` is the reach of a lamp arm towards the road (0: none)."""

    x: float
    z: float
    height: float
    radius: float
    colour: Vector
    arm: float
    banded: bool
    seed: int


@dataclass(frozen=True)
class Sign:
    """A plate that faces the direction ``turn`` (half-angle tangent around y, 0: towards -z)."""

    x: float
    y: float
    z: float
    width: float
    height: float
    turn: float
    shape: str
    field: Vector
    border: Vector
    glyph: Vector
    seed: int


@dataclass(frozen=True)
class Actor:
    """A car or a person: straight motion in metres per frame, heading as half-angle tangent.

    ``gait`` is the walking phase at frame 0, ``stride`` its advance per frame (0: standing).
    """

    instance: int
    class_id: int
    x: float
    z: float
    speed_x: float
    speed_z: float
    turn: float
    gait: float
    stride: float

    def at(self, frame: int) -> tuple[float, float]:
        """Position (x, z) at a frame."""
        return self.x + self.speed_x * frame, self.z + self.speed_z * frame


@dataclass(frozen=True)
class Track:
    """The camera's path: start pose, motion per frame and the amplitude of its sway."""

    start: Camera
    speed: float
    drift: float
    sway: float
    bob: float
    phase: float


@dataclass(frozen=True)
class Scene:
    """Everything that a frame shows, before it is drawn."""

    seed: int
    light: Light
    ground: Ground
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    poles: tuple[Pole, ...]
    signs: tuple[Sign, ...]
    actors: tuple[Actor, ...]
    track: Track
