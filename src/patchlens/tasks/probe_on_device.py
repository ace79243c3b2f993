"""The linear probe in torch: the objective and stopping rule of `probe.py`, many fits at once.

Features lie once on the device, on their principal axes; a fit sees some of the patches, with a
weight of 0 or 1 for each. L-BFGS runs on all fits in step: an iteration is two batched matrix
products, and each fit has its own steps and its own end. Shapes: P samples, F fits of each, n
patches, D features, K labels; smaller samples are filled up with features of 0 and with patches
that no fit sees.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import one_hot

from patchlens.arrays import Array, Bools, Ints
from patchlens.errors import FitError
from patchlens.tasks.logistic import MEMORY, TOLERANCE

DECREASE = 1e-4  # Armijo's share of what the slope promises
ROUNDING = {torch.float32: 5e-7, torch.float64: 1e-14}  # of the objective's parts
HALVINGS = 25  # of a step that does not decrease the objective


class Fits:
    """Fits of the probe on some of the patches of each sample.

    Args:
        samples: features [n, D] and class ids [n] of each.
        kept: the patches that each fit of a sample sees [F, n]; all samples have as many fits, and
            a fit that sees none is left out.
        device: a device of torch.
    """

    def __init__(
        self, samples: Sequence[tuple[Array, Ints]], kept: Sequence[Bools], device: str
    ) -> None:
        rows, width = (max(x.shape[axis] for x, _ in samples) for axis in (0, 1))
        named = [np.unique(y, return_inverse=True) for _, y in samples]
        self.labels = [labels for labels, _ in named]
        self._z = torch.ones((len(samples), rows, width + 1), device=device)
        self._z[..., :-1] = 0
        target = torch.zeros((len(samples), rows), dtype=torch.int64)
        seen = torch.zeros((len(samples), len(kept[0]), rows), dtype=torch.bool)
        self._means: list[Any] = []
        self._axes: list[Any] = []
        for i, (x, _) in enumerate(samples):
            given = torch.from_numpy(np.ascontiguousarray(x)).to(device)
            mean = given.double().mean(dim=0)
            centred = (given - mean).float()
            _, axes = torch.linalg.eigh((centred.T @ centred).double())
            self._z[i, : len(x), : x.shape[1]] = centred @ axes.float()
            self._means.append(mean)
            self._axes.append(axes)
            target[i, : len(x)] = torch.from_numpy(named[i][1])
            seen[i, :, : len(x)] = torch.from_numpy(kept[i])
        self._target, kept_ = target.to(device), seen.to(device).transpose(1, 2)  # [P, n, F]
        size = kept_.sum(dim=1)
        inside = torch.tensor([len(x) for x, _ in samples], device=device)
        held_out = torch.arange(rows, device=device) < inside[:, None]
        self._held_out = ~kept_ & held_out[..., None] & (size > 0)[:, None]
        self._size = size.clamp_min(1).double()[..., None, None]  # [P, F, 1, 1]
        self._weight = (kept_ / size.clamp_min(1)[:, None]).float()[..., None]  # [P, n, F, 1]
        classes = max(map(len, self.labels))
        self._one_hot = one_hot(self._target, classes).float()[:, :, None]  # [P, n, 1, K]
        # A class that a fit does not see has no weights there, and no probability.
        counts = kept_.float().transpose(1, 2) @ self._one_hot[:, :, 0]
        absent = (counts == 0) & (size > 0)[..., None]
        self._unseen = torch.zeros_like(counts).masked_fill(absent, -torch.inf)[:, None]
        self._inner = torch.zeros(
            (*size.shape, width + 1, classes), dtype=torch.float64, device=device
        )

    def fit(self, c: Sequence[float], max_iter: int) -> None:
        """Minimise for this C of each sample, from where the last ones ended.

        Raises:
            FitError: L-BFGS did not converge.
        """
        given = torch.tensor(c, dtype=torch.float64, device=self._z.device)[:, None, None, None]
        penalties = (1 / (self._size * given)).repeat(1, 1, self._z.shape[2], 1)
        penalties[:, :, -1] = 0
        scale = (self._curvature() + penalties).rsqrt()
        point = self._inner / scale
        whole = self._z
        for precision in ROUNDING:  # rounding may end the first too early
            self._z = whole.to(precision)
            point, slope, steps = self._minimised(point, scale, penalties, max_iter)
            steep = _steepest(slope) > 2 * TOLERANCE
            if not bool(steep.any()) or steps >= max_iter:
                break
        self._z, self._inner = whole, point * scale
        if bool(steep.any()):
            worst = c[int(steep.any(dim=1).nonzero()[0])]
            raise FitError(
                f"the linear probe did not converge in {max_iter} iterations at C = {worst}; "
                "increase segmentation.linear.max_iter"
            )

    def _minimised(
        self, point: Any, scale: Any, penalties: Any, max_iter: int
    ) -> tuple[Any, Any, int]:
        """Where L-BFGS ends, the gradient there, and the number of its steps."""
        value, slope = self._objective(point, scale, penalties)
        pairs: list[tuple[Any, Any, Any]] = []
        stuck = torch.zeros_like(value, dtype=torch.bool)
        for step_number in range(max_iter):
            going = (_steepest(slope) > TOLERANCE) & ~stuck
            if not bool(going.any()):
                return point, slope, step_number
            step = _direction(slope, pairs) * going[..., None, None]
            if not pairs:
                step /= _dot(slope, slope).sqrt().clamp_min(1)
            along = _dot(slope, step)
            length = torch.ones_like(along)
            for _ in range(HALVINGS):
                then, rise = self._objective(point + length * step, scale, penalties)
                rounding = ROUNDING[self._z.dtype] * value.abs()
                worse = then > value + DECREASE * (length * along)[..., 0, 0] + rounding
                if not bool(worse.any()):
                    break
                length = torch.where(worse[..., None, None], length / 2, length)
            else:
                stuck |= worse
                length = torch.where(worse[..., None, None], 0, length)
                then, rise = self._objective(point + length * step, scale, penalties)
            moved, turned = length * step, rise - slope
            curved = _dot(moved, turned)
            inverse = torch.where(curved > 0, 1 / curved, 0)
            pairs = [*pairs, (moved, turned, inverse)][-MEMORY:]
            point, value, slope = point + moved, then, rise
        return point, slope, max_iter

    def hits(self) -> Ints:
        """Patches of each sample [P] that fits which did not see them classify as they should."""
        found = self._logits(self._inner).argmax(dim=3)
        right = (found == self._target[..., None]) & self._held_out
        counts: Ints = right.sum(dim=(1, 2)).cpu().numpy()
        return counts

    def weights(self) -> Iterator[tuple[Array, Array]]:
        """Weights [D, K] and intercepts [K] of the first fit of each sample, for features as is."""
        for labels, mean, axes, inner in zip(
            self.labels, self._means, self._axes, self._inner[:, 0, :], strict=True
        ):
            weights = axes @ inner[: len(axes), : len(labels)]
            intercepts = inner[-1, : len(labels)] - mean @ weights
            yield weights.float().cpu().numpy(), intercepts.float().cpu().numpy()

    def _logits(self, inner: Any) -> Any:
        """Of every patch in every fit [P, n, F, K]."""
        samples, fits, width, classes = inner.shape
        flat = inner.to(self._z.dtype).transpose(1, 2).reshape(samples, width, fits * classes)
        return (self._z @ flat).reshape(samples, -1, fits, classes) + self._unseen

    def _summed(self, shares: Any) -> Any:
        """Products of features with numbers [P, n, F, K], summed over patches [P, F, D + 1, K]."""
        summed = self._z.transpose(1, 2) @ shares.flatten(2)
        return summed.reshape(*summed.shape[:2], *shares.shape[2:]).transpose(1, 2).double()

    def _objective(self, point: Any, scale: Any, penalties: Any) -> tuple[Any, Any]:
        """Mean log-loss plus penalty [P, F], and its gradient, in the scaled coordinates."""
        inner = point * scale
        logs = self._logits(inner).log_softmax(dim=3)
        fits = logs.shape[2]
        chosen = logs.gather(3, self._target[:, :, None, None].expand(-1, -1, fits, 1))
        # What a fit does not see may have no finite log-loss there.
        loss = -torch.where(self._weight > 0, chosen * self._weight, 0).double().sum(dim=(1, 3))
        gradient = self._summed((logs.exp_() - self._one_hot) * self._weight) + penalties * inner
        penalty = 0.5 * (penalties * inner.square()).sum(dim=(2, 3))
        return loss + penalty, gradient * scale

    def _curvature(self) -> Any:
        """The diagonal of the Hessian of the mean log-loss [P, F, D + 1, K], above 0."""
        shares = self._logits(self._inner).softmax(dim=3)
        whole, self._z = self._z, self._z.square()
        found = self._summed(shares * (1 - shares) * self._weight) + 1e-12
        self._z = whole
        return found


def _direction(slope: Any, pairs: Sequence[tuple[Any, Any, Any]]) -> Any:
    """L-BFGS's two loops, for every fit on its own."""
    step, shares = -slope, []
    for moved, turned, inverse in reversed(pairs):
        share = inverse * _dot(moved, step)
        step = step - share * turned
        shares.append(share)
    if pairs:
        _, turned, inverse = pairs[-1]
        square = _dot(turned, turned)
        step = step * torch.where(inverse > 0, 1 / (inverse * square), 1)
    for (moved, turned, inverse), share in zip(pairs, reversed(shares), strict=True):
        step = step + (share - inverse * _dot(turned, step)) * moved
    return step


def _dot(a: Any, b: Any) -> Any:
    return (a * b).sum(dim=(2, 3), keepdim=True)


def _steepest(slope: Any) -> Any:
    return slope.abs().amax(dim=(2, 3))
