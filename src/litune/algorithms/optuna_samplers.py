"""What tpe and cmaes suggest: Optuna's samplers, on an in-memory study.

It is told exactly what a trial may see, and each suggestion has a fresh sampler whose seed comes from (seed, number).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers._tpe.sampler import _RELATIVE_PARAMS_KEY
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from litune.algorithms.warm_start import EarlierTrial, faded, scale
from litune.seeds import stream
from litune.space.distributions import distribution, drawn
from litune.space.space import Space
from litune.trial import Outcome, TrialState

_SOURCES = 10  # CMA-ES learns from the best tenth, of so many at least


class _Tpe(optuna.samplers.TPESampler):
    """TPE over a space that all trials have in common, which Optuna's own looks for in every trial each time."""

    def __init__(self, space: dict[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**options)
        self._space = space

    def infer_relative_search_space(
        self, _study: optuna.Study, _trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the space."""
        return self._space


class OptunaModel:
    """Suggest params by `tpe` or `cmaes`; holds the study, where trials of `earlier` runs may stand before its own."""

    def __init__(
        self, algorithm: str, space: Space, *, seed: int, maximize: bool, earlier: Sequence[EarlierTrial] = ()
    ) -> None:
        self._algorithm, self._space, self._seed, self._earlier = algorithm, space, seed, earlier
        self._direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
        self._study = optuna.create_study(direction=self._direction)
        if algorithm == "cmaes":  # passes them by, but for what _sampler() makes of them
            self._study.add_trials(self._frozen_earlier(faded(earlier, 0)))
        self._first = len(self._study.get_trials(deepcopy=False))  # the study's number of trial 0

    def suggest(self, number: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params of the next trial, those given among them, and take note of them."""
        if not self._earlier or self._algorithm == "cmaes":
            return self._ask(self._study, number, given)
        params = self._ask(self._among_earlier(), number, given)
        self.note(params)
        return params

    def note(self, params: Mapping[str, Any]) -> None:
        """Take note of the next trial's params, which somebody else chose."""
        self._study.add_trial(self._frozen(params, state=OptunaState.RUNNING))

    def tell(self, number: int, outcome: Outcome) -> None:
        """Take note of how a trial ended."""
        place = self._first + number
        if outcome.state is TrialState.COMPLETE:
            self._study.tell(place, outcome.score)
        elif outcome.state is TrialState.PRUNED:
            optuna.Trial(self._study, place).report(outcome.score or 0.0, max(outcome.history))
            self._study.tell(place, state=OptunaState.PRUNED)
        else:
            self._study.tell(place, state=OptunaState.FAIL)

    def _frozen(self, params: Mapping[str, Any], **ending: Any) -> optuna.trial.FrozenTrial:
        latents = self._space.encode(params)
        distributions = {name: distribution(self._space.parameters[name].latent) for name in latents}
        return optuna.trial.create_trial(params=latents, distributions=distributions, **ending)

    def _frozen_earlier(
        self, trials: Sequence[EarlierTrial], middle: float = 0.0, spread: float = 1.0
    ) -> list[optuna.trial.FrozenTrial]:
        """Return trials of earlier runs, their scores brought to a mean and standard deviation."""
        sign = 1.0 if self._direction is StudyDirection.MAXIMIZE else -1.0
        frozen = []
        for known in trials:
            value = middle + spread * sign * known.score
            curve = {known.pruned_at: value} if known.pruned_at else {}
            state = OptunaState.PRUNED if known.pruned_at else OptunaState.COMPLETE
            frozen.append(self._frozen(known.params, state=state, value=value, intermediate_values=curve))
        return frozen

    def _among_earlier(self) -> optuna.Study:
        """Return a study of the earlier runs' trials, on the scale of this run's scores, followed by this run's."""
        own = self._study.get_trials(deepcopy=False)
        complete = [trial.value for trial in own if trial.state is OptunaState.COMPLETE and trial.value is not None]
        middle, spread = scale([value for value in complete if math.isfinite(value)])
        study = optuna.create_study(direction=self._direction)
        study.add_trials([*self._frozen_earlier(faded(self._earlier, len(complete)), middle, spread), *own])
        return study

    def _ask(self, study: optuna.Study, number: int, given: Mapping[str, Any]) -> dict[str, Any]:
        study.sampler = self._sampler(number)
        if given:
            study.enqueue_trial(self._space.encode(given))
        trial = study.ask()
        params = {**drawn(self._space, trial), **given}
        if self._algorithm != "cmaes":  # steps round a latent; the study keeps what note() can find out again
            for key, latent in self._space.encode(params).items():
                held = distribution(self._space.parameters[key].latent)
                trial.storage.set_trial_param(trial._trial_id, key, held.to_internal_repr(latent), held)
        # TPE would remember values that it drew for options which were then not chosen; a resumed search cannot
        trial.storage.set_trial_system_attr(trial._trial_id, f"{_RELATIVE_PARAMS_KEY}:0", "")
        return params

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = stream(self._seed, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self._algorithm == "cmaes":
                source = self._source_trials() or None
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False, source_trials=source)
            if self._space.conditional:
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
            return _Tpe(self._relative, seed=seed, multivariate=True, constant_liar=True)

    @cached_property
    def _relative(self) -> dict[str, BaseDistribution]:
        held = {key: distribution(parameter.latent) for key, parameter in sorted(self._space.parameters.items())}
        return {key: one for key, one in held.items() if not one.single()}

    def _source_trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return the earlier runs' trials with just the params that CMA-ES searches, as it asks for them."""
        if not self._earlier:
            return []
        searched = {
            name: held
            for name, held in optuna.search_space.intersection_search_space(
                self._study.get_trials(deepcopy=False)
            ).items()
            if not isinstance(held, CategoricalDistribution) and not held.single()
        }
        trials = self._study.get_trials(deepcopy=False)[: self._first]
        complete = [
            optuna.trial.create_trial(
                params={name: trial.params[name] for name in searched}, distributions=searched, value=trial.value
            )
            for trial in trials
            if trial.state is OptunaState.COMPLETE
        ]
        return complete * max(1, math.ceil(_SOURCES / max(1, len(complete))))  # of fewer, too, the best counts
