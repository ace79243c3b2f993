"""Checkpoints of a run: written atomically and restored so that the run continues exactly."""

import errno
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from patchlens.files import whole_file
from patchlens.pretrain.settings import Recipe
from patchlens.progress import log

Row = dict[str, float]


@dataclass
class State:
    """The state of a run besides its tensors.

    Attributes:
        step: steps done.
        rows: one per logged step: `step` and the means since the previous row.
        probes: one per probe: `step` and its scores.
        seconds: spent on steps, over all sessions.
    """

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    probes: list[Row] = field(default_factory=list)
    seconds: float = 0.0


def folder(recipe: Recipe, device: torch.device, origin: dict[str, Any], work: Path) -> Path:
    """The checkpoint folder of a recipe on a device; another `origin` of results starts anew."""
    described = recipe.model_dump() | {"device": device.type, "origin": origin}
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
    return work / recipe.objective / key


def save(path: Path, state: State, **tensors: Any) -> None:
    """Write a checkpoint; `tensors` are state dicts and the generator's state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        torch.save({"state": vars(state), **tensors}, partial)


def restore(path: Path) -> tuple[State, dict[str, Any]] | None:
    """The checkpoint that `save` wrote; None if there is none, or if it is damaged."""
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return State(**content.pop("state")), content
    except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        # A file that is cut short is an invalid argument to torch.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        log.warning("%s: damaged; discarded, and the training begins anew", path)
        return None
