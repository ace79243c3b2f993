"""The pinhole camera and the supersampled canvas that surfaces are drawn on.

World axes in metres: x to the right across the street, y up, z along the street.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minicity.noise import Array
from minicity.spec import HEIGHT, SKY, WIDTH

Vector = tuple[float, float, float]
Window = tuple[slice, slice]
Mask = NDArray[np.bool_]

SCALE = 2
"""Samples per pixel and axis."""
FAR = 400.0
"""Depth in metres at which everything has faded into the horizon."""
NEAR = 0.35


def rotation(half_tangent: float) -> tuple[float, float]:
    """Cosine and sine of an angle from the tangent of its half, with exact operations only."""
    square = half_tangent * half_tangent
    return (1 - square) / (1 + square), 2 * half_tangent / (1 + square)


@dataclass(frozen=True)
class Camera:
    """Position in metres, half-angle tangents of yaw and pitch, focal length in pixels."""

    position: Vector
    yaw: float
    pitch: float
    focal: float

    def axes(self) -> tuple[Vector, Vector, Vector]:
        """Unit vectors to the right, up and forward."""
        cos_yaw, sin_yaw = rotation(self.yaw)
        cos_pitch, sin_pitch = rotation(self.pitch)
        return (
            (cos_yaw, 0.0, -sin_yaw),
            (-sin_yaw * sin_pitch, cos_pitch, -cos_yaw * sin_pitch),
            (sin_yaw * cos_pitch, sin_pitch, cos_yaw * cos_pitch),
        )

    def rays(self) -> Array:
        """Directions of all samples, [3, rows, columns], with forward component 1."""
        cols = (np.arange(WIDTH * SCALE, dtype=np.float32) + 0.5) / SCALE - WIDTH / 2
        rows = HEIGHT / 2 - (np.arange(HEIGHT * SCALE, dtype=np.float32) + 0.5) / SCALE
        u, v = cols[None, :] / self.focal, rows[:, None] / self.focal
        right, up, forward = self.axes()
        return np.stack([forward[i] + u * right[i] + v * up[i] for i in range(3)])

    def project(self, point: Vector) -> Vector:
        """Column, row (pixels, origin at the top left corner) and depth in metres."""
        offset = [point[i] - self.position[i] for i in range(3)]
        x, y, depth = (
            axis[0] * offset[0] + axis[1] * offset[1] + axis[2] * offset[2] for axis in self.axes()
        )
        scale = self.focal / (depth if depth > NEAR else NEAR)
        return WIDTH / 2 + x * scale, HEIGHT / 2 - y * scale, depth

    def window(self, points: Sequence[Vector]) -> Window | None:
        """Canvas window around the convex hull of ``points``; None if out of view."""
        shown = [self.project(point) for point in points]
        if all(depth <= NEAR for _, _, depth in shown):
            return None
        if any(depth <= NEAR for _, _, depth in shown):
            return slice(0, HEIGHT * SCALE), slice(0, WIDTH * SCALE)
        left = _clamp(min(col for col, _, _ in shown) * SCALE - 1, WIDTH * SCALE)
        right = _clamp(max(col for col, _, _ in shown) * SCALE + 2, WIDTH * SCALE)
        top = _clamp(min(row for _, row, _ in shown) * SCALE - 1, HEIGHT * SCALE)
        bottom = _clamp(max(row for _, row, _ in shown) * SCALE + 2, HEIGHT * SCALE)
        if left >= right or top >= bottom:
            return None
        return slice(top, bottom), slice(left, right)


def _clamp(value: float, limit: int) -> int:
    return int(min(max(value, 0.0), float(limit)))


class Canvas:
    """Sample buffers of one frame; surfaces may be drawn in any order."""

    def __init__(self, camera: Camera) -> None:
        """Start with empty sky at infinity, seen by ``camera``."""
        shape = HEIGHT * SCALE, WIDTH * SCALE
        self.camera = camera
        self.rays = camera.rays()
        self.depth: Array = np.full(shape, FAR, np.float32)
        self.colour: Array = np.zeros((3, *shape), np.float32)
        self.gloss: Array = np.zeros(shape, np.float32)
        self.semantic: NDArray[np.uint8] = np.full(shape, SKY, np.uint8)
        self.instance: NDArray[np.uint16] = np.zeros(shape, np.uint16)

    def points(self, window: Window, hit: Mask, depth: Array) -> Array:
        """World positions, [3, n], of the samples ``hit`` at the n given depths."""
        rays = self.rays[:, window[0], window[1]]
        position = self.camera.position
        return np.stack([position[i] + depth * rays[i][hit] for i in range(3)])

    def put(
        self, window: Window, hit: Mask, depth: Array, colour: Array, class_id: int, instance: int
    ) -> None:
        """Write the samples ``hit`` of a window: depth [n] and linear colour [3, n]."""
        self.depth[window][hit] = depth
        for i in range(3):
            self.colour[i][window][hit] = colour[i]
        self.semantic[window][hit] = class_id
        self.instance[window][hit] = instance
