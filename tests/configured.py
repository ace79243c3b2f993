"""Settings for a test: those of params.yaml with some sections in their place."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from patchlens.settings.load import Settings, load
from patchlens.tasks.known import known


@cache
def _default() -> Settings:
    return load(Path(__file__).parents[1] / "params.yaml", known())


def configured(
    *,
    variants: Sequence[str] | None = None,
    shots: int | None = None,
    runs: Mapping[str, Sequence[str]] | None = None,
    **sections: Any,
) -> Settings:
    """The settings of params.yaml, except for `sections`; nothing is validated again.

    Args:
        variants: of every task.
        shots: of segmentation.
        runs: task -> its datasets; a task that it does not name has none.
        sections: as in params.yaml; `device` is `cpu` unless given.
    """
    settings = _default().model_copy(update={"device": "cpu"} | sections)
    of_segmentation: dict[str, Any] = {}
    if variants is not None:
        of_segmentation["variants"] = list(variants)
    if shots is not None:
        of_segmentation["shots"] = shots
    changed = {"segmentation": settings.segmentation.model_copy(update=of_segmentation)}
    settings = settings.model_copy(update=changed)
    if runs is not None:
        tasks = {
            task: getattr(settings, task).model_copy(update={"datasets": list(runs.get(task, []))})
            for task in settings.tasks()
        }
        settings = settings.model_copy(update=tasks)
    return settings
