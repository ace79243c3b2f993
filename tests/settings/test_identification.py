"""Settings of T2: what is refused, before anything is extracted."""

import pytest
from pydantic import ValidationError

from patchlens.tasks.identification.settings import Degradations, Identification

TASK = {
    "datasets": ["d"],
    "images": 10,
    "patches": "all",
    "granularities": [1, 2],
    "distance": "cosine",
    "degradations": {"blur": [1, 2.5], "scale": [0.9]},
    "seed": 0,
}


def test_conditions_are_listed_in_the_order_of_the_settings():
    task = Identification.model_validate(TASK)
    assert task.degradations.items() == [("blur", 1.0), ("blur", 2.5), ("scale", 0.9)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "at least one degradation"),
        ({"blur": []}, "at least 1 item"),
        ({"noise": [10.0, 10.0]}, "listed twice"),
        ({"shift": [-1.0]}, "out of range"),
        ({"jpeg": [101.0]}, "allowed: 1 to 100"),
        ({"jpeg": [12.5]}, "integers in 1..100"),
        ({"fog": [1.0]}, "fog"),
    ],
)
def test_wrong_severities_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        Degradations.model_validate(wrong)


@pytest.mark.parametrize(
    "wrong", [{"granularities": [2]}, {"granularities": [1, 1]}, {"images": 0}, {"patches": "some"}]
)
def test_wrong_counts_are_refused(wrong):
    with pytest.raises(ValidationError):
        Identification.model_validate(TASK | wrong)
