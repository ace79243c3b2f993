"""The output of `patchlens models`: the registry as a table, and one entry in full."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tabulate import tabulate

from patchlens.backbones.registry.entry import Entry, Source

HEAD = ("name", "family", "objective", "data", "params", "patch", "licence", "source", "used as")
NO_HASH = "no hash published: the first download is recorded, and later ones must match it"
UNPINNED = "no commit of the hub is pinned: the commit of the first download is recorded and kept"
NON_COMMERCIAL = "NON-COMMERCIAL: these weights may not be used commercially"


def listing(
    entries: Mapping[str, Entry], configured: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """One dict per entry: its content, its name, and the slots of params.yaml that use it."""
    return [
        {"name": name, **entry.model_dump(), "configured": configured.get(name, [])}
        for name, entry in entries.items()
    ]


def show_listing(entries: Mapping[str, Entry], configured: Mapping[str, list[str]]) -> str:
    """The registry as a table."""
    rows = [
        (
            name,
            entry.family,
            entry.objective,
            entry.data,
            f"{entry.parameters_m:.0f} M",
            entry.patch_size,
            licence(entry),
            place(entry.source),
            ", ".join(configured.get(name, [])),
        )
        for name, entry in entries.items()
    ]
    return tabulate(rows, HEAD, tablefmt="simple", disable_numparse=True)


def show(name: str, entry: Entry) -> str:
    """One entry in full: its description, its terms, and the download of the weights stage."""
    prefix = f"{entry.prefix_tokens} prefix token{'' if entry.prefix_tokens == 1 else 's'}"
    size = f"width {entry.width}, {entry.depth} layers, patch {entry.patch_size}, {prefix}"
    rows = [
        ("objective", entry.objective),
        ("data", entry.data),
        ("images seen", entry.images_seen),
        ("parameters", f"{entry.parameters_m:g} M"),
        ("architecture", " ".join([entry.arch, *(f"{k}={v}" for k, v in entry.arch_args.items())])),
        ("size", size),
        ("input", f"mean {entry.mean}, std {entry.std}, {entry.interpolation}"),
        ("native size", f"{entry.native} pixels; positions at other sizes: {entry.position}"),
        ("licence", entry.licence),
        *([("", NON_COMMERCIAL)] if entry.non_commercial else []),
        ("download", entry.source.address),
        ("file size", size_of(entry)),
        ("", hash_of(entry.source)),
        *([("", UNPINNED)] if unpinned(entry.source) else []),
        *([("", note)] if (note := by_hand(entry)) else []),
        ("citation", entry.citation),
        ("homepage", entry.homepage),
        *(("note", note) for note in entry.notes),
    ]
    lines = [f"{name}: {entry.title}", "", *(f"{key:14}{value}".rstrip() for key, value in rows)]
    use = f"models:\n  {name}:               # any name\n    source: registry\n    "
    return "\n".join([*lines, "", "In params.yaml:", "", f"{use}model: {name}"])


def licence(entry: Entry) -> str:
    """The licence, marked if it forbids commercial use."""
    return f"{entry.licence} (non-commercial)" if entry.non_commercial else entry.licence


def place(source: Source) -> str:
    """The location of the file, in short."""
    if source.kind == "hub":
        return f"hub {source.repo}"
    return urlsplit(source.address).netloc


def unpinned(source: Source) -> bool:
    """Whether the file is on the hub without a pinned commit."""
    return source.kind == "hub" and source.revision is None


def by_hand(entry: Entry) -> str:
    """How to obtain a file that only a person can download; empty if the stage downloads it."""
    if entry.source.gated:
        steps = f"gated: accept its terms on {entry.homepage}, download the file"
    elif entry.source.kind == "drive":
        steps = f"by hand: download {entry.source.file} with a browser"
    else:
        return ""
    return f"{steps} and set `file` to its path"


def size_of(entry: Entry) -> str:
    """The size of the download, as far as it is known."""
    return size_text(entry.source.bytes, entry.source.roughly or round(entry.parameters_m * 4e6))


def size_text(size: int | None, at_least: int) -> str:
    """Bytes as GB; if unknown, at least `at_least`, the bytes of the parameters in float32."""
    if size is not None:
        return f"{size / 1e9:.2f} GB"
    return f"unknown, ≥ {at_least / 1e9:.2f} GB" if at_least else "unknown"


def hash_of(source: Source) -> str:
    """The published hash, or its published first digits."""
    return source.published or NO_HASH
