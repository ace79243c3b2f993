"""Settings of T4: lists ascend, cosines are cosines."""

from typing import Any

import pytest
from pydantic import ValidationError

from patchlens.tasks.tracking.settings import Tracking

GOOD: dict[str, Any] = {
    "datasets": ["d"],
    "deltas": [1, 5],
    "age": 30,
    "thresholds": [-0.5, 0.0, 0.9],
    "davis": {"queue": 7, "radius": 12, "top": 5, "temperature": 0.1},
}


def test_a_whole_section() -> None:
    assert Tracking.model_validate(GOOD).davis.queue == 7


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("deltas", [5, 1], "1 stands after 5"),
        ("thresholds", [0.5, 0.5], "'0.5' is listed twice"),
        ("thresholds", [0.5, 1.5], "allowed: -1 to 1"),
        ("thresholds", [], "at least 1 item"),
        ("deltas", [0], "allowed: 1 to 100000"),
        ("age", 0, "allowed: 1 to 100000"),
        ("davis", GOOD["davis"] | {"temperature": 0}, "allowed: 0.001 to 1000"),
    ],
)
def test_mistakes(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Tracking.model_validate(GOOD | {key: value})
