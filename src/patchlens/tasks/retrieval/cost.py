"""What T3 costs."""

from patchlens.tasks.cost import READ, Cost, Planned
from patchlens.tasks.retrieval.settings import Retrieval

OBJECTS = 16  # of an image: about those of minicity and of street scenes
HEADS = 2  # the object itself, and another of its fine class


def cost(cell: Planned) -> Cost:
    """The means of objects of every variant, and the list of each object that asks."""
    asking = min(OBJECTS * cell.query, cell.settings.section(Retrieval).queries)
    return Cost(
        transform=cell.transforms(cell.query),
        links=float(HEADS * cell.fits * asking),
        read=READ * cell.query,
        memory=cell.chunk,
    )
