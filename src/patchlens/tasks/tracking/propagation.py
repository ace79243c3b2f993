"""T4c, label propagation: the masks of a first frame carried through a video by patch features.

The evaluation of DINO (Caron et al., ICCV 2021, §4.2.1), after Jabri et al., NeurIPS 2020, and the
settings of its published script: sources are the first frame and the last ones, candidates are the
patches nearby, the most similar vote with softmax weights.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from patchlens.tasks.tracking.settings import Propagation

BLOCK = 8  # side in patches of a block propagated at once: the window around it bounds memory


@dataclass(frozen=True)
class _Context:
    unit: Tensor  # [h, w, D], rows of length 1
    labels: Tensor  # [h, w, L], shares


def one_hot(mask: Tensor, labels: int, grid: tuple[int, int]) -> Tensor:
    """Labels [h, w, L] of patches: that of the pixel at the centre of each.

    Args:
        mask: positions of labels [H, W], 0 for background.
        labels: L, background included.
        grid: patch rows and columns.
    """
    rows, columns = (
        ((torch.arange(cells) + 0.5) * (pixels / cells)).long()
        for pixels, cells in zip(mask.shape, grid, strict=True)
    )
    return functional.one_hot(mask[rows[:, None], columns].long(), labels).float()


def propagate(frames: Iterable[Tensor], first: Tensor, settings: Propagation) -> Iterator[Tensor]:
    """Label shares [h, w, L] of every frame after the first.

    At most `queue` + 1 frames are in memory.

    Args:
        frames: patch features [h, w, D] of the frames in their order, on one device; D may be 0.
        first: labels [h, w, L] of the first frame, on the same device.
        settings: queue, radius, top, temperature.
    """
    recent = deque[_Context](maxlen=settings.queue)
    start: _Context | None = None
    for features in frames:
        unit = functional.normalize(features, dim=-1)
        if start is None:
            start = _Context(unit, first)
            continue
        labels = _carried(unit, [start, *recent], settings)
        recent.append(_Context(unit, labels))
        yield labels


def enlarge(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """The label [H, W] of every pixel: bilinear, each label stretched to 0…1, the highest wins.

    The stretch is part of DINO's script.

    Args:
        labels: shares [h, w, L].
        size: height and width in pixels.
    """
    maps = functional.interpolate(labels.permute(2, 0, 1)[None], size, mode="bilinear")[0]
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    # A label that is the same everywhere keeps its share: it cannot be stretched.
    return torch.where(high > low, (maps - low) / (high - low), maps).argmax(dim=0)


def _carried(unit: Tensor, sources: list[_Context], settings: Propagation) -> Tensor:
    height, width, _ = unit.shape
    out = unit.new_zeros(height, width, sources[0].labels.shape[-1])
    for y in range(0, height, BLOCK):
        for x in range(0, width, BLOCK):
            here = slice(y, y + BLOCK), slice(x, x + BLOCK)
            out[here] = _block(unit, here, sources, settings)
    return out


def _block(
    unit: Tensor, here: tuple[slice, slice], sources: list[_Context], settings: Propagation
) -> Tensor:
    """Labels of a block of patches from all sources within the radius."""
    r = settings.radius
    window = tuple(slice(max(0, s.start - r), s.stop + r) for s in here)
    of_block, of_window = _positions(unit, here), _positions(unit, window)
    far = ((of_block[:, None] - of_window).abs() > r).any(dim=-1)
    keys = torch.stack([s.unit[window].flatten(0, 1) for s in sources])
    votes = torch.stack([s.labels[window].flatten(0, 1) for s in sources]).flatten(0, 1)
    block = unit[here]
    cosine = torch.einsum("bd,fkd->bfk", block.flatten(0, 1), keys)
    cosine = cosine.masked_fill_(far[:, None], -torch.inf).flatten(1)
    top = cosine.topk(min(settings.top, cosine.shape[1]), dim=1).values
    # All that equal the least of the top count: no order of patches decides.
    cosine.masked_fill_(cosine < top[:, -1:], -torch.inf)
    weights = ((cosine - top[:, :1]) / settings.temperature).exp_()
    shares = weights @ votes / weights.sum(dim=1, keepdim=True)
    return shares.reshape(*block.shape[:2], -1)


def _positions(unit: Tensor, where: tuple[slice, ...]) -> Tensor:
    """Row and column [n, 2] of the patches in `where`, in row-major order."""
    rows, columns = (torch.arange(n, device=unit.device) for n in unit.shape[:2])
    grid = torch.meshgrid(rows[where[0]], columns[where[1]], indexing="ij")
    return torch.stack(grid, dim=-1).flatten(0, 1)
