"""Freeze-thaw Bayesian optimisation: which trial to continue, or what new one to start, and for how many steps.

Decision k is a pure function of (seed, k, the trials as k may see them, the steps left). A Gaussian process over
(params, log step), fitted to normal scores of all values seen, predicts how each curve goes on; the decision takes the
trial, new or old, that is likeliest to beat the best value by a small random margin by the end of its training, or of
the budget. That is the acquisition of ifBO (Rakotoarison et al. 2024, arXiv:2404.16795) without its random horizon.
Where the best value is far above what new params promise, that likelihood is ruled by the deviation and picks what is
least known; so about half of the decisions screen: they start the params, of many from all over the space, whose end is
predicted best, but not while less than one training is left to spend, which would not bring them to their end. Legs
grow geometrically, and a share of the decisions goes to promotion by rank, which needs no model and keeps the search
safe where curves cross.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import log_ndtr

from litune import blas
from litune.algorithms import curves
from litune.algorithms.curves import Array, Points
from litune.algorithms.decision import Decision, Run
from litune.algorithms.features import Features
from litune.algorithms.observed import Indices, normal_scores, observations, thinned
from litune.algorithms.promotion import promote, rungs
from litune.seeds import stream
from litune.space.space import Space

_ENUMERATED = 1000  # a grid up to this size is a list of candidates
_TRIES = 1000  # random params of a larger space, before it counts as used up, or its grid is looked through
Predict = Callable[[Points], tuple[Array, Array]]  # mean and deviation of curves


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was tuned; docs/decisions/freeze-thaw-rounds.md says how."""

    growth: float = 1.4
    share: float = 0.1
    first: int = 1
    design: int = 8
    kept: int = 256
    fitted: int = 128
    fit_steps: int = 10
    fresh: int = 200
    margin: tuple[float, float] = (-4.0, -1.0)
    near: float = 0.5
    screening: float = 0.45
    ending: float = 1.0  # trainings; with less left to spend none is started by screening
    screened: int = 1000
    curiosity: tuple[float, float] = (-1.0, -0.3)


@dataclass(frozen=True, kw_only=True)
class _Belief:
    """What a decision knows: features of all trials, the kept observations (trial, score), the best score of all."""

    rows: Array
    trial: Indices
    score: Array
    incumbent: float
    predict: Predict


