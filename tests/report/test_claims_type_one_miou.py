"""How often two models of one law are told apart by mIoU, which is no mean over units.

`python tests/report/test_claims_type_one_miou.py` prints what docs/claims.md says of it.
"""

import numpy as np
import pytest

from patchlens.report import verdict as rules
from patchlens.tasks.segmentation.metrics import run_miou

SEEDS, CLASSES, PIXELS = 5, 10, 500
SHARE = np.arange(1, CLASSES + 1) ** -1.5 / np.sum(np.arange(1, CLASSES + 1) ** -1.5)
NOISE = {"units": (0, 0.7, 0), "seeds": (0.3, 0, 0), "all": (0.2, 0.5, 0.3)}  # of the logit


def counts_of_a_model(rng, true, noise):
    """Hits, true and predicted pixels [S, U, C, 3]; wrong pixels fall to classes by their share."""
    shape = (SEEDS, *true.shape)
    seed, unit, both = noise
    logit = 0.3 + seed * rng.normal(size=(SEEDS, 1, CLASSES)) + both * rng.normal(size=shape)
    logit += unit * rng.normal(size=(1, *true.shape))
    everywhere = np.broadcast_to(true, shape)
    hits = rng.binomial(everywhere, 1 / (1 + np.exp(-logit)))
    wrong = rng.multinomial((everywhere - hits).sum(axis=-1), SHARE)
    return np.stack([hits, everywhere, hits + wrong], axis=-1).astype(float)


def wrong_verdicts(units, noise, trials, resamples, seed=0):
    """Share of trials decided without and with the expansion, where no model is better."""
    rng = np.random.default_rng(seed)
    shares = rng.multinomial(SEEDS, np.full(SEEDS, 1 / SEEDS), resamples) / SEEDS
    weights = rng.multinomial(units, np.full(units, 1 / units), resamples).astype(float)
    everything = np.ones((1, units))
    wrong = np.zeros(2)
    for _ in range(trials):
        true = rng.multinomial(PIXELS, rng.dirichlet(8 * SHARE, units))
        a, b = (counts_of_a_model(rng, true, noise) for _ in range(2))
        seen = true.sum(axis=0) > 0
        point = run_miou(a, everything, present=seen)[0] - run_miou(b, everything, present=seen)[0]
        samples = run_miou(a, weights, present=seen) - run_miou(b, weights, present=seen)
        estimate, parts = rules.effect_parts(point, samples, shares, units)
        plain = estimate + sum(part.deviations for part in parts)
        both = (plain, rules.expanded(estimate, parts))
        wrong += [rules.difference(effects, 0).combined <= rules.ALPHA for effects in both]
    return wrong / trials


@pytest.mark.parametrize("noise", NOISE)
def test_two_models_of_one_law_are_told_apart_no_oftener_than_the_level(noise):
    _, expanded = wrong_verdicts(12, NOISE[noise], 120, 400)
    assert expanded <= rules.ALPHA + 3 * np.sqrt(rules.ALPHA * (1 - rules.ALPHA) / 120)


if __name__ == "__main__":
    for n in (10, 20, 64):
        for name, sizes in NOISE.items():
            plain, expanded = wrong_verdicts(n, sizes, 1000, 1000)
            print(f"{n} units, {name}: plain {plain:.3f}, expanded {expanded:.3f}", flush=True)
