"""What T1 costs."""

from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.segmentation.classify import plans
from patchlens.tasks.segmentation.settings import Segmentation


def cost(cell: Planned) -> Cost:
    """Searches, probes and pixel maps of every fit of every support seed, and the choice of m."""
    settings = cell.settings.section(Segmentation)
    linear = settings.linear
    support = cell.settings.dataset(cell.dataset).few_shot()[0]
    seeds, folds = len(support.seeds), support.folds or 1  # each fold is scored on its part
    knn = probe = maps = 0.0
    for plan in plans(settings, cell.settings.prune, cell.layers, seeds):
        images = plan.shots * cell.pools
        swept = plan.head == "knn" and plan[1:] == ("raw", 0, cell.layers[0], settings.shots)
        ks = {settings.k, *(settings.k_sweep if swept else [])}
        maps += 0 if plan.head == "majority" else len(ks) * cell.maps(images=cell.query)
        if plan.head == "knn":
            knn += cell.search(bank=images * cell.patches, queries=cell.query * cell.patches)
        elif plan.head == "linear":
            probe += cell.probe(images=images, choices=len(linear.c), folds=linear.folds)
    if cell.settings.prune.select == "auto":
        knn += folds * cell.choosing(images=settings.shots * cell.pools, folds=linear.folds)
    return Cost(knn=seeds * knn, probe=seeds * folds * probe, maps=seeds * maps)
