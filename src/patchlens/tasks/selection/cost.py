"""What the nested choice costs."""

from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.selection.settings import Selection


def cost(cell: Planned) -> Cost:
    """Searches and probes of the inner folds of every support set, and of all images once."""
    settings, own = cell.settings.section(Segmentation), cell.settings.section(Selection)
    support = cell.settings.dataset(cell.dataset).few_shot()[0]
    turns = min(support.folds, cell.query) if support.folds else 1
    sets = len(support.seeds) * turns + 1
    images = min(settings.shots * cell.pools, cell.query) if support.folds else settings.shots
    inner, fits = max(1, min(own.folds, images)), sets * len(cell.layers)
    patches = images * cell.patches
    search = cell.search(bank=patches * (inner - 1) // inner, queries=patches)
    centred = {"center"} if "raw" in settings.variants else set()  # not fitted again, see choose
    linear = {*settings.variants} - centred if "linear" in settings.heads else set()
    passes = fits * len(linear) * len(settings.linear.c) * (inner - 1) + sets
    return Cost(
        knn=fits * len(settings.variants) * search if "knn" in settings.heads else 0.0,
        probe=cell.passes(passes, images=images) if linear else 0.0,
        maps=len(support.seeds) * cell.maps(images=cell.query),
        memory=4 * cell.held(images) + cell.chunk,
    )
