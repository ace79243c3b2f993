"""Sun, sky, lamps and the shading of surfaces, in linear light."""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from minicity.camera import Mask, Vector
from minicity.noise import Array, Dice

Normal = Vector | Array


@dataclass(frozen=True)
class Light:
    """The light of one scene.

    ``sun`` is the unit vector towards the sun; colours are linear RGB radiance; ``fog`` is an
    inverse distance in 1/m; ``wet``, ``night`` and ``cloud`` run from 0 to 1; ``lamps`` are world
    positions of burning street lamps.
    """

    sun: Vector
    sun_colour: Vector
    ambient: Vector
    zenith: Vector
    horizon: Vector
    exposure: float
    cloud: float
    fog: float = 0.0015
    wet: float = 0.0
    night: float = 0.0
    lamps: tuple[Vector, ...] = ()

    def shade(
        self,
        albedo: Array,
        normal: Normal,
        points: Array,
        visibility: Array | float = 1.0,
        occlusion: Array | float = 1.0,
    ) -> Array:
        """Reflected light [3, n] of matt surfaces.

        ``albedo`` and ``points`` are [3, n], ``normal`` is [3, n] or one vector; ``visibility``
        scales the sun, ``occlusion`` the light of the sky, both [n] or one number.
        """
        facing = normal[0] * self.sun[0] + normal[1] * self.sun[1] + normal[2] * self.sun[2]
        direct = np.maximum(facing, 0.0) * visibility
        around = (0.62 + 0.38 * normal[1]) * occlusion
        glow = self.lamp_light(points)
        light = [
            self.sun_colour[i] * direct + self.ambient[i] * around + _LAMP[i] * glow
            for i in range(3)
        ]
        return np.stack([albedo[i] * light[i] for i in range(3)])

    def lamp_light(self, points: Array) -> Array | float:
        """Irradiance of the street lamps at ``points`` [3, n]."""
        glow: Array | float = 0.0
        for lamp in self.lamps:
            x, y, z = (points[i] - lamp[i] for i in range(3))
            square = x * x + y * y + z * z
            glow = glow + 9.0 / (6.0 + square * (1.0 + 0.01 * square))
        return glow


_LAMP = (1.0, 0.74, 0.42)


def unit(x: float, y: float, z: float) -> Vector:
    """The unit vector along (x, y, z)."""
    length = sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


def normalised(x: Array, y: Array, z: Array) -> Array:
    """Unit vectors [3, n] along the given components."""
    scale = 1.0 / np.sqrt(x * x + y * y + z * z)
    return np.stack([x * scale, y * scale, z * scale])


def power16(x: Array) -> Array:
    """The sixteenth power by repeated squaring."""
    x = x * x
    x = x * x
    x = x * x
    return x * x


_UP = (0.0, 1.0, 0.0)
_PRESETS = {
    "noon": Light(
        _UP, (2.5, 2.35, 2.1), (0.62, 0.74, 0.95), (0.10, 0.25, 0.62), (0.55, 0.70, 0.88), 0.95, 0.4
    ),
    "morning": Light(
        _UP,
        (2.3, 1.75, 1.15),
        (0.52, 0.58, 0.74),
        (0.18, 0.32, 0.60),
        (0.95, 0.78, 0.60),
        1.0,
        0.45,
    ),
    "evening": Light(
        _UP, (2.2, 1.25, 0.60), (0.48, 0.46, 0.60), (0.20, 0.25, 0.50), (1.10, 0.62, 0.34), 1.0, 0.5
    ),
    "overcast": Light(
        _UP, (0.22, 0.22, 0.22), (0.98, 1.0, 1.05), (0.55, 0.60, 0.66), (0.72, 0.76, 0.80), 1.0, 1.0
    ),
    "dusk": Light(
        _UP,
        (0.10, 0.09, 0.14),
        (0.26, 0.27, 0.42),
        (0.07, 0.09, 0.24),
        (0.55, 0.30, 0.28),
        1.5,
        0.5,
        night=0.7,
    ),
    "night": Light(
        _UP,
        (0.03, 0.04, 0.06),
        (0.085, 0.10, 0.16),
        (0.012, 0.018, 0.045),
        (0.07, 0.065, 0.08),
        2.1,
        0.4,
        night=1.0,
    ),
}
_HEIGHTS = {"noon": 1.3, "morning": 0.5, "evening": 0.34, "overcast": 1.5, "dusk": 0.6, "night": 1}
_TIMES = ("noon",) * 4 + ("morning",) * 3 + ("evening",) * 2 + ("overcast",) * 2 + ("dusk", "night")


def roll_light(dice: Dice) -> Light:
    """Draw time of day, weather and exposure."""
    time = dice.pick(_TIMES)
    light = _PRESETS[time]
    side = dice.sign() * dice.uniform(0.25, 1.0)
    sun = unit(side, _HEIGHTS[time] * dice.uniform(0.75, 1.3), dice.uniform(-1.0, 0.7))
    exposure = light.exposure * dice.uniform(0.95, 1.45)
    cloud = light.cloud * dice.uniform(0.4, 1.6)
    light = replace(light, sun=sun, exposure=exposure, cloud=min(cloud, 1.0))
    weather = dice.unit()
    if weather < 0.14:
        return replace(_veiled(light, 0.25), fog=dice.uniform(0.018, 0.045), wet=0.2)
    if weather < 0.34:
        return replace(_veiled(light, 0.12), fog=0.006, wet=dice.uniform(0.75, 1.0))
    return replace(light, fog=dice.uniform(0.0008, 0.004))


def _veiled(light: Light, sun: float) -> Light:
    """The light under closed clouds: ``sun`` is the share of sunlight that is left."""
    grey = (light.horizon[0] + light.horizon[1] + light.horizon[2]) / 3
    soft = tuple(0.35 * value + 0.65 * grey for value in light.horizon)
    horizon = soft[0], soft[1], soft[2]
    return replace(
        light,
        sun_colour=_scaled(light.sun_colour, sun),
        ambient=_scaled(light.ambient, 1.15),
        horizon=horizon,
        zenith=_scaled(horizon, 0.75),
        cloud=1.0,
    )


def _scaled(colour: Vector, factor: float) -> Vector:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def linear(red: int, green: int, blue: int) -> Vector:
    """Linear albedo of a display colour, 0..255 per channel."""
    return (red / 255) * (red / 255), (green / 255) * (green / 255), (blue / 255) * (blue / 255)


def tint(colour: Vector, amount: Array | float) -> Array:
    """``colour`` times ``amount`` [n], as [3, n]."""
    return np.stack([np.float32(channel) * np.asarray(amount, np.float32) for channel in colour])


def blend(colour: Array, other: Array | Vector, weight: Array | Mask) -> Array:
    """Mix [3, n] ``colour`` with ``other`` by ``weight`` [n]; 1 gives ``other``."""
    return np.stack([colour[i] + (other[i] - colour[i]) * weight for i in range(3)])
