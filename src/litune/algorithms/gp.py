"""What trial n tries by a Gaussian process over the params: freeze-thaw (thaw.py) where a training is one step.

So no params are tried twice while others are left, choices and nested choices are known to it, and a suggestion costs
milliseconds: docs/decisions/quality.md compares it with Optuna's GPSampler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from litune.algorithms.decision import SeenTrial
from litune.algorithms.thaw import Settings, Thaw
from litune.algorithms.warm_start import EarlierTrial, faded, scale
from litune.space.distributions import completed
from litune.space.space import Space
from litune.trial import Outcome, TrialState

_SETTINGS = Settings(share=0.0, margin=(-2.0, 0.0), screening=0.0)


class GaussianProcess:
    """Suggest params; holds the trials so far. Trials of `earlier` runs count ever less beside own ones."""

    def __init__(self, space: Space, *, seed: int, maximize: bool, earlier: Sequence[EarlierTrial] = ()) -> None:
        self._space, self._seed, self._earlier = space, seed, earlier
        self._sign = 1.0 if maximize else -1.0
        self._trials: list[SeenTrial] = []
        self._thaw = self._made()

    def note(self, params: Mapping[str, Any]) -> None:
        """Take note of the next trial's params, which somebody else chose."""
        self._trials.append(SeenTrial(params=params, until=1))

    def tell(self, number: int, outcome: Outcome) -> None:
        """Take note of how a trial ended; one that has no final score is only not tried again."""
        params, final = self._trials[number].params, outcome.state is TrialState.COMPLETE and outcome.score is not None
        curve = {1: self._sign * (outcome.score or 0.0)} if final else {}
        self._trials[number] = SeenTrial(params=params, curve=curve, over=True)

    def suggest(self, number: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params of the next trial, those given among them, and take note of them."""
        chosen = None if given else self._chosen(number)
        params = dict(chosen or completed(self._space, given, number, self._seed))
        self.note(params)
        return params

    def _chosen(self, number: int) -> Mapping[str, Any] | None:
        """Return the model's choice; None if all params have been tried."""
        if not self._earlier:
            decision = self._thaw.decide(number, self._trials)
        else:  # the features that are held belong to places in the list, which the earlier trials move
            decision = self._made().decide(number, [*self._faded(), *self._trials])
        return None if decision is None else decision.params

    def _made(self) -> Thaw:
        return Thaw(self._space, seed=self._seed, steps=1, settings=_SETTINGS)

    def _faded(self) -> list[SeenTrial]:
        """Return the earlier trials, brought to the scale of this run's scores."""
        own = [trial.curve[1] for trial in self._trials if trial.curve and math.isfinite(trial.curve[1])]
        middle, spread = scale(own)
        return [
            SeenTrial(params=known.params, curve={1: middle + spread * known.score}, over=True)
            for known in faded(self._earlier, len(own))
            if not known.pruned_at
        ]
