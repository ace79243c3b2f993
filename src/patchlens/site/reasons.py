"""Why a model leads, as far as the tables tell: what training and the top dimensions add."""

from collections.abc import Callable

from patchlens.site.leads import Lead

ENDS = ("", "_ci_low", "_ci_high")


def over_floor(found: Lead, is_floor: Callable[[str], bool]) -> tuple[str, list[float]] | None:
    """The floor that is nearest to the leader with by how much; None where a floor leads."""
    floors = [rival for rival in found.rivals if is_floor(rival.model)]
    if is_floor(found.leader) or not floors:
        return None
    first = floors[0]
    return first.model, [first.difference, first.low, first.high]


def gain(found: Lead, variant: str) -> list[float] | None:
    """What a variant adds to the leader over its raw features, with the interval, if it was run."""
    key, rows = found.headline.shown.key, found.headline.rows
    columns = [f"{key}_gain{end}" for end in ENDS]
    at = rows[(rows["model"] == found.leader) & (rows["variant"] == variant)]
    if not set(columns) <= set(rows.columns) or at[columns].dropna().empty:
        return None
    return [float(value) for value in at[columns].iloc[0]]
