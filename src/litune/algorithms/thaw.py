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
from litune.algorithms.candidates import Batch, Candidates, Listed, Sampled, evenly, key_of
from litune.algorithms.curves import Array, Points
from litune.algorithms.decision import Decision, SeenTrial
from litune.algorithms.features import Features
from litune.algorithms.observed import Indices, normal_scores, observations, thinned
from litune.algorithms.promotion import promote, rungs
from litune.seeds import stream
from litune.space.space import Space

_ENUMERATED = 1000  # a grid up to this size is a list of candidates
_LEADERS = 5  # the best trials, near whose params new ones are tried
Predict = Callable[[Points], tuple[Array, Array]]  # mean and deviation of curves


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was tuned; docs/decisions/freeze-thaw-rounds.md says how.

    first, growth       a new trial's first leg ends at step `first`, each further one `growth` times as far as before
    design              trials that fill the space evenly, before the model is asked
    share, screening    the share of decisions by promotion, and of those that screen
    kept, fitted        observations that the model predicts from; those of them that its hyperparameters are fitted to
    fit_steps           of L-BFGS
    fresh, near         new params compared with the trials; the share of them that are near the best trials
    margin              over the best value, which a trial is to beat: 10 to a random power in this range
    screened            new params compared when screening
    curiosity           weight of the deviation when screening: 10 to a random power in this range
    ending              in full trainings: with less left to spend no decision screens
    """

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
    ending: float = 1.0
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
    """Decide 0, 1, 2, ...; holds the features and keys of trials and candidates so as to compute them once.

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
        self.seed, self.steps = seed, steps
        self.settings = settings or Settings()
        self._ladder = rungs(steps)
        self._features = Features(space)
        self._rows: list[Array] = []
        self._keys: list[str] = []
        if candidates is None and (size := space.grid_size()) is not None and size <= _ENUMERATED:
            candidates = [space.grid(place) for place in range(size)]
        self._candidates: Candidates
        if candidates is None:
            self._candidates = Sampled(self._features, space)
        else:
            self._candidates = Listed(self._features, candidates)

    def decide(self, number: int, trials: Sequence[SeenTrial], left: float = math.inf) -> Decision | None:
        """Return decision `number`, given every trial so far in order, with `left` steps to spend.

        None: every candidate has been tried, and no trial can be continued now.
        """
        rng = np.random.default_rng(stream(self.seed, number))
        settings = self.settings
        for trial in trials[len(self._rows) :]:
            self._rows.append(self._features.of(trial.params))
            self._keys.append(key_of(trial.params))
        taken = set(self._keys[: len(trials)])
        seen = sum(1 for trial in trials if trial.curve)
        if len(trials) < settings.design or seen < 2:
            point = evenly(len(trials), self._features.drawn, self.seed)
            if (params := self._candidates.nearest(point, taken, rng)) is not None:
                return self._begin(params, left, "design")
            if not seen:
                return None
        coin = rng.random()
        if coin < settings.share and (risen := promote(trials, self._ladder)) is not None:
            index, rung = risen
            return self._go_on(index, trials, left, "promotion", rung)
        with blas.limit(1):
            belief = self._fitted(rng, trials)
            if coin >= 1.0 - settings.screening and left >= settings.ending * self.steps:
                batch = self._candidates.anywhere(settings.screened, taken, rng)
                if (params := self._screened(rng, batch, belief.predict)) is not None:
                    return self._begin(params, left, "screening")
            near = int(settings.fresh * settings.near)
            batch = self._candidates.around(_leaders(trials, belief), settings.fresh, near, taken, rng)
            return self._likeliest(rng, trials, left, belief, batch)

    def _begin(self, params: Mapping[str, Any], left: float, why: str) -> Decision:
        until = int(max(1, min(self.settings.first, self.steps, left)))
        return Decision(trial=None, params=params, until=until, why=why)

    def _go_on(
        self, index: int, trials: Sequence[SeenTrial], left: float, why: str, until: int | None = None
    ) -> Decision:
        reached = trials[index].reached
        grown = max(reached + 1, math.ceil(self.settings.growth * reached))
        until = int(min(until or grown, self.steps, reached + max(left, 1)))
        return Decision(trial=index, params=None, until=until, why=why)

    def _fitted(self, rng: np.random.Generator, trials: Sequence[SeenTrial]) -> _Belief:
        """Fit the process to what the trials have shown, with the ends of legs in flight pending."""
        rows = np.stack(self._rows[: len(trials)])
        trial, step, value = observations(trials)
        score = normal_scores(value)
        incumbent = float(score.max())
        trial, when, score = thinned(trial, step, score, self.settings.kept)
        at = Points(x=rows[trial], tau=self._tau(when), trial=trial)
        part = np.arange(len(score))
        if len(part) > self.settings.fitted:
            part = np.sort(rng.choice(len(part), self.settings.fitted, replace=False))
        theta = curves.fit(at.rows(part), score[part], steps=self.settings.fit_steps)
        flying = np.array([index for index, one in enumerate(trials) if one.until], dtype=np.int64)
        ends = self._tau(np.array([trials[index].until for index in flying]))
        pending = Points(x=rows[flying], tau=ends, trial=flying) if len(flying) else None
        predict = partial(curves.predict, theta, at, score, pending=pending)
        return _Belief(rows=rows, trial=trial, score=score, incumbent=incumbent, predict=predict)

    def _screened(self, rng: np.random.Generator, batch: Batch, predict: Predict) -> Mapping[str, Any] | None:
        """Return new params by their predicted end plus a little of its deviation; None if there are none."""
        x = batch.rows
        if not len(x):
            return None
        mean, deviation = predict(Points(x=x, tau=np.ones(len(x)), trial=np.full(len(x), -1)))
        worth = mean + 10.0 ** rng.uniform(*self.settings.curiosity) * deviation
        return batch.pick(np.argsort(-worth, kind="stable"))

    def _likeliest(
        self, rng: np.random.Generator, trials: Sequence[SeenTrial], left: float, belief: _Belief, fresh: Batch
    ) -> Decision | None:
        """Continue the trial, or start the new one, that is likeliest to beat the best value; None if there is none."""
        open_ = [index for index, trial in enumerate(trials) if trial.open(self.steps)]
        if not open_ and not len(fresh.rows):
            return None
        reached = np.array([trials[index].reached for index in open_] + [0] * len(fresh.rows))
        target = np.minimum(reached + max(1, int(min(self.steps, left))), self.steps)
        queries = Points(
            x=np.concatenate([belief.rows[open_], fresh.rows]) if open_ else fresh.rows,
            tau=self._tau(target),
            trial=np.concatenate([np.array(open_, dtype=np.int64), np.full(len(fresh.rows), -1)]),
        )
        mean, deviation = belief.predict(queries)
        margin = 10.0 ** rng.uniform(*self.settings.margin)
        gain = log_ndtr((mean - belief.incumbent - margin) / deviation)
        order = np.argsort(-gain, kind="stable")
        new = order[order >= len(open_)] - len(open_)
        if order[0] >= len(open_) and (params := fresh.pick(new)) is not None:
            return self._begin(params, left, "model")
        best = next((int(index) for index in order if index < len(open_)), None)
        return None if best is None else self._go_on(open_[best], trials, left, "model")

    def _tau(self, step: Any) -> Array:
        tau: Array = np.log1p(step) / math.log1p(self.steps)
        return tau


def _leaders(trials: Sequence[SeenTrial], belief: _Belief) -> list[Mapping[str, Any]]:
    """Return the params of the trials with the best scores."""
    best = np.full(len(trials), -np.inf)
    np.maximum.at(best, belief.trial, belief.score)
    return [trials[index].params for index in np.argsort(-best, kind="stable")[:_LEADERS]]
