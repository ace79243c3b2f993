"""Integer-hash randomness: dice for scene layout, value noise for textures."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

T = TypeVar("T")

_MASK = (1 << 64) - 1
_SIZE = 256


def _mix(value: int) -> int:
    """SplitMix64's finaliser: a bijection of 64-bit integers that scrambles all bits."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Dice:
    """A reproducible stream of random choices, named by integer keys."""

    def __init__(self, *keys: int) -> None:
        """Start the stream that belongs to ``keys`` (any integers)."""
        self._state = 0x9E3779B97F4A7C15
        for key in keys:
            self._state = _mix((self._state + key * 0xD1B54A32D192ED03) & _MASK)

    def bits(self) -> int:
        """Next 64 random bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        return _mix(self._state)

    def unit(self) -> float:
        """Uniform number in [0, 1)."""
        return (self.bits() >> 11) / (1 << 53)

    def uniform(self, low: float, high: float) -> float:
        """Uniform number in [low, high)."""
        return low + (high - low) * self.unit()

    def below(self, count: int) -> int:
        """Integer in 0..count-1."""
        return (self.bits() >> 11) % count

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def sign(self) -> int:
        """-1 or +1."""
        return 1 if self.chance(0.5) else -1

    def pick(self, items: Sequence[T]) -> T:
        """One of ``items``."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different entries of ``items``, in random order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(min(count, len(rest)))]


def _lattice_table() -> Array:
    """Random values in [0, 1) on a 256 x 256 lattice that repeats, flattened."""
    value = np.arange(_SIZE * _SIZE, dtype=np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 0x9E3779B1)):
        value ^= value >> np.uint32(shift)
        value *= np.uint32(factor)
    value ^= value >> np.uint32(15)
    return (value >> np.uint32(8)).astype(np.float32) * np.float32(1 / (1 << 24))


_TABLE = _lattice_table()


def _lookup(ix: NDArray[np.int32], iy: NDArray[np.int32]) -> Array:
    return _TABLE.take(((iy & 255) << 8) | (ix & 255))


def cells(x: Array, y: Array, seed: int) -> Array:
    """Random value in [0, 1) of the unit cell that holds (x, y); arrays of one shape."""
    ix = np.floor(x).astype(np.int32) + (seed * 37 & 255)
    iy = np.floor(y).astype(np.int32) + (seed * 101 >> 3 & 255)
    return _lookup(ix, iy)


def value_noise(x: Array, y: Array, seed: int) -> Array:
    """Smooth noise in [0, 1) with features of size one; arrays of one shape."""
    fx, fy = np.floor(x), np.floor(y)
    ix = fx.astype(np.int32) + (seed * 37 & 255)
    iy = fy.astype(np.int32) + (seed * 101 >> 3 & 255)
    u, v = x - fx, y - fy
    u = u * u * (3 - 2 * u)
    v = v * v * (3 - 2 * v)
    row, next_row = (iy & 255) << 8, ((iy + 1) & 255) << 8
    col, next_col = ix & 255, (ix + 1) & 255
    low = _TABLE.take(row | col)
    low += (_TABLE.take(row | next_col) - low) * u
    high = _TABLE.take(next_row | col)
    high += (_TABLE.take(next_row | next_col) - high) * u
    low += (high - low) * v
    return low


def fbm(x: Array, y: Array, seed: int, octaves: int) -> Array:
    """Multi-octave value noise in [0, 1), mean 0.5, coarsest features of size one."""
    total = value_noise(x, y, seed)
    weight, scale, norm = 0.5, 2.0, 1.0
    for octave in range(1, octaves):
        total += weight * value_noise(x * scale + 17.3 * octave, y * scale - 9.1, seed + octave)
        norm += weight
        weight *= 0.5
        scale *= 2.0
    total *= 1.0 / norm
    return total


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Soft threshold: 0 below ``low``, 1 above ``high``."""
    t = np.clip((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    result: Array = t * t * (3 - 2 * t)
    return result


def wave(phase: float) -> float:
    """A sine-like wave of period 1 made of parabolas, in [-1, 1]."""
    phase -= phase // 1.0
    if phase < 0.5:
        return 16.0 * phase * (0.5 - phase)
    phase -= 0.5
    return -16.0 * phase * (0.5 - phase)
