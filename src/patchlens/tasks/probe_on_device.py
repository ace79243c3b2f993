"""The linear probe in torch: the objective and the stopping rule of `probe.py`, all folds at once.

Features lie once on the device, on their principal axes; a fold is a weight of 0 or 1 for each
patch. L-BFGS runs on all folds in step: an iteration is two matrix products, and each fold has its
own steps and its own end.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from patchlens.arrays import Array, Bools, Ints
from patchlens.errors import FitError

MEMORY = 20  # gradient pairs that L-BFGS keeps
DECREASE = 1e-4  # Armijo's share of what the slope promises
ROUNDING = 5e-7  # of the objective, whose parts are float32
HALVINGS = 25  # of a step that does not decrease the objective


class Folds:
    """Fits of the probe on some of the patches each.

    Args:
        x: features [n, D].
        y: class ids [n].
        kept: the patches that each fit sees [B, n].
        device: a device of torch.
    """

    def __init__(self, x: Array, y: Ints, kept: Bools, device: str) -> None:
        self.labels, target = np.unique(y, return_inverse=True)
        given = torch.from_numpy(np.ascontiguousarray(x)).to(device)
        self._mean = given.double().mean(dim=0)
        centred = (given - self._mean).float()
        _, self._axes = torch.linalg.eigh((centred.T @ centred).double())
        turned = centred @ self._axes.float()
        self._z = torch.cat([turned, torch.ones_like(turned[:, :1])], dim=1)
        self._target = torch.from_numpy(target).to(device)
        self._kept = torch.from_numpy(kept).to(device)
        size = self._kept.sum(dim=1)
        self._size = size.double()[:, None, None]
        self._weight = (self._kept / size[:, None]).float().T[:, :, None]  # [n, B, 1]
        classes, folds = len(self.labels), len(kept)
        self._one_hot = torch.nn.functional.one_hot(self._target, classes).float()[:, None]
        # A class that a fold does not show has no weights there, and no probability.
        seen = torch.stack([self._one_hot[of, 0].sum(dim=0) > 0 for of in self._kept])
        self._unseen = torch.zeros((folds, classes), device=device).masked_fill(~seen, -torch.inf)
        self._inner = torch.zeros(
            (folds, self._z.shape[1], classes), dtype=torch.float64, device=device
        )

    def fit(self, c: float, max_iter: int, tolerance: float) -> None:
        """Minimise for this C, from where the last one ended.

        Raises:
            FitError: L-BFGS did not converge.
        """
        penalties = (1 / (self._size * c)).repeat(1, self._z.shape[1], 1)
        penalties[:, -1] = 0
        scale = (self._curvature() + penalties).rsqrt()
        point = self._inner / scale
        value, slope = self._objective(point, scale, penalties)
        pairs: list[tuple[Any, Any, Any]] = []
        stuck = torch.zeros(len(point), dtype=torch.bool, device=point.device)
        for _ in range(max_iter):
            open_ = (slope.abs().amax(dim=(1, 2)) > tolerance) & ~stuck
            if not bool(open_.any()):
                break
            step = _direction(slope, pairs) * open_[:, None, None]
            if not pairs:
                step /= _norm(slope).clamp_min(1)
            along = _dot(slope, step)
            length = torch.ones_like(along)
            for _ in range(HALVINGS):
                then, rise = self._objective(point + length * step, scale, penalties)
                allowed = DECREASE * (length * along)[:, 0, 0] + ROUNDING * value.abs()
                worse = then > value + allowed
                if not bool(worse.any()):
                    break
                length = torch.where(worse[:, None, None], length / 2, length)
            else:
                stuck |= worse
                length = torch.where(worse[:, None, None], 0, length)
                then, rise = self._objective(point + length * step, scale, penalties)
            moved, turned = length * step, rise - slope
            curved = _dot(moved, turned)
            inverse = torch.where(curved > 0, 1 / curved, 0)
            pairs = [*pairs, (moved, turned, inverse)][-MEMORY:]
            point, value, slope = point + moved, then, rise
        self._inner = point * scale
        if bool((slope.abs().amax(dim=(1, 2)) > 2 * tolerance).any()):
            raise FitError(
                f"the linear probe did not converge in {max_iter} iterations at C = {c}; increase "
                "segmentation.linear.max_iter"
            )

    def hits(self) -> int:
        """Patches that are classified as they should by the fits that did not see them."""
        found = self._logits(self._inner).argmax(dim=2)
        return int(((found == self._target[:, None]) & ~self._kept.T).sum())

    def weights(self) -> Iterator[tuple[Array, Array]]:
        """Weights [D, K] and intercepts [K] of each fit, for features as they are."""
        for inner in self._inner:
            weights = self._axes @ inner[:-1]
            intercepts = inner[-1] - self._mean @ weights
            yield weights.float().cpu().numpy(), intercepts.float().cpu().numpy()

    def _logits(self, inner: Any) -> Any:
        """Of every patch in every fold [n, B, K]."""
        folds, width, classes = inner.shape
        flat = inner.float().transpose(0, 1).reshape(width, folds * classes)
        return (self._z @ flat).reshape(-1, folds, classes) + self._unseen

    def _objective(self, point: Any, scale: Any, penalties: Any) -> tuple[Any, Any]:
        """Mean log-loss plus penalty [B], and its gradient, in the scaled coordinates."""
        inner = point * scale
        logs = self._logits(inner).log_softmax(dim=2)
        chosen = logs.gather(2, self._target[:, None, None].expand(-1, logs.shape[1], 1))
        # What a fold does not see may have no finite log-loss there.
        loss = -torch.where(self._weight > 0, chosen * self._weight, 0).double().sum(dim=(0, 2))
        excess = (logs.exp_() - self._one_hot) * self._weight
        gradient = (self._z.T @ excess.flatten(1)).reshape(len(self._z.T), *excess.shape[1:])
        gradient = gradient.transpose(0, 1).double() + penalties * inner
        penalty = 0.5 * (penalties * inner.square()).sum(dim=(1, 2))
        return loss + penalty, gradient * scale

    def _curvature(self) -> Any:
        """The diagonal of the Hessian of the mean log-loss [B, D + 1, K], bounded away from 0."""
        shares = self._logits(self._inner).softmax(dim=2)
        spread = (shares * (1 - shares) * self._weight).flatten(1)
        summed = (self._z.square().T @ spread).reshape(-1, *shares.shape[1:])
        return summed.transpose(0, 1).double() + 1e-12


def _direction(slope: Any, pairs: Sequence[tuple[Any, Any, Any]]) -> Any:
    """L-BFGS's two loops, for every fold on its own."""
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
    return (a * b).sum(dim=(1, 2), keepdim=True)


def _norm(a: Any) -> Any:
    return _dot(a, a).sqrt()
