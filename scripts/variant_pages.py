"""Write docs/variants.md from the table of variants in the code.

`python scripts/variant_pages.py` writes it, `--check` only says whether it is out of date.
"""

import sys
from collections.abc import Iterator

import numpy as np

from made_pages import ROOT, bring_up_to_date
from patchlens.features.moments import rank_by_variance
from patchlens.features.variants import VARIANTS, FitData, Transform, fit, pruned_count
from patchlens.settings.base import Distance
from patchlens.settings.features import Prune, VariantName
from patchlens.tasks.knn import search
from patchlens.tasks.probe import fit_probe
from patchlens.tasks.segmentation.settings import Linear

PAGE = ROOT / "docs/variants.md"
DISTANCES: tuple[Distance, ...] = ("cosine", "dot", "l2")
WIDTH = 768  # of a ViT-B, for which the paper's numbers of dimensions are given
LEARNS = {
    "mean": "mean",
    "variance": "variance of each dimension",
    "ranking": "ranking of the dimensions by variance",
    "components": "principal components",
}
INTRODUCTION = """\
<!-- Made by `make variant-pages` from src/patchlens/features/variants.py; edit that. -->
# Feature variants

What is done to the features of patches before a distance or a probe sees them. Every task scores
all variants of `segmentation.variants`, so that a model is never judged by one of them alone. In
short: compare `raw` with `prune` for the paper's claim, with `prune_random` for the control, and
with `zscore` and `pca_whiten`, which tame the same dimensions without dropping them.

None of them sees a label. They are fitted on *all* patches of a seed's support images in T1,
unlabelled ones included, and of all support images in T2 to T4 (the query's where there is none;
both with `prune.fit_on: dataset`). The exact rules, and thirty lines of numpy, are in
[protocol.md](protocol.md#2-variants). Settings are keys of `prune` in `params.yaml`.
"""
EQUAL = """\
## Which variants cannot differ from `raw`

Computed on made features, with k-NN by each `distance` and with the linear probe: a *yes* means the
same neighbours in the same order, or the same class for every patch.
"""
WHY = """\
**Why `l2` equals `raw` under cosine.** The cosine is the inner product of features of length 1, and
`l2` gives them that length beforehand: cos(x, y) = ⟨x/‖x‖, y/‖y‖⟩ either way. Cosine is the default
distance of every task, so the two agree wherever patches themselves are compared: k-NN in T1, the
head `patch` of T2, label propagation in T4. They differ

- under `dot`, where a long patch of `raw` attracts more queries than a short one;
- under `l2`, the Euclidean distance, to which the lengths of `raw` add;
- for the linear probe, which sees other inputs;
- a little where patches are averaged before the cosine (squares of patches in T2, objects in T2 to
  T4): with `l2` every patch counts equally in the mean, with `raw` a long one counts more.

**Why `center` equals `raw` for Euclidean distance and the probe.** Moving all points changes no
distance, and the probe's free intercepts make up for the mean. Under cosine it can change a lot:
angles are then measured at the mean of the features instead of at 0.
"""


def main() -> int:
    return bring_up_to_date(__doc__.splitlines()[0], {PAGE: page()})


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION]
    lines += [
        f"| variant | what happens | fitted on the patches | settings | of {WIDTH} dimensions |",
        "|---|---|---|---|---|",
    ]
    for name, variant in VARIANTS.items():
        learns = ", ".join(LEARNS[what] for what in variant.learns) or "nothing"
        settings = ", ".join(f"`prune.{key}`" for key in variant.settings) or "none"
        title = variant.title[0].lower() + variant.title[1:]
        lines.append(
            f"| [`{name}`](#{name}) | {title} | {learns} | {settings} | {kept(name)} remain |"
        )
    for name, variant in VARIANTS.items():
        lines += ["", f"## {name}", "", f"**{variant.title}.** {variant.does}"]
    lines += ["", EQUAL, *equality(), "", WHY]
    return "\n".join(lines)


def kept(name: VariantName) -> int:
    """How many of `WIDTH` dimensions remain with the default settings."""
    rng = np.random.default_rng(0)
    return int(fitted(name, rng.normal(size=(WIDTH + 1, WIDTH)))(np.zeros((1, WIDTH))).shape[1])


def fitted(name: VariantName, x: np.ndarray) -> Transform:
    """A variant fitted on patches [n, D], with the settings of the default."""
    settings = Prune(
        m=0.26, select="fixed", choices=[0.26], fit_on="support", random_draws=1, pca_drop=1
    )
    variance, m = x.var(axis=0), pruned_count(settings.m, x.shape[1])
    data = FitData(x.mean(axis=0), variance, rank_by_variance(variance), m, lambda: [x])
    return fit(name, data, settings, seed=0, draw=0)


def equality() -> Iterator[str]:
    """The table of what agrees with `raw`."""
    yield f"| variant | {' | '.join(f'`{d}`' for d in DISTANCES)} | linear probe |"
    yield f"|---|{'---|' * (len(DISTANCES) + 1)}"
    rng = np.random.default_rng(0)
    scales = np.geomspace(3, 0.5, 8)
    bank, queries = ((rng.normal(size=(n, 8)) * scales + 2).astype(np.float32) for n in (120, 200))
    labels = (bank[:, :3] + rng.normal(size=(120, 3))).argmax(axis=1)
    answers = {name: answers_of(name, bank, queries, labels) for name in VARIANTS}
    for name, own in answers.items():
        if name != "raw":
            same = (np.array_equal(a, b) for a, b in zip(own, answers["raw"], strict=True))
            yield f"| `{name}` | {' | '.join('**yes**' if s else 'no' for s in same)} |"


def answers_of(
    name: VariantName, bank: np.ndarray, queries: np.ndarray, labels: np.ndarray
) -> list[np.ndarray]:
    """Neighbours by every distance, and the classes of the probe."""
    transform = fitted(name, bank)
    x, q = transform(bank), transform(queries)
    cpu = "cpu"
    found = [search(x, q, 5, distance=distance, device=cpu)[1] for distance in DISTANCES]
    settings = Linear(c=[1.0], default_c=1.0, folds=2, max_iter=5000)
    probe = fit_probe(x, labels, np.zeros(len(x), dtype=np.int64), 3, settings)
    return [*found, probe.scores(q).argmax(axis=1)]


if __name__ == "__main__":
    sys.exit(main())
