"""Settings of T3, object retrieval."""

from typing import Annotated, ClassVar, Literal, get_args

from patchlens.settings.base import MOST, Distance, Section, Some, Within

Relevant = Literal["instance", "fine_class"]


class Retrieval(Section):
    """T3. Every object of the query images is a query for the objects that are `relevant` to it.

    `frame_distance: null` excludes all objects of the query's sequence; a number excludes those in
    frames closer than this number. Objects of the query's image are always excluded. Where there
    are more objects than `queries`, a seeded sample of so many asks, each against all objects.
    """

    needs: ClassVar[str] = "recurring objects"
    relevant: Some[Relevant]
    frame_distance: Annotated[int, Within(1, 1_000_000)] | None
    distance: Distance
    queries: Annotated[int, Within(100, MOST)] = 10_000

    def scores(self, head: str) -> bool:
        """Whether a relevance is listed; benchmarks with grades of their own have others."""
        return head in self.relevant or head not in get_args(Relevant)


SECTION = Retrieval
