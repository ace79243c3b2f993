"""The judged claims as CSV, Markdown and LaTeX."""

from collections.abc import Iterator, Mapping

import pandas as pd

from patchlens.display import grid
from patchlens.report.judge import LEVELS, Outcome
from patchlens.report.verdict_words import effect, threshold
from patchlens.settings.claims import Claim, Side
from patchlens.tasks.resample import MIN_UNITS

SCORE, P = 4, 5  # digits
GROUPS = {
    "paper": ("Findings of the paper", "Judged only with the paper's model families on real data."),
    "open": (
        "Findings of the paper on open data",
        "The same findings on datasets that need no account (presets/open.yaml): a separate family "
        "for Holm's adjustment.",
    ),
    "minicity": (
        "Findings in minicity",
        "Verdicts on the mini models are about training objectives in minicity, not about the "
        "released models.",
    ),
    "own": ("Own claims", "A separate family for Holm's adjustment."),
}
COLUMNS = [
    *("id", "group", "kind", "text", "source", "a", "b", "metric", "datasets", "direction"),
    *("delta", "effect", "ci_low", "ci_high", "ci_level", "p_holm", "n_units", "verdict", "note"),
]
# Of the cells that a claim was judged on; several values where they differ.
PROTOCOL = [
    *("protocol_version", "weights", "view", "grid", "seeds", "k", "prune_m", "prune_select"),
    *("torch", "timm", "numpy"),
]
HEADER = ["id", "finding", "source", "comparison", "δ", "effect [interval]", "p", "n", "verdict"]
SIGNS = {"greater": ">", "less": "<", None: "≈"}


def numbers(outcome: Outcome) -> dict[str, float | int]:
    """The numbers of a claim, rounded; empty for a claim that was not run."""
    if not outcome.was_run:
        return {}
    return {
        "effect": round(outcome.effect, SCORE),
        "ci_low": round(outcome.low, SCORE),
        "ci_high": round(outcome.high, SCORE),
        "p_holm": round(outcome.p_holm, P),
        "n_units": outcome.units,
    }


