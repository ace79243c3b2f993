"""Errors of the pre-training alone."""

from importlib.util import find_spec

from patchlens.errors import PatchlensError, SettingsError


class TrainingError(PatchlensError):
    """Training that must stop: the loss is not finite, or the features collapsed."""


def check_extra() -> None:
    """Raise an error if the extra `pretrain` is not installed."""
    for name in ("lightly", "dvclive"):
        if find_spec(name) is None:
            raise SettingsError(f"pre-training needs {name}; run pip install -e '.[pretrain]'")
