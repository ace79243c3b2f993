"""What the sweep costs."""

from patchlens.features.variants import draws
from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.sweep.settings import SWEPT, Sweep


def cost(cell: Planned) -> Cost:
    """Searches over all m at once and one probe for each m, for every support seed.

    A search over nested sets of dimensions costs as much as one over the widest. Retrieval of
    objects is negligible.
    """
    settings, prune = cell.settings.section(Sweep), cell.settings.prune
    segmentation = cell.settings.section(Segmentation)
    shots, folds = segmentation.shots, segmentation.linear.folds
    seeds = len(cell.settings.dataset(cell.dataset).few_shot()[0].seeds)
    images = cell.query if settings.images == "all" else min(cell.query, settings.images)
    control = draws("prune_random", prune, seeds)
    nested = len(SWEPT) - 1 + control + len(settings.rivals)
    fits = 1 + len(settings.rivals) + len(prune.choices) * (len(SWEPT) - 1 + control)
    bank, queries = shots * cell.pools * cell.patches, images * cell.patches
    knn = nested * cell.search(bank=bank, queries=queries) if "knn" in settings.heads else 0.0
    if prune.select == "auto":
        knn += cell.choosing(
            images=shots * cell.pools, folds=folds, most=segmentation.knn.select_patches
        )
    memory = 3 * cell.held(shots * cell.pools) + cell.chunk  # tests hold the fits below it
    one = cell.probe(images=shots * cell.pools, choices=1, folds=2)
    probe = seeds * fits * one if "linear" in settings.heads else 0.0
    return Cost(knn=seeds * knn, probe=probe, memory=memory)
