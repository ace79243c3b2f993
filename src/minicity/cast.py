"""The cast: car models and outfits (fine classes), and the instances that wear them."""

from dataclasses import dataclass
from functools import cache

from minicity.camera import Vector
from minicity.light import linear
from minicity.noise import Dice
from minicity.spec import CAR, PERSON

CARS = 100
PERSONS = 100
FIRST_CAR = 1
FIRST_PERSON = FIRST_CAR + CARS


@dataclass(frozen=True)
class CarModel:
    """A body shape. Lengths in metres; z runs from the tail (-) to the nose (+).

    ``cabin`` gives z of rear window foot, rear roof edge, front roof edge and windscreen foot.
    ``pillars`` are z of the posts between side windows. ``stripe`` is 0 none, 1 one belt line,
    2 two lines over bonnet and roof, 3 checker band.
    """

    name: str
    length: float
    width: float
    belt: float
    height: float
    nose: float
    tail: float
    cabin: tuple[float, float, float, float]
    pillars: tuple[float, ...]
    wheel: float = 0.33
    clearance: float = 0.22
    rack: bool = False
    stripe: int = 0
    blind: bool = False
    sign: bool = False
    bed: bool = False


MODELS = (
    CarModel("hatchback", 3.9, 1.72, 0.95, 1.48, 0.80, 0.95, (-1.9, -1.5, 0.25, 1.05), (-0.2,)),
    CarModel("sedan", 4.6, 1.80, 0.92, 1.42, 0.76, 0.88, (-1.6, -0.85, 0.35, 1.15), (-0.25,)),
    CarModel(
        "wagon", 4.7, 1.80, 0.93, 1.48, 0.77, 0.93, (-2.28, -2.0, 0.35, 1.15), (-1.15, -0.2),
        rack=True,
    ),
    CarModel(
        "suv", 4.6, 1.90, 1.15, 1.78, 1.02, 1.15, (-2.22, -1.9, 0.3, 1.0), (-1.15, -0.2),
        wheel=0.39, clearance=0.32, rack=True,
    ),
    CarModel(
        "van", 4.9, 1.92, 1.18, 2.05, 0.98, 1.18, (-2.4, -2.3, 1.0, 1.8), (0.2,), blind=True,
    ),
    CarModel(
        "pickup", 5.1, 1.90, 1.02, 1.75, 0.98, 1.02, (-0.75, -0.55, 0.55, 1.15), (), wheel=0.4,
        clearance=0.34, bed=True,
    ),
    CarModel(
        "coupe", 4.3, 1.82, 0.82, 1.24, 0.66, 0.80, (-1.85, -0.75, 0.05, 0.95), (), stripe=2,
    ),
    CarModel("mini", 3.3, 1.60, 0.95, 1.50, 0.82, 0.95, (-1.6, -1.4, 0.15, 0.8), (), wheel=0.28),
    CarModel(
        "taxi", 4.6, 1.80, 0.93, 1.45, 0.78, 0.9, (-1.65, -0.95, 0.35, 1.15), (-0.25,), stripe=3,
        sign=True,
    ),
    CarModel(
        "minibus", 5.2, 1.98, 1.12, 2.25, 1.05, 1.12, (-2.58, -2.5, 1.7, 2.25),
        (-1.5, -0.5, 0.5, 1.4), stripe=1, wheel=0.36,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Outfit:
    """What a person wears: garments, pattern and carried things; colours are personal.

    ``pattern`` of the upper garment: plain, stripes, checks, dots, block, vest.
    ``coat`` is how far it hangs below the hip in metres; ``legs`` is trousers, shorts or skirt.
    """

    name: str
    pattern: str
    legs: str
    coat: float = 0.05
    hat: str = ""
    bag: str = ""
    hair: str = "short"
    umbrella: bool = False
    sleeves: bool = True


OUTFITS = (
    Outfit("tshirt_shorts", "plain", "shorts", sleeves=False),
    Outfit("striped_jeans", "stripes", "trousers", hair="long"),
    Outfit("checked_cap", "checks", "trousers", hat="cap"),
    Outfit("long_coat", "plain", "trousers", coat=0.5, bag="handbag", hair="long"),
    Outfit("dotted_skirt", "dots", "skirt", hair="bun", sleeves=False),
    Outfit("hoodie_backpack", "plain", "trousers", hat="hood", bag="backpack"),
    Outfit("worker_vest", "vest", "trousers", hat="helmet", hair="none"),
    Outfit("block_jacket", "block", "trousers", hat="beanie"),
    Outfit("suit_briefcase", "suit", "trousers", coat=0.14, bag="case"),
    Outfit("sunhat_dress", "plain", "skirt", coat=0.1, hat="sunhat", hair="long", sleeves=False),
    Outfit("umbrella_coat", "block", "trousers", coat=0.42, umbrella=True),
    Outfit("striped_shorts_pack", "stripes", "shorts", hat="cap", bag="backpack"),
)


@dataclass(frozen=True)
class CarLook:
    """Paint and personal marks of one car; colours are linear RGB."""

    model: CarModel
    paint: Vector
    accent: Vector
    two_tone: int
    belt: bool
    decal: int
    decal_z: float
    dirt: float
    rim: int
    grime_seed: int


@dataclass(frozen=True)
class PersonLook:
    """Body and colours of one person; colours are linear RGB."""

    outfit: Outfit
    height: float
    girth: float
    skin: Vector
    hair: Vector
    top: Vector
    second: Vector
    bottom: Vector
    shoes: Vector
    bag: Vector


_PAINTS = (
    (200, 202, 204), (160, 164, 168), (118, 122, 126), (80, 84, 88), (48, 50, 54), (222, 220, 212),
    (140, 128, 112), (128, 44, 40), (52, 74, 112), (66, 92, 74), (166, 146, 96), (104, 112, 122),
    (150, 84, 58), (88, 110, 134), (60, 62, 58), (186, 176, 158),
)  # fmt: skip
_CLOTHES = (
    (58, 62, 70), (92, 96, 104), (128, 124, 118), (176, 170, 160), (64, 76, 104), (96, 74, 62),
    (124, 60, 56), (72, 92, 68), (150, 130, 96), (210, 206, 198), (98, 90, 112), (160, 104, 70),
    (84, 110, 124), (44, 44, 48), (186, 150, 80), (140, 84, 96),
)  # fmt: skip
_SKINS = ((224, 180, 150), (198, 150, 120), (160, 112, 84), (112, 76, 58), (82, 56, 44))
_HAIRS = ((40, 32, 28), (70, 50, 36), (110, 82, 52), (168, 138, 88), (120, 116, 112), (100, 50, 30))


def _colour(dice: Dice, table: tuple[tuple[int, int, int], ...]) -> Vector:
    """One entry of a colour table, a little off."""
    red, green, blue = dice.pick(table)
    shift = dice.below(25) - 12
    return linear(red + shift, green + shift + dice.below(9) - 4, blue + shift + dice.below(9) - 4)


@cache
def car_look(instance: int) -> CarLook:
    """The look of a car of the cast."""
    dice = Dice(71, instance)
    return CarLook(
        model=MODELS[instance % len(MODELS)],
        paint=_colour(dice, _PAINTS),
        accent=_colour(dice, _PAINTS),
        two_tone=dice.pick((0, 0, 0, 1, 2)),
        belt=dice.chance(0.3),
        decal=dice.pick((0, 0, 1, 2, 3)),
        decal_z=dice.uniform(-0.9, 0.5),
        dirt=dice.uniform(0.0, 0.8),
        rim=4 + dice.below(4),
        grime_seed=dice.below(1000),
    )


@cache
def person_look(instance: int) -> PersonLook:
    """The look of a person of the cast."""
    dice = Dice(72, instance)
    return PersonLook(
        outfit=OUTFITS[instance % len(OUTFITS)],
        height=dice.uniform(1.55, 1.95),
        girth=dice.uniform(0.9, 1.2),
        skin=linear(*dice.pick(_SKINS)),
        hair=linear(*dice.pick(_HAIRS)),
        top=_colour(dice, _CLOTHES),
        second=_colour(dice, _CLOTHES),
        bottom=_colour(dice, _CLOTHES),
        shoes=linear(*dice.pick(_CLOTHES)),
        bag=_colour(dice, _CLOTHES),
    )


def instances(class_id: int, evaluation: bool) -> list[int]:
    """Instance ids of one class in one half of the cast; all fine classes occur in both."""
    first, count = (FIRST_CAR, CARS) if class_id == CAR else (FIRST_PERSON, PERSONS)
    half = count // 2
    start = first + half if evaluation else first
    return list(range(start, start + half))


def table() -> list[tuple[int, int, str]]:
    """All instances as (instance id, class id, fine class name)."""
    rows = [(i, CAR, car_look(i).model.name) for i in range(FIRST_CAR, FIRST_CAR + CARS)]
    last = FIRST_PERSON + PERSONS
    return rows + [(i, PERSON, person_look(i).outfit.name) for i in range(FIRST_PERSON, last)]
