"""A Gaussian process over learning curves: what a trial with these params will have reached at that step.

The kernel, over features x of the params, tau = log(1 + step) / log(1 + steps of a full training), and the trial:

    A(x, x') (level + shape B(tau, tau')) + [same trial] (own + drift B(tau, tau')) + common tau tau' + noise [same row]

A and B are Matern 5/2, A with a length for each feature. The first part is what the params say, the second what one
trial's own curve adds to it, the third a curve that all share. Freeze-thaw: Swersky, Snoek and Adams 2014,
arXiv:1406.3896. Hyperparameters are fitted by their posterior mode, from a fixed start in a fixed number of steps, so
that the same data give the same model. Double precision throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri, dtrtrs
from scipy.optimize import minimize

Array = NDArray[np.float64]
_ROOT5 = 5.0**0.5
_JITTER = 1e-6
# log-normal priors of the hyperparameters (mean and standard deviation of the log); lengths come first
_LENGTH = (np.log(0.7), 0.7)
_OTHERS = {
    "time": (np.log(0.5), 0.4),
    "level": (np.log(0.6), 0.8),
    "shape": (np.log(0.3), 0.8),
    "own": (np.log(0.03), 0.8),
    "drift": (np.log(0.03), 0.8),
    "common": (np.log(1.0), 1.0),
    "noise": (np.log(0.003), 1.2),
}


@dataclass(frozen=True, kw_only=True)
class Points:
    """Rows (x, tau, trial): x (n, d) in the unit cube, tau (n,) in [0, 1], trial (n,) an id, -1 for none."""

    x: Array
    tau: Array
    trial: NDArray[np.int64]

    def rows(self, index: NDArray[np.int64]) -> Points:
        """Return some of the rows."""
        return Points(x=self.x[index], tau=self.tau[index], trial=self.trial[index])

    def then(self, other: Points) -> Points:
        """Return these rows followed by the other's."""
        return Points(
            x=np.concatenate([self.x, other.x]),
            tau=np.concatenate([self.tau, other.tau]),
            trial=np.concatenate([self.trial, other.trial]),
        )


def _matern(square: Array) -> tuple[Array, Array]:
    """Return Matern 5/2 of squared distances, and its derivative by the squared distance."""
    root = _ROOT5 * np.sqrt(square)
    decay: Array = np.exp(-root)
    return (1.0 + root + (5.0 / 3.0) * square) * decay, (-5.0 / 6.0) * (1.0 + root) * decay


def _squares(first: Array, second: Array) -> Array:
    """Return squared Euclidean distances between rows."""
    square = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :] - 2.0 * first @ second.T
    floored: Array = np.maximum(square, 1e-12)
    return floored


def _covariance(theta: Array, first: Points, second: Points) -> Array:
    inverse = np.exp(-theta[: first.x.shape[1]])
    time, level, shape, own, drift, common, _ = np.exp(theta[first.x.shape[1] :])
    near, _ = _matern(_squares(first.x * inverse, second.x * inverse))
    along, _ = _matern(((first.tau[:, None] - second.tau[None, :]) / time) ** 2)
    same = (first.trial[:, None] == second.trial[None, :]) & (first.trial >= 0)[:, None]
    out: Array = near * (level + shape * along) + same * (own + drift * along)
    out += common * first.tau[:, None] * second.tau[None, :]
    return out


def _prior(dimensions: int) -> tuple[Array, Array]:
    rows = [_LENGTH] * dimensions + list(_OTHERS.values())
    table = np.array(rows, dtype=float)
    # in more dimensions everything is farther apart: longer lengths keep the prior correlation
    table[:dimensions, 0] += 0.5 * np.log(max(dimensions, 1) / 4.0)
    return table[:, 0], table[:, 1]


