"""How the peers score, rule by rule: from ours, one rule after the other, to theirs.

Each function yields (rule, score) pairs, the scores as shares. The first is ours, the last theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.optimize import linear_sum_assignment

from patchlens.datasets.layout import IGNORE
from patchlens.tasks.knn import search, vote
from patchlens.tasks.scores import confusion, iou
from patchlens.tasks.segmentation.labels import patch_labels
from patchlens.tasks.segmentation.upsample import upsampled_argmax

Array = np.ndarray
Steps = Iterator[tuple[str, float]]
SMALL = "masks resized to the input of the model, nearest pixel"


@dataclass(frozen=True)
class Split:
    """Images as patch features float32 [n, h, w, D], and their masks, n × uint8 [H, W]."""

    features: Array
    masks: list[Array]

    @property
    def rows(self) -> Array:
        """All patches [n · h · w, D]."""
        return self.features.reshape(-1, self.features.shape[-1])

    def small(self, size: int) -> "Split":
        """The same with masks of size × size pixels."""
        pixels = [Image.fromarray(mask).resize((size, size), Image.NEAREST) for mask in self.masks]
        return replace(self, masks=[np.asarray(one) for one in pixels])


def counts(maps: list[Array], masks: list[Array], classes: int) -> Array:
    """Confusion counts [C, C] of all images: rows are true, columns predicted classes."""
    pairs = zip(masks, maps, strict=True)
    return np.sum(
        [confusion(mask, found, classes) for mask, found in pairs], axis=0, dtype=np.int64
    )


def in_truth(total: Array) -> float:
    """Our mean: over the classes that the masks have."""
    return float(iou(total)[total.sum(axis=1) > 0].mean())


def in_union(total: Array) -> float:
    """The mean over the classes that are in the masks or in the predictions."""
    return float(np.nanmean(iou(total)))


def matched(total: Array) -> float:
    """The mean over all classes, 0 where there is none, of the best one-to-one renaming."""
    scores = np.nan_to_num(
        total / np.maximum(total.sum(1, keepdims=True) + total.sum(0) - total, 1e-8)
    )
    true, predicted = linear_sum_assignment(1 - scores)
    return float(scores[true, predicted].mean())


def patch_pixels(split: Split) -> Array:
    """The labels of the pixels of each patch [n · h · w, P]; masks must divide into the grid."""
    n, h, w, _ = split.features.shape
    masks = np.stack(split.masks)
    cells = masks.reshape(n, h, masks.shape[1] // h, w, masks.shape[2] // w)
    return cells.swapaxes(2, 3).reshape(n * h * w, -1)


def neighbours(support: Split, query: Split, keep: Array, k: int) -> tuple[Array, Array]:
    """Similarity and row among all support patches of the k nearest of those that are kept."""
    similarity, rows = search(support.rows[keep], query.rows, k, distance="cosine", device="cpu")
    return similarity, np.flatnonzero(keep)[rows]


def ours(support: Split, query: Split, classes: int, k: int) -> float:
    """One label per patch, one vote per neighbour, bilinear shares, masks as they are."""
    grid = query.features.shape[1:3]
    labels = np.stack([patch_labels(mask, grid, classes, "majority") for mask in support.masks])
    labels = labels.reshape(-1).astype(np.int64)
    similarity, rows = neighbours(support, query, labels != IGNORE, k)
    shares, _ = vote(similarity, labels[rows], classes, weighting="majority", temperature=1.0)
    shares = shares.reshape(-1, *grid, classes)
    maps = [upsampled_argmax(s, m.shape) for s, m in zip(shares, query.masks, strict=True)]
    return in_truth(counts(maps, query.masks, classes))


def hummingbird(support: Split, query: Split, classes: int, k: int, size: int) -> Steps:
    """open-hummingbird-eval with an exact search."""
    yield "ours", ours(support, query, classes, k)
    support, query = support.small(size), query.small(size)
    yield SMALL, ours(support, query, classes, k)
    pixels = patch_pixels(support)
    labelled = pixels != IGNORE
    keep = 2 * labelled.sum(axis=1) >= pixels.shape[1]
    _, rows = neighbours(support, query, keep, k)
    soft = "a patch has a share of every class, weighted by exp(cosine / 0.02)"
    yield soft, in_truth(attended(support, query, rows, shares(pixels, classes)))
    everything = np.ones(len(pixels), dtype=bool)
    first = shares(np.where(labelled, pixels, 0), classes)
    _, rows = neighbours(support, query, everything, k)
    total = attended(support, query, rows, first)
    yield "void pixels of the support are class 0", in_truth(total)
    yield "Hungarian matching of predicted to true classes, mean over all", matched(total)


def shares(pixels: Array, classes: int) -> Array:
    """The share of each class among the labelled pixels [.., C] of patches with pixels [.., P]."""
    held = np.stack([(pixels == c).sum(axis=-1) for c in range(classes)], axis=-1)
    return (held / np.maximum(held.sum(axis=-1, keepdims=True), 1)).astype(np.float32)


def attended(support: Split, query: Split, rows: Array, labels: Array, batch: int = 8) -> Array:
    """Confusion counts where neighbours vote with their shares, by softmax of cosine / 0.02."""
    n, h, w, _ = query.features.shape
    bank, known = torch.from_numpy(support.rows), torch.from_numpy(labels)
    bank = bank / torch.norm(bank, dim=-1, keepdim=True)
    found, maps = torch.from_numpy(rows).long().reshape(n, h * w, -1), []
    for start in range(0, n, batch):
        some = found[start : start + batch].flatten(0, 1)
        queries = torch.from_numpy(query.features[start : start + batch]).flatten(0, 2)
        keys = F.normalize(bank[some], dim=-1).transpose(1, 2)
        similarity = torch.bmm(F.normalize(queries, dim=-1)[:, None], keys)
        voted = torch.bmm(F.softmax(similarity / 0.02, dim=-1), known[some])
        voted = voted.reshape(-1, h, w, labels.shape[1]).permute(0, 3, 1, 2)
        large = F.interpolate(voted, size=query.masks[0].shape, mode="bilinear")
        maps += [*large.argmax(dim=1).numpy()]
    return counts(maps, query.masks, labels.shape[1])


def capi(support: Split, query: Split, classes: int, k: int, size: int) -> Steps:
    """The k-NN classifier of CAPI's evaluation, cosine."""
    yield "ours", ours(support, query, classes, k)
    support, query = support.small(size), query.small(size)
    yield SMALL, ours(support, query, classes, k)
    pixels, truth = patch_pixels(support), [patch_pixels(query)]
    keep = 2 * (pixels != IGNORE).sum(axis=1) >= pixels.shape[1]
    similarity, rows = neighbours(support, query, keep, k)
    fair = pixel_votes(similarity, pixels[rows], classes, closest=True)
    yield (
        "the pixels of a patch vote one by one, nothing is interpolated",
        in_truth(counts([fair], truth, classes)),
    )
    low = pixel_votes(similarity, pixels[rows], classes, closest=False)
    yield "ties go to the lower class id", in_truth(counts([low], truth, classes))
    void = np.where(pixels == IGNORE, classes, pixels)
    commonest = np.stack([(void == c).sum(axis=1) for c in range(classes + 1)], axis=1)
    similarity, rows = neighbours(support, query, commonest.argmax(axis=1) != classes, k)
    low = pixel_votes(similarity, void[rows], classes + 1, closest=False)
    total = counts([low], truth, classes + 1)
    yield "void is a class that pixels vote for", in_truth(total)
    yield f"void, once predicted, is class {classes + 1} of the mean", in_union(total)


