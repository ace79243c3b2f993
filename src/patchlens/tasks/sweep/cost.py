"""What the sweep costs."""

from patchlens.features.variants import draws, pruned_counts
from patchlens.tasks.cost import Cost, Planned, search_work
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.sweep.settings import SWEPT, Sweep


def cost(cell: Planned) -> Cost:
    """Searches over all m at once and one probe for each m, for every support seed.

    A search over nested sets of dimensions takes the products of the widest. Retrieval of objects
    is negligible.
    """
    settings, prune = cell.settings.section(Sweep), cell.settings.prune
    segmentation = cell.settings.section(Segmentation)
    shots, folds = segmentation.shots, segmentation.linear.folds
    seeds = len(cell.settings.dataset(cell.dataset).few_shot()[0].seeds)
    images = cell.query if settings.images == "all" else min(cell.query, settings.images)
    control = draws("prune_random", prune, seeds)
    nested = len(SWEPT) - 1 + control + len(settings.rivals)
    kept = [m / cell.width for m in pruned_counts(prune, cell.width)]
    shares = [1.0] * (1 + len(settings.rivals)) + kept + [1 - m for m in kept] * (1 + control)
    bank, queries = shots * cell.pools * cell.patches, images * cell.patches
    pairs, own = float(bank) * queries, len(settings.rivals)
    knn = own * search_work(pairs, cell.width)
    knn += (nested - own) * search_work(pairs, cell.width, len(kept))
    knn *= "knn" in settings.heads
    if prune.select == "auto":
        knn += cell.choosing(
            images=shots * cell.pools, folds=folds, most=segmentation.knn.select_patches
        )
    memory = 3 * cell.held(shots * cell.pools) + cell.chunk  # tests hold the fits below it
    probe = sum(cell.passes(1, images=shots * cell.pools, share=share) for share in shares)
    probe *= seeds * ("linear" in settings.heads)
    return Cost(knn=seeds * knn, probe=probe, memory=memory)
