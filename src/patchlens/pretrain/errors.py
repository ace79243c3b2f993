"""Errors of the pre-training alone."""

from importlib.util import find_spec

from patchlens.errors import PatchlensError, SettingsError


class TrainingError(PatchlensError):
    """A training that must not go on: no finite loss, or a collapse."""


def check_extra() -> None:
    """Stop where the extra `pretrain` is not installed."""
    for name in ("lightly", "dvclive"):
        if find_spec(name) is None:
            raise SettingsError(f"pre-training needs {name}: pip install -e '.[pretrain]'")
