"""How the weights of a model were trained."""

import json
from pathlib import Path

from patchlens.backbones.registry.read import find
from patchlens.settings.models import Model

UNKNOWN = "unknown"


def objective(model: Model) -> str:
    """The training objective of a model in a word, as far as it is known.

    The registry states it for its models, and the card beside a weight file (`<name>.json`) for
    those that this repository trained. Models without trained weights have `none`.
    """
    if model.source == "registry":
        return find(model.model, "patchlens models").objective
    if model.source == "file":
        card = Path(model.file).with_suffix(".json")
        if card.is_file():
            return str(json.loads(card.read_text(encoding="utf-8")).get("objective", UNKNOWN))
        return UNKNOWN
    return UNKNOWN if model.source == "timm" else "none"
