"""Write docs/datasets/: a page for each kind of dataset and an index, from the cards in the code.

`python scripts/dataset_pages.py` writes them, `--check` only says which are out of date.
"""

import re
import sys

from made_pages import ROOT, bring_up_to_date
from patchlens.datasets.card import Card
from patchlens.datasets.kinds import CARDS
from patchlens.datasets.source import Archive

FOLDER = ROOT / "docs/datasets"
MADE = "<!-- Made by `make dataset-pages` from the card in {}; edit that. -->"
ACCESS = {
    "open": "fetched by the pipeline",
    "csdownload": "your own account",
    "account": "your own account",
    "placed": "placed by you",
    "made": "rendered by the pipeline",
}
WHATS = ("images", "masks", "objects", "instances", "groups")


def main() -> int:
    texts = {FOLDER / "README.md": index(list(CARDS.values()))}
    texts |= {FOLDER / f"{kind}.md": page(card) for kind, card in CARDS.items()}
    return bring_up_to_date(__doc__.splitlines()[0], texts, FOLDER.glob("*.md"))


def index(cards: list[Card]) -> str:
    """The page that lists all kinds."""
    lines = [
        MADE.format("src/patchlens/datasets/"),
        "# Datasets",
        "",
        "Facts are from each dataset's official source, or from public loaders where that does not",
        "say (FAIR1M: torchgeo; INSTRE: its loaders; the licence of CUB-200: third parties); its",
        "module in `src/patchlens/datasets` names them, and what none states is left out.",
        "`patchlens datasets` prints this list, `patchlens datasets check NAME` counts what an",
        "indexed one holds, beside the published numbers, and draws a contact sheet.",
        "",
        "| kind | dataset | tasks | access | licence |",
        "|---|---|---|---|---|",
    ]
    for card in cards:
        cells = (
            f"[`{card.kind}`]({card.kind}.md)",
            card.title,
            ", ".join(card.tasks),
            ACCESS[card.access],
            card.licence,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(card: Card) -> str:
    """The page of one kind."""
    lines = [
        MADE.format("src/patchlens/datasets/"),
        f"# {card.title}",
        "",
        f"`kind: {card.kind}`",
        "",
        "| | |",
        "|---|---|",
        f"| tasks | {', '.join(card.tasks)} |",
        f"| access | {ACCESS[card.access]} |",
        f"| licence | {card.licence} |",
        f"| citation | {card.citation} |",
        f"| homepage | {link(card.homepage)} |",
    ]
    lines += ["", "## How to get it", "", *how(card)]
    if card.archives:
        lines += ["| file | md5 | unpacked into |", "|---|---|---|"]
        lines += [archive_row(archive) for archive in card.archives]
    lines += [
        *([""] if lines[-1] else []),
        "## Layout below the root",
        "",
        "```",
        *card.layout.splitlines(),
        "```",
    ]
    lines += ["", "## Encoding", "", *(f"- {sentence}" for sentence in card.encoding)]
    if card.counts:
        lines += ["", "## Published numbers", "", *counts_table(card)]
    if card.classes:
        named = ", ".join(f"{number} {name}" for number, name in enumerate(card.classes))
        lines += ["", f"## Classes ({len(card.classes)})", "", named]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def how(card: Card) -> list[str]:
    """What the user does, with the settings that it takes."""
    if card.access == "made":
        return [f"Nothing to do: the `render` stage makes it. See {link(card.homepage)}."]
    steps = [f"{card.how.rstrip('.')}."] if card.how and card.access != "open" else []
    if card.access == "open":
        steps += [
            "The `fetch` stage downloads the files below, checks them and unpacks them:",
            *settings(card, "downloaded"),
            "A copy that you have already is used where it lies:",
        ]
    elif card.archives:
        steps += [
            "The `fetch` stage checks the files below by their md5 and unpacks them:",
            *settings(card, "downloaded", "archives: path/to/the/files"),
            "A copy that you have unpacked is used where it lies:",
        ]
    return [*steps, *settings(card, "placed", "root: path/to/it")]


def settings(card: Card, where: str, *more: str) -> list[str]:
    """The lines of params.yaml that choose one way of getting it."""
    lines = ["fetch:", f"  {where}: [{card.kind}]", "datasets:", f"  {card.kind}:"]
    keys = [f"kind: {card.kind}", *more, "view: ...             # as for minicity"]
    if "segmentation" in card.tasks:
        keys += [
            "support: ...          # as for minicity",
            "query: ...            # as for minicity",
        ]
    else:
        keys += [
            "support: null         # or a train split, as for minicity_video",
            "query: ...            # as for minicity",
        ]
    return ["", "```yaml", *lines, *(f"    {key}" for key in keys), "```", ""]


def archive_row(archive: Archive) -> str:
    """One file that is fetched or placed."""
    return f"| [{archive.file}]({archive.url}) | {archive.md5 or 'not stated'} | `{archive.into}` |"


def counts_table(card: Card) -> list[str]:
    """Split by split, what its source publishes."""
    whats = [w for w in WHATS if any(w in counts for counts in card.counts.values())]
    lines = [f"| split | {' | '.join(whats)} |", f"|---|{'---|' * len(whats)}"]
    for split, counts in card.counts.items():
        cells = " | ".join(str(counts.get(what, "not stated")) for what in whats)
        lines.append(f"| {split} | {cells} |")
    return lines


def link(target: str) -> str:
    """A web address, or a page of this repository."""
    return f"<{target}>" if "://" in target else f"[{target}](../../{target})"


if __name__ == "__main__":
    sys.exit(main())
