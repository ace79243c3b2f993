"""What T4 costs."""

from patchlens.tasks.cost import READ, Cost, Planned
from patchlens.tasks.tracking.propagation import BLOCK
from patchlens.tasks.tracking.settings import Tracking

SCORES = 10  # frames that are linked in the time that scores of a linking take for a frame


def cost(cell: Planned) -> Cost:
    """Similarities of patches to those nearby in earlier frames, or frames whose boxes are linked.

    Linking tries every threshold on the frames of the support (without one, on the query), and
    links and scores the query with and without a threshold; pairs of frames at each distance cost
    as much as a link.
    """
    tracking = cell.settings.section(Tracking)
    if cell.reader == "davis":
        of = tracking.davis
        rows, columns = (min(size, 2 * of.radius + BLOCK) for size in cell.grid)
        seen = (of.queue + 1) * rows * columns
        knn = cell.query * cell.search(bank=seen, queries=cell.patches)
        held = 2 * cell.held(of.queue + 2)
        return Cost(knn=cell.searched * knn, transform=cell.transforms(cell.query), memory=held)
    tried = len(tracking.thresholds) * (cell.support or cell.query)
    linked = tried + (2 + 2 * SCORES + len(tracking.deltas)) * cell.query
    return Cost(
        transform=cell.transforms(cell.support + cell.query),
        links=float(cell.fits * linked),
        read=READ * (cell.support + cell.query),
        memory=cell.chunk,
    )
