"""What T1 costs."""

from patchlens.tasks.bank import COPIES
from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.segmentation.classify import fitted_as, plans
from patchlens.tasks.segmentation.settings import Segmentation


def cost(cell: Planned) -> Cost:
    """Searches, probes and pixel maps of every fit of every support seed, and the choice of m.

    In memory are the bank, its rows of length 1 for k-NN, and for the probe its rows on their axes,
    of each fold too while C is chosen, beside four arrays of a number for each patch and class.
    A bank beyond `limits.memory_gb` takes what that leaves for it; an index is built in memory.
    """
    settings = cell.settings.section(Segmentation)
    linear = settings.linear
    support = cell.settings.dataset(cell.dataset).few_shot()[0]
    seeds, folds = len(support.seeds), support.folds or 1  # each fold is scored on its part
    knn = probe = maps = stored = index = 0.0

    for plan in plans(settings, cell.settings.prune, cell.layers, seeds):
        if plan.variant != fitted_as(plan, settings.knn):
            continue
        images, share = plan.shots * cell.pools, cell.share(plan.variant)
        swept = plan.head == "knn" and plan[1:] == ("raw", 0, cell.layers[0], settings.shots)
        ks = {settings.k, *(settings.k_sweep if swept else [])}
        maps += 0 if plan.head == "majority" else len(ks) * cell.maps(images=cell.query)
        if plan.head == "knn":
            bank, queries = images * cell.patches, cell.query * cell.patches
            knn += share * cell.neighbours(settings.knn, bank=bank, queries=queries)
            stored += share * (one := cell.stored(settings.knn, bank=bank))
            index = max(index, one)
        elif plan.head == "linear":
            choices = len(linear.c)
            parts = min(linear.folds, images)
            probe += cell.probe(images=images, choices=choices, folds=parts, share=share)
    if cell.settings.prune.select == "auto":
        knn += folds * cell.choosing(
            images=settings.shots * cell.pools,
            folds=linear.folds,
            most=settings.knn.select_patches,
        )
    largest = max(settings.shots, *settings.shots_sweep, 0) * cell.pools
    copies = 1 + ("knn" in settings.heads)
    copies += 0 if "linear" not in settings.heads else 1 if len(linear.c) == 1 else 2
    fitted = 16.0 * largest * cell.patches * cell.classes if "linear" in settings.heads else 0.0
    held, limit = cell.held(largest), cell.settings.limits.bank
    in_file = limit is not None and COPIES * held > limit and "linear" not in settings.heads
    memory = (limit if in_file and limit else copies * held) + fitted + cell.chunk + index
    return Cost(
        knn=seeds * knn,
        probe=seeds * folds * probe,
        maps=seeds * maps,
        memory=memory,
        stored=seeds * stored,
    )
