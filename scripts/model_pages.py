"""Write docs/models.md from the registry in src/patchlens/backbones/registry.

`python scripts/model_pages.py` writes it, `--check` only says whether it is outdated.
"""

import sys
from itertools import groupby

from made_pages import ROOT, bring_up_to_date
from patchlens.backbones.registry.entry import Entry
from patchlens.backbones.registry.read import entries
from patchlens.backbones.registry.show import NO_HASH, hash_of, licence, size_of, unpinned

PAGE = ROOT / "docs/models.md"
INTRODUCTION = """\
<!-- Made by `make model-pages` from src/patchlens/backbones/registry; edit that. -->
# Models

All models of the registry. To use one, set `source: registry` and `model: NAME` in `params.yaml`;
the weights stage downloads the official file (those of `simmim_*` and `dinov3_*` you download, and
name as `file`), checks it and converts it once. `patchlens models`
prints this list, `patchlens models show NAME` prints one entry in full, and `patchlens plan` lists
the downloads of your settings. To use another model, see [how to add a model](add-a-model.md).

**Licences are those of the weights, as stated by their authors; {restricted} of {count} entries
forbid commercial use.** Sizes and hashes of files are listed if they are published; otherwise the
hash of the first download is recorded, and every later download must match it. *unpinned*: no
commit of the hub is given; the commit of the first download is recorded and kept.
"""
HEAD = "| name | model | data | images seen | params | patch | licence | file | size |"


def main() -> int:
    return bring_up_to_date(__doc__.splitlines()[0], {PAGE: page(entries())})


def page(found: dict[str, Entry]) -> str:
    """The whole page: one table per objective, then notes and citations per family."""
    restricted = sum(entry.non_commercial for entry in found.values())
    lines = [INTRODUCTION.format(restricted=restricted, count=len(found))]
    by_objective = sorted(found.items(), key=lambda item: item[1].objective)
    for objective, group in groupby(by_objective, key=lambda item: item[1].objective):
        lines += [f"## {objective.capitalize()}", "", HEAD, f"|{'---|' * HEAD.count(' | ')}---|"]
        lines += [row(name, entry) for name, entry in group]
        lines.append("")
    lines += ["## Notes and citations", ""]
    for family in dict.fromkeys(entry.family for entry in found.values()):
        members = {n: e for n, e in found.items() if e.family == family}
        lines += [f"### {family}", "", *about(members), ""]
    return "\n".join(lines).rstrip() + "\n"


def row(name: str, entry: Entry) -> str:
    """The line of one model."""
    cells = (
        f"`{name}`",
        entry.title,
        entry.data,
        entry.images_seen,
        f"{entry.parameters_m:.1f} M",
        str(entry.patch_size),
        licence(entry),
        file(entry),
        size_of(entry),
    )
    return f"| {' | '.join(cells)} |"


def file(entry: Entry) -> str:
    """The location of the official file, as a link."""
    source = entry.source
    gated = ", gated" if source.gated else ""
    if source.kind == "hub":
        pin = ", unpinned" if unpinned(source) else ""
        return f"[{source.repo}](https://huggingface.co/{source.repo}){gated}{pin}"
    named = "Google Drive" if source.kind == "drive" else str(source.url).rpartition("/")[2]
    return f"[{named}]({source.address}){gated}"


def about(members: dict[str, Entry]) -> list[str]:
    """Citations, home pages, published hashes and notes of one family."""
    facts: dict[str, list[str]] = {}
    for name, entry in members.items():
        facts.setdefault(f"{entry.citation}. <{entry.homepage}>", []).append(name)
        if (known := hash_of(entry.source)) != NO_HASH:
            facts.setdefault(known, []).append(name)
        for note in entry.notes:
            facts.setdefault(note, []).append(name)
    lines = []
    for fact, names in facts.items():
        whose = "" if len(names) == len(members) else f" ({', '.join(f'`{n}`' for n in names)})"
        lines.append(f"- {fact}{whose}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