class Thaw:
    """Decide 0, 1, 2, ...; holds the features of trials and candidates so as to compute them once.

    steps       of a full training
    candidates  all the params to choose new trials from; None: the space
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        steps: int,
        candidates: Sequence[Mapping[str, Any]] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.space, self.seed, self.steps = space, seed, steps
        self.settings = settings or Settings()
        self._ladder = rungs(steps)
        self._features = Features(space)
        self._rows: list[Array] = []
        if candidates is None and (size := space.grid_size()) is not None and size <= _ENUMERATED:
            candidates = [space.grid(place) for place in range(size)]
        self._candidates = None if candidates is None else list(candidates)
        self._names = [_key(params) for params in candidates or ()]
        self._pool = None if candidates is None else np.stack([self._features.of(params) for params in candidates])

    def decide(self, number: int, runs: Sequence[Run], left: float = math.inf) -> Decision | None:
        """Return decision `number`, given every trial so far in order, with `left` steps to spend.

        None: every candidate has been tried, and no trial can be continued now.
        """
        rng = np.random.default_rng(stream(self.seed, number))
        settings = self.settings
        seen = sum(1 for run in runs if run.curve)
        if len(runs) < settings.design or seen < 2:
            params = self._designed(len(runs), runs, rng)
            if params is not None:
                return self._begin(params, left, "design")
            if not seen:
                return None
        coin = rng.random()
        if coin < settings.share:
            risen = promote(runs, self._ladder)
            if risen is not None:
                index, rung = risen
                return self._go_on(index, runs, left, "promotion", rung)
        screening = coin >= 1.0 - settings.screening and left >= settings.ending * self.steps
        with blas.limit(1):
            return self._model(rng, runs, left, screening=screening)

    def _begin(self, params: Mapping[str, Any], left: float, why: str) -> Decision:
        return Decision(
            trial=None, params=params, until=int(max(1, min(self.settings.first, self.steps, left))), why=why
        )

    def _go_on(self, index: int, runs: Sequence[Run], left: float, why: str, until: int | None = None) -> Decision:
        reached = runs[index].reached
        grown = max(reached + 1, math.ceil(self.settings.growth * reached))
        return Decision(
            trial=index, params=None, until=int(min(until or grown, self.steps, reached + max(left, 1))), why=why
        )

    def _designed(self, number: int, runs: Sequence[Run], rng: np.random.Generator) -> Mapping[str, Any] | None:
        """Return the middle of the space, then a shifted sequence that fills it evenly."""
        if number == 0:
            unit = np.full(self._features.drawn, 0.5)
        else:
            shift = np.random.default_rng(stream(self.seed, -1)).random(self._features.drawn)
            unit = (shift + number * spread_steps(self._features.drawn)) % 1.0
        return self._unseen(unit[None, :], runs, rng)

    def _unseen(self, units: Array, runs: Sequence[Run], rng: np.random.Generator) -> Mapping[str, Any] | None:
        """Return the params of the first row that no trial has, or the candidate nearest to it; random ones at need.

        None if there are no others.
        """
        taken = {_key(run.params) for run in runs}
        if self._candidates is not None and self._pool is not None:
            free = self._free(taken)
            if not len(free):
                return None
            distance = ((self._pool[free] - self._features.from_units(units[:1])) ** 2).sum(1)
            nearest: Mapping[str, Any] = self._candidates[free[int(np.argmin(distance))]]
            return nearest
        for _ in range(1 + _TRIES // len(units)):
            for unit in units:
                params = self._features.params(unit)
                if _key(params) not in taken:
                    return params
            units = rng.random(units.shape)
        grid = (self.space.grid(place) for place in range(self.space.grid_size() or 0))
        return next((params for params in grid if _key(params) not in taken), None)

    def _free(self, taken: set[str]) -> Indices:
        """Return the candidates that are not taken."""
        return np.array([index for index, name in enumerate(self._names) if name not in taken], dtype=np.int64)

    def _model(self, rng: np.random.Generator, runs: Sequence[Run], left: float, *, screening: bool) -> Decision | None:
        belief = self._fitted(rng, runs)
        if screening and (params := self._screened(rng, runs, belief.predict)) is not None:
            return self._begin(params, left, "screening")
        return self._likeliest(rng, runs, left, belief)

    def _fitted(self, rng: np.random.Generator, runs: Sequence[Run]) -> _Belief:
        """Fit the process to what the trials have shown, with the ends of legs in flight pending."""
        while len(self._rows) < len(runs):
            self._rows.append(self._features.of(runs[len(self._rows)].params))
        rows = np.stack(self._rows[: len(runs)])
        trial, step, value = observations(runs)
        score = normal_scores(value)
        incumbent = float(score.max())
        trial, when, score = thinned(trial, step, score, self.settings.kept)
        at = Points(x=rows[trial], tau=self._tau(when), trial=trial)
        part = np.arange(len(score))
        if len(part) > self.settings.fitted:
            part = np.sort(rng.choice(len(part), self.settings.fitted, replace=False))
        theta = curves.fit(at.rows(part), score[part], steps=self.settings.fit_steps)
        flying = np.array([index for index, run in enumerate(runs) if run.until], dtype=np.int64)
        ends = self._tau(np.array([runs[index].until for index in flying]))
        pending = Points(x=rows[flying], tau=ends, trial=flying) if len(flying) else None
        predict = partial(curves.predict, theta, at, score, pending=pending)
        return _Belief(rows=rows, trial=trial, score=score, incumbent=incumbent, predict=predict)

    def _likeliest(
        self, rng: np.random.Generator, runs: Sequence[Run], left: float, belief: _Belief
    ) -> Decision | None:
        """Continue the trial, or start the new one, that is likeliest to beat the best value; None if there is none."""
        open_ = [index for index, run in enumerate(runs) if run.open(self.steps)]
        fresh, units = self._fresh(rng, runs, belief.trial, belief.score)
        if not open_ and not len(fresh):
            return None
        reached = np.array([runs[index].reached for index in open_] + [0] * len(fresh))
        target = np.minimum(reached + max(1, int(min(self.steps, left))), self.steps)
        queries = Points(
            x=np.concatenate([belief.rows[open_], fresh]) if open_ else fresh,
            tau=self._tau(target),
            trial=np.concatenate([np.array(open_, dtype=np.int64), np.full(len(fresh), -1)]),
        )
        mean, deviation = belief.predict(queries)
        margin = 10.0 ** rng.uniform(*self.settings.margin)
        gain = log_ndtr((mean - belief.incumbent - margin) / deviation)
        order = np.argsort(-gain, kind="stable")
        chosen = [int(index) - len(open_) for index in order if index >= len(open_)]
        if order[0] >= len(open_) and (params := self._first(units[chosen], runs, rng)) is not None:
            return self._begin(params, left, "model")
        best = next((int(index) for index in order if index < len(open_)), None)
        return None if best is None else self._go_on(open_[best], runs, left, "model")

    def _screened(self, rng: np.random.Generator, runs: Sequence[Run], predict: Predict) -> Mapping[str, Any] | None:
        """Return new params from all over the space, by the predicted end plus a little of its deviation."""
        x, units = self._anywhere(rng, runs, self.settings.screened)
        if not len(x):
            return None
        mean, deviation = predict(Points(x=x, tau=np.ones(len(x)), trial=np.full(len(x), -1)))
        worth = mean + 10.0 ** rng.uniform(*self.settings.curiosity) * deviation
        return self._first(units[np.argsort(-worth, kind="stable")], runs, rng)

    def _first(self, units: Array, runs: Sequence[Run], rng: np.random.Generator) -> Mapping[str, Any] | None:
        """Return the params of the first row, of `_anywhere`, that no trial has; None if none is left."""
        if self._candidates is not None:
            return self._candidates[int(units[0, 0])]
        return self._unseen(units, runs, rng)

    def _tau(self, step: Any) -> Array:
        tau: Array = np.log1p(step) / math.log1p(self.steps)
        return tau

    def _fresh(
        self, rng: np.random.Generator, runs: Sequence[Run], trial: Indices, score: Array
    ) -> tuple[Array, Array]:
        """Return `_anywhere`'s params for new trials, in a space without a list a part of them near the best trials."""
        if self._candidates is not None:
            return self._anywhere(rng, runs, 2 * self.settings.fresh)
        near = int(self.settings.fresh * self.settings.near)
        _, units = self._anywhere(rng, runs, self.settings.fresh)
        best = np.full(len(runs), -np.inf)
        np.maximum.at(best, trial, score)
        top = np.argsort(-best, kind="stable")[:5]
        parents = np.stack([self._features.unit(runs[index].params) for index in rng.choice(top, near)])
        moved = np.clip(
            parents + rng.standard_normal(parents.shape) * 10 ** rng.uniform(-2, -0.5, (near, 1)), 0, 1 - 1e-9
        )
        keep = rng.random(parents.shape) < 0.5
        units[:near] = np.where(keep, parents, moved)
        return self._features.from_units(units), units

    def _anywhere(self, rng: np.random.Generator, runs: Sequence[Run], count: int) -> tuple[Array, Array]:
        """Return at most `count` params for new trials: features, and units (or the index among the candidates)."""
        if self._pool is not None:
            free = self._free({_key(run.params) for run in runs})
            if len(free) > count:
                free = np.sort(rng.choice(free, count, replace=False))
            return self._pool[free], free[:, None].astype(float)
        units = rng.random((count, self._features.drawn))
        return self._features.from_units(units), units


def _key(params: Mapping[str, Any]) -> str:
    return repr(sorted(params.items()))


def spread_steps(dimensions: int) -> Array:
    """Return the steps of a sequence that fills the unit cube evenly (M. Roberts' generalised golden ratio)."""
    ratio = 2.0
    for _ in range(64):
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1))
    steps: Array = ratio ** -np.arange(1.0, dimensions + 1)
    return steps
