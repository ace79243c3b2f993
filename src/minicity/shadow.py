"""What hides the sun and the sky from a point: buildings, trees, poles, cars and people."""

from dataclasses import dataclass

import numpy as np

from minicity.camera import Vector
from minicity.noise import Array, fbm, smoothstep
from minicity.world import Building, Pole, Tree


@dataclass(frozen=True)
class Caster:
    """A movable shadow caster on the ground: centre, heading (cos, sin), half sizes and height.

    ``boxes`` are (half length, height, z shift) of stacked boxes; ``half_width`` in metres.
    """

    x: float
    y: float
    z: float
    cos: float
    sin: float
    half_width: float
    boxes: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Occluders:
    """Everything that casts a shadow in one frame."""

    sun: Vector
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    poles: tuple[Pole, ...]
    casters: tuple[Caster, ...]

    def from_buildings(self, points: Array) -> Array:
        """Share of the sun, [n], that buildings leave at ``points`` [3, n]."""
        x, y, z = points
        share = np.ones(x.shape, np.float32)
        side = 1 if self.sun[0] > 0 else -1
        slope_y, slope_z = self.sun[1] / abs(self.sun[0]), self.sun[2] / abs(self.sun[0])
        for building in self.buildings:
            if building.side != side:
                continue
            run = np.maximum(building.x - side * x, 0.0)
            at_z, at_y = z + run * slope_z, y + run * slope_y
            inside = (at_z > building.z0) & (at_z < building.z1) & (run > 0.02)
            soft = smoothstep(-0.25, 0.15, at_y - building.height)
            share = np.where(inside, np.minimum(share, soft), share)
        return share

    def from_trees(self, points: Array) -> Array:
        """Share of the sun, [n], that tree crowns leave at ``points`` [3, n]."""
        share = np.ones(points[0].shape, np.float32)
        holes: Array | None = None
        for tree in self.trees:
            x, y, z = tree.x - points[0], tree.height * 0.68 - points[1], tree.z - points[2]
            along = x * self.sun[0] + y * self.sun[1] + z * self.sun[2]
            square = x * x + y * y + z * z - along * along
            limit = 1.5 * tree.radius * tree.radius
            near = np.flatnonzero((square < limit) & (along > 0.2))
            if near.size == 0:
                continue
            if holes is None:
                holes = fbm(points[0] * 1.7 + points[1], points[2] * 1.7, 31, 3)
            edge = square[near] * (1.0 / limit) + (holes[near] - 0.5) * 1.5
            share[near] *= 0.12 + 0.88 * smoothstep(0.3, 0.75, edge)
        return share

    def from_poles(self, x: Array, z: Array) -> Array:
        """Share of the sun, [n], that poles and trunks leave on the ground."""
        share = np.ones(x.shape, np.float32)
        along_x, along_z = -self.sun[0] / self.sun[1], -self.sun[2] / self.sun[1]
        square = along_x * along_x + along_z * along_z + 1e-6
        lines = [(pole.x, pole.z, pole.height, pole.radius) for pole in self.poles]
        lines += [(tree.x, tree.z, tree.height * 0.6, tree.trunk) for tree in self.trees]
        for at_x, at_z, height, radius in lines:
            dx, dz = x - at_x, z - at_z
            t = np.clip((dx * along_x + dz * along_z) * (1.0 / square), 0.0, height)
            dx, dz = dx - t * along_x, dz - t * along_z
            distance = np.sqrt(dx * dx + dz * dz)
            share *= smoothstep(radius * 0.6, radius * 1.3 + 0.04, distance)
        return share

    def from_casters(self, x: Array, z: Array) -> tuple[Array, Array]:
        """Shares of sun and of skylight, [n] each, that cars and people leave on the ground."""
        sun, sky = np.ones(x.shape, np.float32), np.ones(x.shape, np.float32)
        reach_x, reach_z = self.sun[0] / self.sun[1], self.sun[2] / self.sun[1]
        for caster in self.casters:
            top = max(height for _, height, _ in caster.boxes)
            reach = caster.half_width + caster.boxes[0][0] + 0.6
            dx, dz = x - caster.x, z - caster.z
            low_x, high_x = min(0.0, -reach_x * top) - reach, max(0.0, -reach_x * top) + reach
            low_z, high_z = min(0.0, -reach_z * top) - reach, max(0.0, -reach_z * top) + reach
            near = np.flatnonzero((dx > low_x) & (dx < high_x) & (dz > low_z) & (dz < high_z))
            if near.size == 0:
                continue
            dx, dz = dx[near], dz[near]
            u, v = dx * caster.cos - dz * caster.sin, dx * caster.sin + dz * caster.cos
            ray_u = reach_x * caster.cos - reach_z * caster.sin
            ray_v = reach_x * caster.sin + reach_z * caster.cos
            for half, height, shift in caster.boxes:
                hidden = _box_shadow(u, v - shift, ray_u, ray_v, caster.half_width, half, height)
                sun[near] *= 1.0 - hidden
            half = caster.boxes[0][0]
            gap_u = np.maximum(np.abs(u) - caster.half_width * 0.8, 0.0)
            gap_v = np.maximum(np.abs(v) - half * 0.9, 0.0)
            gap = (gap_u * gap_u + gap_v * gap_v) * (5.0 / (caster.half_width + 0.15))
            sky[near] *= 1.0 - 0.8 / (1.0 + gap * (1.0 + gap))
        return sun, sky


def _box_shadow(
    u: Array, v: Array, ray_u: float, ray_v: float, half_u: float, half_v: float, height: float
) -> Array:
    """Soft-edged 0..1: does the ray that rises from (u, v) pass through the box?"""
    first, last = np.zeros(u.shape, np.float32), np.full(u.shape, height, np.float32)
    for start, ray, half in ((u, ray_u, half_u), (v, ray_v, half_v)):
        slope = ray if abs(ray) > 1e-3 else 1e-3
        one, two = (-half - start) * (1.0 / slope), (half - start) * (1.0 / slope)
        first = np.maximum(first, np.minimum(one, two))
        last = np.minimum(last, np.maximum(one, two))
    return smoothstep(0.0, 0.12, last - first)
