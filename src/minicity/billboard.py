"""Upright planes that face the camera: the drawing board of trees, poles and people."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from minicity.camera import NEAR, Canvas, Mask, Vector, Window, rotation
from minicity.noise import Array


@dataclass(frozen=True)
class Billboard:
    """The samples of a window on an upright plane through a foot point.

    ``u`` metres to the right of the foot, ``v`` metres above the ground, ``depth`` metres; all
    [rows, columns].
    """

    canvas: Canvas
    window: Window
    depth: Array
    u: Array
    v: Array
    right: Vector
    toward: Vector

    @classmethod
    def at(
        cls, canvas: Canvas, x: float, z: float, low: float, high: float, half: float
    ) -> Self | None:
        """The plane through (x, 0, z), from ``low`` to ``high`` and ``half`` to either side."""
        cos, sin = rotation(canvas.camera.yaw)
        reach_x, reach_z = half * cos, -half * sin
        window = canvas.camera.window(
            [(x + s * reach_x, y, z + s * reach_z) for s in (-1, 1) for y in (low, high)]
        )
        at_x, at_y, at_z = canvas.camera.position
        distance = (x - at_x) * sin + (z - at_z) * cos
        if window is None or distance < 3 * NEAR:
            return None
        rays = canvas.rays[:, window[0], window[1]]
        depth = distance / np.maximum(rays[0] * np.float32(sin) + rays[2] * np.float32(cos), 0.01)
        u = depth * (rays[0] * np.float32(cos) - rays[2] * np.float32(sin))
        u -= np.float32((x - at_x) * cos - (z - at_z) * sin)
        v = at_y + depth * rays[1]
        return cls(canvas, window, depth, u, v, (cos, 0.0, -sin), (-sin, 0.0, -cos))

    def visible(self, mask: Mask) -> Mask:
        """The samples of ``mask`` that nothing nearer covers."""
        return mask & (self.depth < self.canvas.depth[self.window])

    def normal(self, across: Array, up: Array, out: Array) -> Array:
        """World normals [3, n] from components along u, v and towards the camera."""
        return np.stack(
            [
                across * np.float32(self.right[0]) + out * np.float32(self.toward[0]),
                up,
                across * np.float32(self.right[2]) + out * np.float32(self.toward[2]),
            ]
        )

    def put(self, hit: Mask, colour: Array, class_id: int, instance: int = 0) -> None:
        """Write the samples ``hit`` [rows, columns] with colours [3, n]."""
        self.canvas.put(self.window, hit, self.depth[hit], colour, class_id, instance)
