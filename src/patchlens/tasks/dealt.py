"""A memory bank whose large searches are dealt to the processes of a cluster."""

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from patchlens.arrays import Array
from patchlens.cluster import Helpers, Shared, share
from patchlens.features.variants import unit_rows
from patchlens.settings.base import Distance
from patchlens.tasks.bank import Bank, Neighbours, Part, Rows, merge, on_host

WORTH = 1e12  # FLOP of a search that is dealt: 20 s of a core


class _Piece(NamedTuple):
    """A part of a search for another process: a block of queries, or a part of the bank."""

    number: int  # of the block, or of the first row
    blocks: Sequence[Array] | Shared
    k: int
    rows: Any  # of the part; None where each process has the bank


class Dealt(Bank):
    """A bank, with searches that are worth it dealt to other processes; they find the same.

    Each process takes a block of queries; of a bank that is not held, a part of it for all queries.
    """

    keeps_rows = True

    def __init__(self, x: Rows, *, distance: Distance, **options: Any) -> None:
        super().__init__(x, distance=distance, **options)
        self._others: Helpers[_Piece, list[list[Neighbours]]] | None = None
        # Of rows and queries as `_x` and `_blocks` have them, which are of length 1 for cosines.
        alike: Distance = "dot" if self._whole and distance == "cosine" else distance
        held = None if self._held else self._step
        self._alike = {**options, "distance": alike, "held": held}

    def _blocks(self, asked: Sequence[Array], k: int) -> list[list[Neighbours]]:
        pieces = len(asked) if self._held else -(-self._rows // self._step)
        if pieces > 1 and 2.0 * self._rows * sum(block.size for block in asked) >= WORTH:
            return self._dealt(asked, k)
        return super()._blocks(asked, k)

    def _dealt(self, blocks: Sequence[Array], k: int) -> list[list[Neighbours]]:
        if self._others is None:
            held = share(self._x) if self._held else None
            shape = self._rows, blocks[0].shape[1]
            self._others = Helpers(partial(_searching, held, shape, self._alike))
            weakref.finalize(self, self._others.close).atexit = False  # Ray does it then
        if self._whole and self._distance == "cosine":
            blocks = [unit_rows(block) for block in blocks]
        if self._held:
            pieces = (_Piece(i, [block], k, None) for i, block in enumerate(blocks))
        else:
            whole = share(blocks)
            starts = range(0, self._rows, self._step)
            pieces = (_Piece(i, whole, k, self._x[i : i + self._step]) for i in starts)
        found = {piece.number: near for piece, near in self._others.deal(pieces, self._piece)}
        asked = [self._ready(block) for block in blocks]
        if self._held:
            nearest = [near for _, [near] in sorted(found.items(), key=itemgetter(0))]
        else:
            most = min(k + 1, self._rows) if self._by_faiss else k
            nearest = [
                [merge(of, most) for of in zip(*of_block, strict=True)]
                for of_block in zip(*found.values(), strict=True)
            ]
        if self._device:
            import torch  # takes seconds, and faiss does without

            at = partial(torch.tensor, device=self._device)
            nearest = [[Neighbours(at(n.similarity), at(n.rows)) for n in of] for of in nearest]
        return self._finished(nearest, asked, k)

    def _piece(self, piece: _Piece) -> list[list[Neighbours]]:
        """What `_among` gives for a piece of the work, on the host."""
        blocks = piece.blocks.get() if isinstance(piece.blocks, Shared) else piece.blocks
        parts: Iterable[Part] = self._made
        if piece.rows is not None:
            parts = [(piece.number, list(zip(*self._ready(piece.rows), strict=True)))]
        found = self._among(parts, [self._ready(block) for block in blocks], piece.k)
        return [[Neighbours(*map(on_host, one)) for one in of] for of in found]


def _searching(
    held: Shared | None, shape: tuple[int, int], alike: dict[str, Any]
) -> Callable[[_Piece], list[list[Neighbours]]]:
    """What does pieces of a search in another process."""
    rows = held.get() if held else np.broadcast_to(np.float32(0), shape)  # that nobody reads
    return Dealt(rows, **alike)._piece
