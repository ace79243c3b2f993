"""Write docs/datasets/: one page per kind of dataset and an index, from the catalogue.

`python scripts/dataset_pages.py` writes them; `--check` only lists those that are out of date.
"""

import re
import sys
from collections.abc import Mapping

from made_pages import ROOT, bring_up_to_date
from patchlens.datasets.catalogue import Archive, Entry, entries, in_words

FOLDER = ROOT / "docs/datasets"
CATALOGUE = "src/patchlens/datasets/catalogue.yaml"
MADE = f"<!-- Made by `make dataset-pages` from {CATALOGUE}; edit that. -->"
ACCESS = {
    "open": "fetched by the pipeline",
    "csdownload": "your own account",
    "account": "your own account",
    "placed": "placed by you",
    "made": "rendered by the pipeline",
}
WHATS = ("images", "masks", "objects", "instances", "groups")


def main() -> int:
    texts = {FOLDER / "README.md": index(entries())}
    texts |= {FOLDER / f"{kind}.md": page(kind, entry) for kind, entry in entries().items()}
    return bring_up_to_date(__doc__.splitlines()[0], texts, FOLDER.glob("*.md"))


def index(known: Mapping[str, Entry]) -> str:
    """The page that lists all kinds."""
    lines = [
        MADE,
        "# Datasets",
        "",
        "All facts about a dataset are in one entry of",
        f"[`{CATALOGUE}`](../../{CATALOGUE}). They are from its official source or, if",
        "it does not state them, from public loaders (FAIR1M: torchgeo; INSTRE: its loaders; the",
        "licence of CUB-200: third parties). Its reader, a module in `src/patchlens/datasets`,",
        "names the sources.",
        "",
        "`patchlens datasets` prints this list. `patchlens datasets check NAME` compares the",
        "content of an indexed dataset with the published numbers and draws a contact sheet.",
        "",
        "| kind | dataset | tasks | access | licence |",
        "|---|---|---|---|---|",
    ]
    for kind, entry in known.items():
        cells = (
            f"[`{kind}`]({kind}.md)",
            entry.title,
            in_words(entry.tasks),
            ACCESS[entry.access],
            entry.licence,
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## Add a dataset",
        "",
        "A dataset in a layout that is listed here needs one entry in the catalogue and no code.",
        "Copy the entry of a dataset in the same layout, keep its `reader` (and those of its",
        "`options` that fit), and state the new title, licence, citation, homepage, how to obtain",
        "it, and its archives with their checksums. It can then be fetched, indexed, listed and",
        "used as `kind` in params.yaml. A mistake in the catalogue is one line that names the key.",
        "A new layout is one module beside the catalogue and one line in `readers.py`. Images",
        "without an official layout need neither: see [own-data.md](../own-data.md).",
    ]
    return "\n".join(lines) + "\n"


def page(kind: str, entry: Entry) -> str:
    """The page of one kind."""
    lines = [
        MADE,
        f"# {entry.title}",
        "",
        f"`kind: {kind}`",
        "",
        "| | |",
        "|---|---|",
        f"| tasks | {in_words(entry.tasks)} |",
        f"| access | {ACCESS[entry.access]} |",
        f"| licence | {entry.licence} |",
        f"| citation | {entry.citation} |",
        f"| homepage | {link(entry.homepage)} |",
    ]
    lines += ["", "## How to obtain it", "", *how(kind, entry)]
    if entry.archives:
        lines += ["| file | md5 | unpacked into |", "|---|---|---|"]
        lines += [archive_row(archive) for archive in entry.archives]
    lines += [
        *([""] if lines[-1] else []),
        "## Layout below the root",
        "",
        "```",
        *entry.layout.splitlines(),
        "```",
    ]
    lines += ["", "## Encoding", "", *(f"- {sentence}" for sentence in entry.encoding)]
    if entry.counts:
        lines += ["", "## Published numbers", "", *counts_table(entry)]
    if entry.classes:
        named = ", ".join(f"{number} {name}" for number, name in enumerate(entry.classes))
        lines += ["", f"## Classes ({len(entry.classes)})", "", named]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def how(kind: str, entry: Entry) -> list[str]:
    """The steps for the user, with the settings that they need."""
    if entry.access == "made":
        return [f"Nothing to do: the `render` stage makes it. See {link(entry.homepage)}."]
    steps = [f"{entry.how.rstrip('.')}."] if entry.how and entry.access != "open" else []
    if entry.access == "open":
        steps += [
            "The `fetch` stage downloads the files below, checks them and unpacks them:",
            *settings(kind, entry, "downloaded"),
            "If you already have a copy, use it in place:",
        ]
    elif entry.archives:
        known = all(archive.md5 for archive in entry.archives)
        checked = "checks the files below by their md5" if known else "takes the files below"
        steps += [
            f"The `fetch` stage {checked} and unpacks them:",
            *settings(kind, entry, "downloaded", "archives: path/to/the/files"),
            "If you have unpacked a copy, use it in place:",
        ]
    return [*steps, *settings(kind, entry, "placed", "root: path/to/it")]


def settings(kind: str, entry: Entry, where: str, *more: str) -> list[str]:
    """The lines of params.yaml for one way of obtaining the dataset."""
    lines = ["fetch:", f"  {where}: [{kind}]", "datasets:", f"  {kind}:"]
    keys = [f"kind: {kind}", *more, "view: ...             # as for minicity"]
    if "segmentation" in entry.tasks:
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
    """The table row of one archive."""
    return f"| [{archive.file}]({archive.url}) | {archive.md5 or 'not stated'} | `{archive.into}` |"


def counts_table(entry: Entry) -> list[str]:
    """The published numbers of each split."""
    whats = [w for w in WHATS if any(w in counts for counts in entry.counts.values())]
    lines = [f"| split | {' | '.join(whats)} |", f"|---|{'---|' * len(whats)}"]
    for split, counts in entry.counts.items():
        cells = " | ".join(str(counts.get(what, "not stated")) for what in whats)
        lines.append(f"| {split} | {cells} |")
    return lines


def link(target: str) -> str:
    """A web address, or a page of this repository."""
    return f"<{target}>" if "://" in target else f"[{target}](../../{target})"


if __name__ == "__main__":
    sys.exit(main())
