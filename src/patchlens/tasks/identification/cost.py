"""What T2 costs."""

from patchlens.tasks.cost import READ, Cost, Planned
from patchlens.tasks.identification.settings import Identification


def cost(cell: Planned) -> Cost:
    """Copies, searches for single patches, and the means of all heads, twice those of objects."""
    settings = cell.settings.section(Identification)
    images = cell.query if settings.images == "all" else min(cell.query, settings.images)
    copies = images * len(settings.degradations.items())
    share = settings.patches
    asked = cell.patches if share == "all" else min(cell.patches, share)
    search = cell.search(bank=cell.query * cell.patches, queries=copies * asked)
    squares = sum(1 / g**2 for g in settings.granularities)
    asked_of = copies * asked / cell.patches
    # Means of all heads as parts and as one, and those of one head of length 1.
    memory = (2 * squares + 1) * cell.held(cell.query) + 2 * squares * cell.held(1) * asked_of
    return Cost(
        knn=cell.searched * search,
        transform=2 * cell.transforms(cell.query + copies),
        read=READ * cell.query,
        copies=copies,
        memory=memory + cell.chunk,
    )
