"""How patch features spread: moments to the fourth order and co-moments, streamed in float64.

One pass over the images, a batch at a time; batches are merged by the pairwise formulas of Chan et
al. (1979) and Pébay (SAND2008-6212), which never subtract large sums from each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patchlens.arrays import Floats


@dataclass(frozen=True)
class Spread:
    """Central sums over n rows: Σ(x−μ)ᵖ for p = 2, 3, 4 of each column, and all co-moments.

    Attributes:
        n: rows.
        mean: [D].
        third, fourth: Σ(x−μ)³ and Σ(x−μ)⁴ [D].
        together: Σ(x−μ)(x−μ)ᵀ [D, D]; its diagonal is Σ(x−μ)².
    """

    n: int
    mean: Floats
    third: Floats
    fourth: Floats
    together: Floats

    @classmethod
    def of(cls, rows: NDArray[np.floating]) -> "Spread":
        """Of rows [n, D], n ≥ 1."""
        x = rows.astype(np.float64)
        mean = x.mean(axis=0)
        x -= mean
        square = np.square(x)
        return cls(len(x), mean, (square * x).sum(axis=0), np.square(square).sum(axis=0), x.T @ x)

    def merge(self, other: "Spread") -> "Spread":
        """Of the rows of both."""
        a, b = self.n, other.n
        n = a + b
        d = other.mean - self.mean
        second_a, second_b = np.diag(self.together), np.diag(other.together)
        third = self.third + other.third + d**3 * a * b * (a - b) / n**2
        third += 3 * d * (a * second_b - b * second_a) / n
        fourth = self.fourth + other.fourth + d**4 * a * b * (a**2 - a * b + b**2) / n**3
        fourth += 6 * d**2 * (a**2 * second_b + b**2 * second_a) / n**2
        fourth += 4 * d * (a * other.third - b * self.third) / n
        together = self.together + other.together + np.outer(d, d) * (a * b / n)
        return Spread(n, self.mean + d * b / n, third, fourth, together)

    @property
    def variance(self) -> Floats:
        """Population variance [D]."""
        return np.diag(self.together) / self.n

    @property
    def kurtosis(self) -> Floats:
        """Fourth standardised moment [D], 3 for a normal distribution; 0 for a constant column."""
        second = np.diag(self.together)
        return _divide(self.n * self.fourth, np.square(second))

    def correlation(self, columns: slice, others: slice) -> Floats:
        """Pearson's r of some columns with others; 0 where one of them is constant."""
        second = np.sqrt(np.diag(self.together))
        scale = np.outer(second[columns], second[others])
        return _divide(self.together[columns, others], scale)

    def eigenvalues(self, columns: slice) -> Floats:
        """Eigenvalues of the covariance of some columns, largest first, none below 0."""
        values = np.linalg.eigvalsh(self.together[columns, columns] / self.n)[::-1]
        return np.clip(values, 0, None)


def _divide(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
