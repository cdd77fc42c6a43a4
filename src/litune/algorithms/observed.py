"""The values that a search has seen, as curves.py is fitted to them: normal scores, thinned over log steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from litune.algorithms.curves import Array
from litune.algorithms.decision import SeenTrial

Indices = NDArray[np.int64]


def observations(trials: Sequence[SeenTrial]) -> tuple[Indices, Indices, Array]:
    """Return (trial, step, value) of every value seen, in order."""
    table = [(index, step, value) for index, one in enumerate(trials) for step, value in sorted(one.curve.items())]
    trial, step, value = zip(*table, strict=True)
    return np.array(trial), np.array(step), np.array(value, dtype=float)


def normal_scores(value: Array) -> Array:
    """Return each value's normal score: the standard normal's quantile at its rank; not finite counts as worst."""
    _, place, count = np.unique(np.where(np.isfinite(value), value, -np.inf), return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - count / 2)[place]  # the middle of what ties
    scores: Array = ndtri(rank / len(value))
    return scores


def thinned(trial: Indices, step: Indices, score: Array, kept: int) -> tuple[Indices, Array, Array]:
    """Return at most `kept` observations: about equally spaced in log step, each the mean over its gap."""
    ratio = 1.15
    while True:
        place = np.floor(np.log(step) / math.log(ratio)).astype(int)
        group = np.concatenate([[0], np.cumsum((np.diff(trial) != 0) | (np.diff(place) != 0))])
        count = np.bincount(group)
        ends = np.cumsum(count) - 1
        if len(count) <= kept or ratio > 8:
            break
        ratio *= 1.25
    mean = np.bincount(group, score) / count
    where: Array = np.exp(np.bincount(group, np.log(step).astype(np.float64)) / count)
    chosen = np.arange(len(count))
    if len(chosen) > kept:
        order = np.argsort(-mean, kind="stable")[: kept // 2]
        spread = np.linspace(0, len(count) - 1, kept - len(order)).round().astype(int)
        chosen = np.unique(np.concatenate([order, spread]))
    return trial[ends][chosen], where[chosen], mean[chosen]