def _objective(theta: Array, at: Points, target: Array, centre: Array, spread: Array) -> tuple[float, Array]:
    """Return the negative log posterior and its gradient."""
    size, dimensions = at.x.shape
    inverse = np.exp(-theta[:dimensions])
    time, level, shape, own, drift, common, noise = np.exp(theta[dimensions:])
    scaled = at.x * inverse
    near, near_slope = _matern(_squares(scaled, scaled))
    gap = ((at.tau[:, None] - at.tau[None, :]) / time) ** 2
    along, along_slope = _matern(gap)
    same = (at.trial[:, None] == at.trial[None, :]).astype(float)
    line = at.tau[:, None] * at.tau[None, :]
    held = level + shape * along
    matrix = near * held + same * (own + drift * along) + common * line
    matrix[np.diag_indices(size)] += noise + _JITTER
    factor, bad = dpotrf(matrix, lower=1, clean=1)
    penalty = (theta - centre) / spread
    if bad:
        return 1e10, np.zeros_like(theta)
    inverted, _ = dpotri(factor, lower=1)
    inverted = np.tril(inverted) + np.tril(inverted, -1).T
    weights = inverted @ target
    value = 0.5 * target @ weights + np.log(np.diag(factor)).sum() + 0.5 * (penalty**2).sum()
    outer = inverted - weights[:, None] * weights[None, :]
    slope = np.empty_like(theta)
    pulled = outer * held * near_slope
    # sum_ij P_ij (s_i - s_j)^2 = 2 (sum_i rowsum_i s_i^2 - s'Ps), and the squared distance falls as exp(-2 log length)
    slope[:dimensions] = -2.0 * (pulled.sum(1) @ scaled**2 - np.einsum("id,id->d", scaled, pulled @ scaled))
    by_near, by_same = outer * near, outer * same
    moved = (by_near * shape + by_same * drift) * along_slope * gap
    slope[dimensions:] = [
        -moved.sum(),
        0.5 * level * by_near.sum(),
        0.5 * shape * (by_near * along).sum(),
        0.5 * own * by_same.sum(),
        0.5 * drift * (by_same * along).sum(),
        0.5 * common * (outer * line).sum(),
        0.5 * noise * np.trace(outer),
    ]
    return float(value), slope + penalty / spread


def fit(at: Points, target: Array, *, steps: int = 12) -> Array:
    """Return the hyperparameters' posterior mode, in logs, after at most `steps` steps of L-BFGS."""
    centre, spread = _prior(at.x.shape[1])
    found = minimize(
        _objective,
        centre,
        args=(at, target, centre, spread),
        jac=True,
        method="L-BFGS-B",
        bounds=[(middle - 3.5 * wide, middle + 3.5 * wide) for middle, wide in zip(centre, spread, strict=True)],
        options={"maxiter": steps, "maxfun": steps + steps // 2},
    )
    theta: Array = found.x
    return theta


def predict(
    theta: Array, at: Points, target: Array, queries: Points, pending: Points | None = None
) -> tuple[Array, Array]:
    """Return mean and standard deviation of the noise-free curve at each query.

    `pending` rows are about to be observed: they narrow the deviation as observations would, and leave the mean alone.
    """
    known = at if pending is None else at.then(pending)
    matrix = _covariance(theta, known, known)
    matrix[np.diag_indices(len(matrix))] += np.exp(theta[-1]) + _JITTER
    factor, bad = dpotrf(matrix, lower=1, clean=1)
    assert not bad, "the noise and the jitter keep the covariance positive definite"
    size = len(target)
    reach, _ = dtrtrs(factor, _covariance(theta, known, queries), lower=1)
    white, _ = dtrtrs(factor[:size, :size], target, lower=1)
    _, level, shape, own, drift, common, _ = np.exp(theta[at.x.shape[1] :])
    # a query of no trial has its own offset and drift, too
    before = level + shape + own + drift + common * queries.tau**2
    variance = np.maximum(before - (reach**2).sum(0), 1e-10)
    return reach[:size].T @ white, np.sqrt(variance)