def pixel_votes(
    similarity: Array, labels: Array, classes: int, *, closest: bool, chunk: int = 512
) -> Array:
    """The winning class of each pixel of the queries [Q, P].

    Args:
        similarity: of the neighbours [Q, k].
        labels: of their pixels [Q, k, P]; those that are no class do not vote.
        classes: the number of classes.
        closest: whether ties go to the larger summed similarity, as in our vote; else, and where
            that is equal, to the lower id.
        chunk: queries at a time.
    """
    out = np.empty((len(labels), labels.shape[2]), dtype=np.int64)
    for start in range(0, len(labels), chunk):
        some, near = labels[start : start + chunk], similarity[start : start + chunk, :, None]
        votes = np.stack([(some == c).sum(axis=1) for c in range(classes)], axis=-1)
        if closest:
            summed = np.stack(
                [((some == c) * near.astype(np.float64)).sum(axis=1) for c in range(classes)], -1
            )
            tied = votes == votes.max(axis=-1, keepdims=True)
            out[start : start + chunk] = np.where(tied, summed, -np.inf).argmax(axis=-1)
        else:
            out[start : start + chunk] = votes.argmax(axis=-1)
    return out


def visbench_head(support: Split, query: Split, classes: int) -> float:
    """A 1 × 1 convolution by AdamW in ten epochs, as VisBench trains it with seed 0."""
    masks = torch.from_numpy(np.stack(support.masks).astype(np.int64))
    masks[masks == IGNORE] = -1
    size = tuple(masks.shape[1:])
    torch.manual_seed(0)
    head = torch.nn.Conv2d(support.features.shape[-1], classes, 1)

    def logits(features: torch.Tensor) -> torch.Tensor:
        return F.interpolate(head(features), size=size, mode="bilinear", align_corners=False)

    maps = [torch.from_numpy(s.features).permute(0, 3, 1, 2).contiguous() for s in (support, query)]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(maps[0], masks), batch_size=8, shuffle=True
    )
    optimiser = torch.optim.AdamW(head.parameters(), lr=5e-4, weight_decay=1e-4)
    warm, steps = int(1.5 * len(loader)), 10 * len(loader)

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + np.cos(np.pi * min(1, (step - warm) / max(1, steps - warm))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    for _ in range(10):
        for features, truth in loader:
            optimiser.zero_grad()
            F.cross_entropy(logits(features), truth, ignore_index=-1).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        found = [one for some in maps[1].split(8) for one in logits(some).argmax(dim=1).numpy()]
    return in_union(counts(found, query.masks, classes))
