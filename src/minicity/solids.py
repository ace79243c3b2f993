"""Ray-casting of convex solids in the local frame of a vehicle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minicity.camera import Canvas, Mask, Vector, Window
from minicity.noise import Array

Plane = tuple[float, float, float, float]
"""Unit normal (x, y, z) and offset: inside is normal . point <= offset."""


@dataclass(frozen=True)
class LocalRays:
    """Rays of a canvas window in a frame that stands at (x, z) with heading (cos, sin).

    Local axes: x across, y up, z ahead. ``direction`` is [3, rows, columns].
    """

    window: Window
    origin: Vector
    direction: Array
    cos: float
    sin: float

    @classmethod
    def of(
        cls, canvas: Canvas, window: Window, x: float, z: float, cos: float, sin: float
    ) -> "LocalRays":
        """Turn the canvas rays of a window into the local frame."""
        rays = canvas.rays[:, window[0], window[1]]
        at_x, at_y, at_z = canvas.camera.position
        dx, dz = at_x - x, at_z - z
        c, s = np.float32(cos), np.float32(sin)
        direction = np.stack([rays[0] * c - rays[2] * s, rays[1], rays[0] * s + rays[2] * c])
        return cls(window, (dx * cos - dz * sin, at_y, dx * sin + dz * cos), direction, cos, sin)

    def to_world(self, normal: Array) -> Array:
        """Turn local vectors [3, n] back to world axes."""
        c, s = np.float32(self.cos), np.float32(self.sin)
        return np.stack([normal[0] * c + normal[2] * s, normal[1], normal[2] * c - normal[0] * s])

    def enter(self, planes: tuple[Plane, ...]) -> tuple[Array, NDArray[np.int8]]:
        """Depth where rays enter the convex solid (infinite if missed) and the plane's index."""
        shape = self.direction.shape[1:]
        first = np.full(shape, 0.05, np.float32)
        last = np.full(shape, 1e6, np.float32)
        index = np.full(shape, -1, np.int8)
        for number, (x, y, z, offset) in enumerate(planes):
            slope = x * self.direction[0] + y * self.direction[1] + z * self.direction[2]
            start = x * self.origin[0] + y * self.origin[1] + z * self.origin[2]
            slope = np.where(np.abs(slope) < 1e-6, np.float32(1e-6), slope)
            at = (offset - start) / slope
            enters = slope < 0
            later = enters & (at > first)
            first = np.where(later, at, first)
            index[later] = number
            last = np.where(enters, last, np.minimum(last, at))
        missed = (index < 0) | (first >= last)
        return np.where(missed, np.float32(np.inf), first), index

    def axle(self, y: float, z: float, radius: float) -> Array:
        """Depth where rays enter the infinite cylinder across the vehicle (infinite if missed)."""
        dy, dz = self.direction[1], self.direction[2]
        oy, oz = self.origin[1] - y, self.origin[2] - z
        a = dy * dy + dz * dz + np.float32(1e-9)
        b = dy * oy + dz * oz
        c = oy * oy + oz * oz - radius * radius
        root = b * b - a * c
        at = (-b - np.sqrt(np.maximum(root, 0.0))) / a
        return np.where((root > 0) & (at > 0.05), at, np.float32(np.inf))

    def points(self, hit: Mask, depth: Array) -> Array:
        """Local positions [3, n] of the samples ``hit`` at depths [n]."""
        return np.stack([self.origin[i] + depth * self.direction[i][hit] for i in range(3)])
