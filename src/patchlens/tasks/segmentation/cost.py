"""What T1 costs."""

from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.segmentation.classify import plans
from patchlens.tasks.segmentation.settings import Segmentation


def cost(cell: Planned) -> Cost:
    """Searches and probes of every fit of every support seed."""
    settings = cell.settings.section(Segmentation)
    linear = settings.linear
    support = cell.settings.dataset(cell.dataset).few_shot()[0]
    seeds, folds = len(support.seeds), support.folds or 1  # each fold is scored on its part
    knn = probe = 0.0
    for plan in plans(settings, cell.settings.prune, cell.layers, seeds):
        images = plan.shots * cell.pools
        if plan.head == "knn":
            knn += cell.search(bank=images * cell.patches, queries=cell.query * cell.patches)
        elif plan.head == "linear":
            probe += cell.probe(images=images, choices=len(linear.c), folds=linear.folds)
    return Cost(knn=seeds * knn, probe=seeds * folds * probe)
