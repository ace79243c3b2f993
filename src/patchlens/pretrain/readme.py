"""`weights/README.md`: what the committed models are, made from their cards."""

import json
from pathlib import Path
from typing import Any

from patchlens.errors import DataError
from patchlens.files import file_hash, write_text
from patchlens.pretrain.objectives import OBJECTIVES, RANDOM
from patchlens.settings.yaml_text import dumped
from patchlens.stored import read_json

ORDER = (*OBJECTIVES, RANDOM)
# What must agree for a fair comparison of objectives: for all models, and for trained models.
OF_ALL = {"size": "size", "seed": "seed", "arch_args": "architecture"}
PROMOTE = "run `patchlens promote` again"
OF_TRAINED = {"crops": "crops seen", "device": "device", "shared": "shared settings"}
ROLES = {RANDOM: "floor", "supervised": "ceiling"}  # of the models in params.yaml
HEADER = (
    "model",
    "probe (untrained)",
    "crops seen",
    "teacher forwards",
    "visible tokens",
    "PFLOPs",
    "minutes",
    "device",
    "parameters",
    "MB",
)
HEAD = """\
# The mini models

Small ViTs that this repository pre-trained on frames of minicity that are not used for evaluation:
the same architecture, images and number of crops seen, but different objectives. Half precision,
timm's names. `supervised` was trained on the classes of the evaluation and is a ceiling; `random`
is the untrained ViT from which all of them started. [docs/pretrain.md](../docs/pretrain.md)
describes how they were made and how to make them again.

Written by `patchlens promote` from the cards (`*.json`) beside the models. Do not edit.
"""


def write(folder: Path) -> None:
    """Write the README of a folder of promoted models.

    Raises:
        DataError: a card does not belong to the model beside it.
    """
    write_text(render(cards(folder)), folder / "README.md")


def cards(folder: Path) -> list[dict[str, Any]]:
    """The cards of all models in a folder, each compared with its file."""
    files = [path for name in ORDER for path in _files(folder, name)]
    found = []
    for path in files:
        card_file = path.with_suffix(".json")
        card = read_json(card_file, PROMOTE) if card_file.is_file() else {}
        if card.get("sha256") != file_hash(path, "sha256"):
            raise DataError(f"{path}: the card beside it belongs to another file; {PROMOTE}")
        found.append(card | {"name": path.stem})
    return found


def _files(folder: Path, name: str) -> list[Path]:
    """The model of an objective, then those of other seeds."""
    own = folder / f"{name}.safetensors"
    return [own] * own.is_file() + sorted(folder.glob(f"{name}-seed*.safetensors"))


def render(found: list[dict[str, Any]]) -> str:
    """The text of the README."""
    parts = [HEAD, table(found), _budget(found), *(_section(card) for card in found)]
    return "\n".join(part for part in parts if part)


def _budget(found: list[dict[str, Any]]) -> str:
    """Whether the models may be compared."""
    found = [card for card in found if card["name"] == card["objective"]]  # of the one seed
    trained = [card | {"shared": card["recipe"]["shared"]} for card in found if card["commit"]]
    wrong = [name for key, name in OF_ALL.items() if _differs(found, key)]
    wrong += [name for key, name in OF_TRAINED.items() if _differs(trained, key)]
    if wrong:
        return f"**Not comparable**: the models differ in {', '.join(wrong)}.\n"
    if len(trained) < 2:
        return ""
    return (
        "Architecture, seed, shared settings, device and crops seen are the same for all trained "
        "models but those of another seed, which their names state.\n"
    )


def _differs(found: list[dict[str, Any]], key: str) -> bool:
    return len({json.dumps(card[key], sort_keys=True) for card in found}) > 1


def _section(card: dict[str, Any]) -> str:
    """One model: its entry in params.yaml, its recipe, and other runs that were tried."""
    name = card["name"]
    slot = {
        name.replace("-", "_"): {
            "source": "file",
            "file": f"weights/{name}.safetensors",
            "sha256": card["sha256"],
            "arch": card["arch"],
            "arch_args": card["arch_args"],
        }
        | ({"role": ROLES[name]} if name in ROLES else {})
    }
    lines = [f"## {name}", "", "```yaml params.yaml", dumped({"models": slot}).rstrip(), "```", ""]
    if card["commit"]:
        lines += [f"Commit {card['commit']}, {card['steps']} steps, seed {card['seed']}, recipe:"]
        lines += ["", "```yaml", dumped(card["recipe"]["own"]).rstrip(), "```", ""]
        lines += [f"Last losses: {_pairs(card['final_losses'])}.", "", _tried(card["tried"])]
    return "\n".join(lines)


def _tried(runs: list[dict[str, Any]]) -> str:
    """The runs of an objective, the promoted one among them, each with its recipe."""
    if not runs:
        return "No record of other runs.\n"
    lines = ["All runs that were tried, with their last probe:", ""]
    for run in runs:
        probe = last_probe(run.get("probe", {}))
        end = "finished" if run.get("finished") else f"stopped: {run.get('stopped', 'unknown')}"
        recipe = _pairs(run["recipe"]["own"])
        lines.append(f"- {run['size']}, seed {run['seed']}, {end}, probe {probe}; {recipe}")
    return "\n".join([*lines, ""])


def _pairs(values: dict[str, Any]) -> str:
    """`name value, …`; of numbers four digits."""
    texts = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
    return ", ".join(texts) or "none"


def table(cards: list[dict[str, Any]]) -> str:
    """Markdown: one row per model; the probe is the patch mIoU of k-NN on held-out scenes."""
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    lines += ["| " + " | ".join(_row(card)) + " |" for card in cards]
    return "\n".join([*lines, ""])


def _row(card: dict[str, Any]) -> list[str]:
    return [
        card["name"],
        last_probe(card["probe"]),
        f"{card['crops']:,}",
        f"{card['teacher_forwards']:,}",
        f"{card['visible_tokens']:,}",
        f"{card['flops'] / 1e15:.3g}",
        f"{card['seconds'] / 60:.1f}",
        card["device"],
        f"{card['parameters']:,}",
        f"{card['bytes'] / 1e6:.1f}",
    ]


def last_probe(probes: dict[str, float]) -> str:
    """The last score of a run's probe, and that of the untrained model in brackets."""
    if not probes:
        return "–"
    steps = sorted(probes, key=int)
    return f"{probes[steps[-1]]:.3f} ({probes[steps[0]]:.3f})"
