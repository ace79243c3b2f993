"""Comparing two sets of metrics: did a reproduction give the same numbers?"""

import csv
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from patchlens import paths
from patchlens.errors import DataError, SettingsError

ELSEWHERE = 0.002  # allowed difference between machines; on equal machines it is 0
# A choice among nearly equal values may change with the last bits: not compared elsewhere.
CHOSEN = {
    *("c_median", "c_at_edge_share", "oracle_m", "chosen_m", "chosen_m_std", "prune_m_used"),
    *("birth_threshold", "p_holm", "overlap", "note"),
    # One row per rank: when two dimensions change places, so do all values in their rows.
    *("dimension", "mean", "kurtosis", "r_row", "r_column", "r_brightness", "r_edges"),
}
MARKS = ("level_with_best", "level_with_best_model")  # suffixes of columns that are choices too
Place = tuple[str, str]  # a file below the folder, and a place in that file


def compare(before: Path, after: Path, tolerance: float | None) -> tuple[list[str], str]:
    """Compare every value in the JSON and CSV files below two folders of metrics.

    NaN differs from everything, NaN included. Empty folders never pass as equal.

    Args:
        before: the reference folder.
        after: the folder of the reproduction.
        tolerance: largest allowed |difference|, relative for values beyond 1; None means 0 where
            the `machine.json` of both sides say the same, and 0.002 elsewhere.

    Returns:
        One line per difference beyond the tolerance, and one line that summarises the comparison.

    Raises:
        SettingsError: the tolerance is not a finite number of at least 0.
        DataError: a side is not a folder, or has nothing to compare, or a file that cannot be
            read; or every value that both sides have is excluded from the comparison.
    """
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise SettingsError(f"--tolerance {tolerance:g}: give a finite number of at least 0")
    old, new = _side(before), _side(after)
    allowed, reason = (
        (tolerance, "as asked for") if tolerance is not None else _allowed(before, after)
    )
    problems = [f"{'/'.join(key)}: only in {before}" for key in sorted(old.keys() - new.keys())]
    problems += [f"{'/'.join(key)}: only in {after}" for key in sorted(new.keys() - old.keys())]
    shared = sorted(old.keys() & new.keys())
    known = (key for key in shared if old[key] == old[key] and new[key] == new[key])  # not NaN
    chosen = {key for key in known if allowed and _is_chosen(key[1])}
    compared, largest = 0, 0.0
    for key in shared:
        if key in chosen:
            continue
        a, b = old[key], new[key]
        compared += _is_value(a) or _is_value(b)
        difference = _difference(a, b)
        if math.isfinite(difference):
            largest = max(largest, difference)
        if not difference <= allowed:  # also where it is NaN
            problems.append(f"{'/'.join(key)}: {a!r} became {b!r}")
    if not compared and not problems:
        raise DataError(
            f"{before} and {after}: nothing was compared; all {len(chosen)} values are chosen "
            "among near equals, which only `--tolerance 0` compares"
        )
    summary = (
        f"tolerance {allowed:g}, {reason}; {compared} value{'s' * (compared != 1)} compared"
        + (f", {len(chosen)} left out (chosen among near equals)" if chosen else "")
        + f", largest difference {largest:.4g}: "
        + ("equal within the tolerance" if not problems else f"{len(problems)} differ")
    )
    return problems, summary


def flat(content: Any, sign: str, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested dicts and lists with its place, keys parted by `sign`.

    An empty dict or list is a value too: that it is there can differ.
    """
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(content, list):
        items = enumerate(content)
    elif isinstance(content, dict):
        items = content.items()
    inner = [(f"{place}{sign}{key}" if place else str(key), value) for key, value in items]
    if not inner:
        yield place, content
    for where, value in inner:
        yield from flat(value, sign, where)


def _side(folder: Path) -> dict[Place, Any]:
    """Every value of one side; the header of a CSV file is the tuple of its columns."""
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "missing"
        raise DataError(f"{folder}: {what}; give a folder of metrics, such as `metrics`")
    found = dict(_values(folder))
    if not any(map(_is_value, found.values())):
        raise DataError(f"{folder}: holds no value in a JSON or CSV file, so nothing to compare")
    return found


def _values(folder: Path) -> Iterator[tuple[Place, Any]]:
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.csv")]):
        if path == folder / paths.MACHINE:
            continue
        name = paths.current(path.relative_to(folder).as_posix())
        if path.suffix == ".json":
            yield from (((name, place), value) for place, value in flat(_json(path), "/"))
            continue
        header, *rows = _csv(path)
        yield (name, "header"), tuple(header)
        for number, row in enumerate(rows):
            for column, text in zip(header, row, strict=True):
                yield (name, f"{number}/{column}"), _number(text)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from error


def _csv(path: Path) -> list[list[str]]:
    """The header of a CSV file and its rows, each as long as the header."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = list(csv.reader(stream, strict=True)) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    if len(set(header)) < len(header):
        raise DataError(f"{path}: two columns have one name in the header {','.join(header)}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number} has {len(row)} cells, its header {len(header)}")
    return [header, *rows]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _is_value(value: Any) -> bool:
    """Whether it is a number, a word or null, and not what only shows that a file is there."""
    return not isinstance(value, dict | list | tuple)


def _is_chosen(place: str) -> bool:
    return place.endswith(MARKS) or not CHOSEN.isdisjoint(place.split("/"))


def _difference(a: Any, b: Any) -> float:
    """|a - b|, relative beyond 1; of what is not two numbers 0 or infinity; NaN of NaN."""
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    if a == b and (numbers or type(a) is type(b)):
        return 0.0
    try:
        return float(abs(a - b) / max(1.0, abs(a))) if numbers else math.inf
    except OverflowError:  # an integer beyond all floats
        return math.inf


def _allowed(before: Path, after: Path) -> tuple[float, str]:
    """The tolerance that the machines of two sides call for, and why, in words."""
    machines = [_machine(side) for side in (before, after)]
    unknown = [
        str(side) for side, made in zip((before, after), machines, strict=True) if made is None
    ]
    if unknown:
        which = " and ".join(unknown)
        return ELSEWHERE, f"as no {paths.MACHINE} says what made {which}"
    one, other = machines
    if one == other:
        return 0.0, f"as both were made on {one}"
    return ELSEWHERE, f"as one was made on {one}, the other on {other}"


def _machine(folder: Path) -> str | None:
    """What made a side, by the `machine.json` of the folder or else of the one that holds it."""
    for path in (folder / paths.MACHINE, folder.resolve().parent / paths.MACHINE):
        if path.is_file():
            made = _json(path)
            known = isinstance(made, dict) and set(made) == {"cpu", "device", "threads"}
            if not known:
                raise DataError(f"{path}: not cpu, device and threads; `make readme` writes it")
            device, on_cpu = str(made["device"]), f"{made['cpu']}, {made['threads']} threads"
            return on_cpu if device == "cpu" else f"{device} with {on_cpu}"
    return None
