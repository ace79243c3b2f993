"""Videos that a test writes as lists of frames."""

from collections.abc import Mapping, Sequence

import numpy as np

from patchlens.tasks.tracking.videos import Video


def video(
    frames: Mapping[int, Sequence[int]], *, classes: Mapping[int, int] | None = None
) -> Video:
    """Frame number -> the instances in it; boxes side by side, all placed, of class 0."""
    listed = [(frame, instance) for frame, here in frames.items() for instance in here]
    frame, instance = np.array(listed, dtype=np.int64).reshape(-1, 2).T
    x = 20.0 * instance
    return Video(
        name="v",
        frames=np.array(list(frames), dtype=np.int64),
        frame=frame,
        instance=instance,
        class_id=np.array([(classes or {}).get(int(i), 0) for i in instance], dtype=np.int64),
        boxes=np.stack([x, np.zeros(len(x)), x + 10, np.full(len(x), 10.0)], axis=1),
        placed=np.ones(len(x), dtype=bool),
    )


def oracle(one: Video) -> np.ndarray:
    """Features that encode the instance: one-hot, as long as the instance is below 16."""
    return np.eye(16, dtype=np.float32)[one.instance]


def angles(*degrees: float) -> np.ndarray:
    """Features in the plane: the cosine of two is that of the angle between them."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
