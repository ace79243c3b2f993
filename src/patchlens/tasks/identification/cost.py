"""What T2 costs."""

from patchlens.features.variants import draws
from patchlens.tasks.cost import Cost, Planned
from patchlens.tasks.identification.settings import Identification


def cost(cell: Planned) -> Cost:
    """Copies and searches for single patches; pooled patches and objects are negligible."""
    settings = cell.settings.section(Identification)
    images = cell.query if settings.images == "all" else min(cell.query, settings.images)
    copies = images * len(settings.degradations.items())
    share = settings.patches
    asked = cell.patches if share == "all" else min(cell.patches, share)
    fits = sum(draws(name, cell.settings.prune) for name in cell.settings.variants)
    search = cell.search(bank=cell.query * cell.patches, queries=copies * asked)
    return Cost(knn=fits * search, copies=copies)
