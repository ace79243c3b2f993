"""The sky dome: gradient, sun glow, clouds and stars."""

import numpy as np

from minicity.camera import Canvas
from minicity.light import Light, blend, power16, tint
from minicity.noise import Array, cells, fbm, smoothstep
from minicity.spec import SKY


def sky_colour(light: Light, x: Array, y: Array, z: Array) -> Array:
    """Radiance [3, n] of the cloudless sky in the unit direction (x, y, z)."""
    height = np.maximum(y, 0.0)
    share = height * (2.4 / (1.0 + 1.4 * height))
    colour = blend(tint(light.horizon, 1.0 + 0 * x), light.zenith, np.minimum(share, 1.0))
    facing = np.maximum(x * light.sun[0] + y * light.sun[1] + z * light.sun[2], 0.0)
    glow = power16(facing)
    glow = 0.12 * glow + 0.4 * power16(glow)
    return np.stack([colour[i] + light.sun_colour[i] * glow for i in range(3)])


def draw_sky(canvas: Canvas, light: Light, seed: int) -> None:
    """Fill every sample that no surface has covered."""
    whole = slice(0, canvas.depth.shape[0]), slice(0, canvas.depth.shape[1])
    empty = canvas.semantic == SKY
    x, y, z = (canvas.rays[i][empty] for i in range(3))
    scale = 1.0 / np.sqrt(x * x + y * y + z * z)
    x, y, z = x * scale, y * scale, z * scale
    colour = sky_colour(light, x, y, z)
    lift = 1.0 / (np.maximum(y, 0.0) + 0.16)
    u, v = x * lift * 1.3, z * lift * 1.3
    dense = fbm(u, v, seed, 5)
    edge = 0.72 - 0.42 * light.cloud
    cover = smoothstep(edge, edge + 0.22, dense)
    toward = fbm(u + 0.35 * light.sun[0], v + 0.35 * light.sun[2], seed, 3)
    lit = np.clip(0.75 + 2.2 * (dense - toward), 0.25, 1.3)
    bright = [0.42 * light.sun_colour[i] + 0.55 * light.ambient[i] for i in range(3)]
    cloud = np.stack([0.25 * light.horizon[i] + 0.75 * bright[i] * lit for i in range(3)])
    colour = blend(colour, cloud, cover * smoothstep(-0.02, 0.12, y) * 0.92)
    if light.night >= 1.0:
        star = cells(x / (np.abs(z) + 0.2) * 160, y * 160, seed + 9) > 0.9965
        colour = colour + 0.25 * (star & (cover < 0.2))
    canvas.put(whole, empty, canvas.depth[empty], colour, SKY, 0)