def rows(
    outcomes: Mapping[str, Outcome],
    protocols: Mapping[str, pd.DataFrame],
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """One row per claim; the numbers of a claim that was not run are empty.

    Args:
        outcomes: id -> judged claim.
        protocols: id -> the protocols of the cells that it was judged on, one row per cell.
        resamples: number of resamples B.
        seed: of the resamples.
    """
    table = [
        {
            "id": name,
            "group": o.claim.group,
            "kind": o.claim.kind,
            "text": " ".join(o.claim.text.split()),
            "source": o.claim.source,
            "a": side(o.claim, o.claim.a),
            "b": side(o.claim, o.claim.b),
            "metric": o.claim.metric,
            "datasets": " ".join(o.claim.datasets),
            "direction": o.claim.direction,
            "delta": o.claim.delta,
            "ci_level": LEVELS[o.claim.kind],
        }
        | numbers(o)
        | {"verdict": o.verdict, "note": o.note, "resamples": resamples, "bootstrap_seed": seed}
        | {key: grid.values(protocols[name], key) for key in PROTOCOL if key in protocols[name]}
        for name, o in outcomes.items()
    ]
    columns = [*COLUMNS, "resamples", "bootstrap_seed", *PROTOCOL]
    return pd.DataFrame(table, columns=columns).astype({"n_units": "Int64"})


def markdown(outcomes: Mapping[str, Outcome], resamples: int) -> str:
    """One section per group: a table of the judged claims, then a list of those not run."""
    parts = [] if outcomes else ["claims.yaml lists no claims."]
    for title, remark, of_group in _groups(outcomes):
        parts += [f"### {title}", remark]
        ran = _body({name: o for name, o in of_group.items() if o.was_run})
        if ran:
            parts.append(grid.markdown(HEADER, ran))
        others = _body({name: o for name, o in of_group.items() if not o.was_run})
        lines = [
            grid.plain(f"- {line[0]} ({line[2]}): {line[1]} {line[3]}. {line[-1]}")
            for line in others
        ]
        parts += ["\n".join(lines)] if lines else []
    parts += [caption(resamples)] if outcomes else []
    return "\n\n".join(parts) + "\n"


def latex(outcomes: Mapping[str, Outcome], resamples: int) -> str:
    """The same as LaTeX tables, to be included as they are; they need no package."""
    widths = "lp{.2\\linewidth}lp{.2\\linewidth}rp{.12\\linewidth}rrp{.14\\linewidth}"
    parts = [] if outcomes else ["% claims.yaml lists no claims.\n"]
    for title, remark, of_group in _groups(outcomes):
        header, *body = (
            " & ".join(grid.escape(cell) for cell in line) + " \\\\"
            for line in [HEADER, *_body(of_group)]
        )
        parts += [
            "\\begin{table}\n\\centering\\scriptsize",
            f"\\begin{{tabular}}{{{widths}}}\n\\hline\n{header}\n\\hline",
            *body,
            "\\hline\n\\end{tabular}",
            f"\\caption{{{grid.escape(f'{title}. {remark} {caption(resamples)}')}}}",
            "\\end{table}\n",
        ]
    return "\n".join(parts)


def _groups(outcomes: Mapping[str, Outcome]) -> Iterator[tuple[str, str, dict[str, Outcome]]]:
    for group, (title, remark) in GROUPS.items():
        found = {name: o for name, o in outcomes.items() if o.claim.group == group}
        if found:
            yield title, remark, found


def caption(resamples: int) -> str:
    """How the verdicts were reached, in words."""
    return (
        f"{resamples} bootstrap resamples draw support seeds and query units together, with the "
        "same draws for both sides and for all claims on a dataset; their spread is corrected for "
        "small numbers of seeds and units. "
        "Effect: a minus b (for <, b minus a), positive if it agrees with the claim, in percentage "
        "points where the metric is a share. "
        "Its interval (95 %; 90 % for ≈) is not adjusted for the number of claims. "
        "p: adjusted by Holm over all judged claims of the paper and of minicity, and separately "
        "over those on open data and over own claims; a part, such as c1@ade20k, has its own. "
        "Verdict: supported or contradicted if "
        f"p ≤ 0.05 and there are at least {MIN_UNITS} units, otherwise undecided. "
        "n: query units of the smallest dataset. δ: the smallest effect that counts; for ≈, the "
        "largest difference that does not count."
    )


def comparison(claim: Claim) -> str:
    """What is compared, in words: the sides, the metric, the datasets."""
    sides = f"{side(claim, claim.a)} {SIGNS[claim.direction]} {side(claim, claim.b)}"
    if claim.chance is not None:
        sides += f"; {claim.chance.variant} at chance"
    return f"{sides}: {claim.metric} on {', '.join(claim.datasets)}"


def side(claim: Claim, of: Side) -> str:
    """One side in words."""
    names = ", ".join(of.models)
    if len(of.models) > 1:
        rivals = claim.kind == "superlative" and of is claim.b
        names = f"{'each' if rivals else 'mean'} of {names}"
    return f"{names} {of.variant}"


def _body(outcomes: Mapping[str, Outcome]) -> list[list[str]]:
    body = []
    for name, o in outcomes.items():
        numbers = ["", "", ""]
        if o.was_run:
            found = effect(o.claim.metric, (o.effect, o.low, o.high))
            numbers = [found, f"{o.p_holm:.4f}", str(o.units)]
        text, source = " ".join(o.claim.text.split()), " ".join(o.claim.source.split())
        verdict = f"{o.verdict}: {o.note}" if o.note else o.verdict
        delta = threshold(o.claim.metric, o.claim.delta)
        body.append([name, text, source, comparison(o.claim), delta, *numbers, verdict])
    return body
