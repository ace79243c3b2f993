"""What T3 costs."""

from patchlens.tasks.cost import Cost, Planned


def cost(cell: Planned) -> Cost:
    """The means of objects of every variant; that of their lists is not known before the index."""
    return Cost(transform=cell.transforms(cell.query), memory=cell.chunk)
