"""How often a family of claims that are all false at their boundary gets a wrong verdict.

`PYTHONPATH=src python tests/report/test_claims_type_one.py` prints the table of docs/claims.md.
"""

import numpy as np
import pytest

from patchlens.report import verdict as rules

SEEDS = 5
DELTA = 1.0
# Standard deviations of a seed effect, of a unit effect (÷ √units / 8) and of their interaction.
# The standard error is small beside δ, so that each boundary is met alone.
NOISE = {
    "units": (0, 1, 0),
    "seeds": (0.3, 0, 0),
    "interaction": (0, 0, 1),
    "all": (0.3, 1, 0.5),
}
# kind, δ, true effects (one a rival), the verdicts that are wrong
CLAIMS = [
    ("difference", 0.0, [0.0], {"supported", "contradicted"}),
    ("difference", 0.0, [0.0], {"supported", "contradicted"}),
    ("difference", DELTA, [0.0], {"supported", "contradicted"}),
    ("difference", DELTA, [DELTA], {"supported", "contradicted"}),
    ("superlative", DELTA, [DELTA, 9.0], {"supported", "contradicted"}),
    ("superlative", 0.0, [0.0, 0.0], {"supported", "contradicted"}),
    ("equivalence", DELTA, [DELTA], {"supported"}),
    ("equivalence", DELTA, [-0.999 * DELTA], {"contradicted"}),
]


def resampled_effects(rng, count, units, noise, resamples, expand, skewed=False):
    """Expanded resamples [count, B] of `count` effects that are 0, made as claims make them."""
    seed, unit, both = noise

    def draw(*shape):
        return rng.exponential(size=shape) - 1 if skewed else rng.normal(size=shape)

    scores = seed * draw(count, SEEDS, 1) + both * draw(count, SEEDS, units)
    scores += unit * np.sqrt(units) / 8 * draw(count, 1, units)
    shares = rng.multinomial(SEEDS, np.full(SEEDS, 1 / SEEDS), resamples) / SEEDS
    weights = rng.multinomial(units, np.full(units, 1 / units), resamples) / units
    samples = scores.reshape(-1, units) @ weights.T
    samples = samples.reshape(count, SEEDS, resamples).swapaxes(1, 2)
    estimate, parts = rules.effect_parts(scores.mean(axis=2), samples, shares, units)
    if not expand:
        return estimate[:, None] + sum(part.deviations for part in parts)
    return rules.expanded(estimate, parts)


def p_values(kind, delta, effects):
    if kind == "difference":
        return rules.difference(effects[0], delta)
    if kind == "equivalence":
        return rules.equivalence(effects[0], delta)
    return rules.superlative(effects, delta)


def wrong_families(units, noise, families, resamples, expand=True, claims=CLAIMS, seed=0, **more):
    """Share of simulated families in which any claim gets a verdict that is false."""
    rng = np.random.default_rng(seed)
    found = []
    for kind, delta, truths, _ in claims:
        effects = [
            truth + resampled_effects(rng, families, units, noise, resamples, expand, **more)
            for truth in truths
        ]
        found.append(p_values(kind, delta, effects))
    wrong = 0
    for i in range(families):
        adjusted = rules.holm({str(k): float(p.combined[i]) for k, p in enumerate(found)})
        wrong += any(
            rules.verdict(p.supported[i], p.contradicted[i], adjusted[str(k)], units) in false
            for k, (p, (*_, false)) in enumerate(zip(found, claims, strict=True))
        )
    return wrong / families


@pytest.mark.parametrize("units", [10, 20, 64])
@pytest.mark.parametrize("noise", NOISE)
def test_a_family_of_true_nulls_gets_a_wrong_verdict_no_oftener_than_its_level(units, noise):
    families = 300
    allowed = rules.ALPHA + 3 * np.sqrt(rules.ALPHA * (1 - rules.ALPHA) / families)
    assert wrong_families(units, NOISE[noise], families, 400) <= allowed


def test_plain_percentiles_would_not_hold_the_level_with_five_seeds():
    assert wrong_families(64, NOISE["seeds"], 400, 400, expand=False) > 0.2


def test_the_procedure_still_decides_what_is_clear():
    # Eight standard errors beyond δ, as one of eight claims: the price of few seeds is bearable.
    noise, error = NOISE["all"], np.sqrt(0.3**2 / SEEDS + 1 / 64 + 0.5**2 / SEEDS / 64)
    effects = DELTA + 8 * error
    effects += resampled_effects(np.random.default_rng(1), 400, 64, noise, 1000, True)
    assert (8 * rules.difference(effects, DELTA).combined <= rules.ALPHA).mean() > 0.8


def main() -> None:
    """Print the measured rates as a Markdown table."""
    print("| units | noise | one, plain | one | one, skewed | family, plain | family |")
    print("|---|---|---|---|---|---|---|")
    one = CLAIMS[:1]
    columns = [(one, False, False), (one, True, False), (one, True, True)]
    columns += [(CLAIMS, False, False), (CLAIMS, True, False)]
    for units in (10, 20, 64):
        for name, noise in NOISE.items():
            cells = []
            for claims, expand, skewed in columns:
                rates = [
                    wrong_families(units, noise, 250, 2000, expand, claims, seed, skewed=skewed)
                    for seed in range(16)
                ]
                cells.append(f"{np.mean(rates):.3f}")
            print(f"| {units} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
