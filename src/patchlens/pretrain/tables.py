"""The table of promoted models."""

from typing import Any

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
