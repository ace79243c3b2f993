"""Helpers to put things where the camera sees them."""

from minicity.spec import HEIGHT, WIDTH
from minicity.world import Track


def in_view(track: Track, x: float, y: float, z: float, near: float, far: float) -> bool:
    """Is (x, y, z) in the first frame's view, ``near``..``far`` metres away?"""
    col, row, depth = track.start.project((x, y, z))
    return near < depth < far and 6 < col < WIDTH - 6 and -20 < row < HEIGHT + 10
