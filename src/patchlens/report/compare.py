"""Comparing two sets of metrics: did a reproduction give the same numbers?"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TIMING = ("images_per_second", "device")  # vary from run to run
ELSEWHERE = 0.002  # allowed difference between CPU types; on one CPU type it is 0
# A choice among nearly equal values may change with the last bits: not compared elsewhere.
CHOSEN = (
    *("c_median", "c_at_edge_share", "oracle_m", "chosen_m", "chosen_m_std", "prune_m_used"),
    *("birth_threshold", "p_holm", "overlap", "note"),
    # One row per rank: when two dimensions change places, so do all values in their rows.
    *("dimension", "mean", "kurtosis", "r_row", "r_column", "r_brightness", "r_edges"),
)


MARKS = ("level_with_best", "level_with_best_model")  # suffixes of columns that are choices too


def compare(before: Path, after: Path, tolerance: float | None) -> tuple[list[str], str]:
    """Compare every number in the JSON and CSV files below two folders of metrics.

    Args:
        before: the reference folder.
        after: the folder of the reproduction.
        tolerance: largest allowed |difference|, relative for values beyond 1; None means 0 where
            both were extracted on the same device and 0.002 elsewhere.

    Returns:
        One line per difference beyond the tolerance, and one line that summarises the comparison.
    """
    old, new = dict(_values(before)), dict(_values(after))
    if tolerance is None:
        devices = [{v for k, v in side.items() if k.endswith("/device")} for side in (old, new)]
        tolerance = 0.0 if devices[0] == devices[1] else ELSEWHERE
    ignored = {*TIMING, *(CHOSEN if tolerance else ())}
    problems = [f"{key}: only in {before}" for key in sorted(old.keys() - new.keys())]
    problems += [f"{key}: only in {after}" for key in sorted(new.keys() - old.keys())]
    largest = 0.0
    for key in sorted(old.keys() & new.keys()):
        if not ignored.isdisjoint(key.split("/")) or (tolerance and key.endswith(MARKS)):
            continue
        a, b = old[key], new[key]
        if isinstance(a, str) or isinstance(b, str):
            if a != b:
                problems.append(f"{key}: '{a}' became '{b}'")
            continue
        difference = abs(a - b) / max(1.0, abs(a))
        largest = max(largest, difference)
        if difference > tolerance:
            problems.append(f"{key}: {a} became {b}")
    summary = (
        f"{len(old)} values compared, largest difference {largest:.4g}, allowed {tolerance:g}: "
        + ("equal within that" if not problems else f"{len(problems)} differ")
    )
    return problems, summary


def _values(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        content = json.loads(path.read_text(encoding="utf-8"))
        yield from ((f"{name}/{place}", value) for place, value in flat(content, "/"))
    for path in sorted(folder.rglob("*.csv")):
        name = path.relative_to(folder).as_posix()
        with path.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream)):
                for column, text in row.items():
                    yield f"{name}/{number}/{column}", _number(text)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def flat(content: dict[str, Any], sign: str) -> Iterator[tuple[str, Any]]:
    """Every value of a nested dict with its path; keys are joined by `sign`."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from ((f"{key}{sign}{place}", inner) for place, inner in flat(value, sign))
        else:
            yield key, value
