"""Why a model leads, from the tables: the contributions of training and of the top dimensions."""

from collections.abc import Callable

from patchlens.site.leads import Lead

ENDS = ("", "_ci_low", "_ci_high")


def over_floor(found: Lead, is_floor: Callable[[str], bool]) -> tuple[str, list[float]] | None:
    """The floor nearest to the leader with the difference; None if a floor leads."""
    floors = [rival for rival in found.rivals if is_floor(rival.model)]
    if is_floor(found.leader) or not floors:
        return None
    first = floors[0]
    return first.model, [first.difference, first.low, first.high]


def gain(found: Lead, variant: str) -> list[float] | None:
    """The gain of a variant over the leader's raw features, with its interval, if it was run."""
    key, rows = found.headline.metric.key, found.headline.rows
    columns = [f"{key}_gain{end}" for end in ENDS]
    at = rows[(rows["model"] == found.leader) & (rows["variant"] == variant)]
    if not set(columns) <= set(rows.columns) or at[columns].dropna().empty:
        return None
    return [float(value) for value in at[columns].iloc[0]]
