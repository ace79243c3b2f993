"""What the nested choice costs."""

from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.selection.settings import Selection


def cost(cell: Planned) -> Cost:
    """Searches and probes of the inner folds of every support set, and of all images once."""
    settings, own = cell.settings.section(Segmentation), cell.settings.section(Selection)
    support = cell.settings.dataset(cell.dataset).few_shot()[0]
    sets = len(support.seeds) * (support.folds or 1) + 1
    images = min(settings.shots * cell.pools, cell.query) if support.folds else settings.shots
    many = sets * len(cell.layers) * len(settings.variants)
    patches = images * cell.patches
    bank, linear = patches * (own.folds - 1) // own.folds, settings.linear
    knn = many * cell.search(bank=bank, queries=patches) if "knn" in settings.heads else 0.0
    probes = own.folds * len(linear.c) if "linear" in settings.heads else 0
    return Cost(
        knn=knn,
        probe=many * probes * cell.probe(images=images, choices=1, folds=2),
        maps=len(support.seeds) * cell.maps(images=cell.query),
    )
