"""What trial n tries: a pure function of the seed, n, and the trials that n may see.

Trial n sees the ended trials numbered <= n - lag, in number order, and the params of those in between, whatever else
has ended by then. So the suggestion depends on neither the clock, the backend, nor the number of workers. Optuna's
samplers do the arithmetic, on an in-memory study (the shadow) that is told exactly what trial n may see, each time
with a fresh sampler whose seed comes from (seed, n).
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.sampler import _RELATIVE_PARAMS_KEY
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from litune.parameters import Categorical, Int, Latent
from litune.seeds import stream
from litune.space import Space, name_of
from litune.terms import LEGS
from litune.transfer import Known, faded, scale
from litune.trial import Outcome, TrialState

ALGORITHMS = ("auto", "grid", "random", "tpe", "cmaes", "gp", *LEGS, "repeat")

optuna.logging.set_verbosity(optuna.logging.ERROR)


def distribution(latent: Latent) -> BaseDistribution:
    """Return what Optuna draws a latent from."""
    if latent.kind == "float":
        return FloatDistribution(latent.low, latent.high, log=latent.log)
    if latent.kind == "int":
        return IntDistribution(int(latent.low), int(latent.high))
    return CategoricalDistribution(range(int(latent.high) + 1))


def shown(space: Space, params: Mapping[str, Any]) -> dict[str, tuple[BaseDistribution, Any]]:
    """Return, for each param, a distribution that holds its value, as Optuna's own plots and dashboard want it."""
    held: dict[str, tuple[BaseDistribution, Any]] = {}
    for key in space.encode(params):
        parameter, value = space.parameters[key], params[name_of(key)]
        held_by: BaseDistribution
        if isinstance(parameter, Categorical):
            choices = [choice if _is_scalar(choice) else json.dumps(choice) for choice in parameter.choices]
            held_by, value = CategoricalDistribution(choices), choices[parameter.encode(value)]
        elif isinstance(parameter, Int):
            held_by = IntDistribution(parameter.low, parameter.high - 1)
        else:
            low, high = parameter.examples()
            held_by = FloatDistribution(low, high, log=parameter.log and low > 0)
        held[name_of(key)] = (held_by, value)
    return held


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


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


def drawn(space: Space, trial: optuna.Trial) -> dict[str, Any]:
    """Return the params that Optuna's sampler draws for a trial."""

    def draw(key: str) -> Any:
        latent = space.parameters[key].latent
        if latent.kind == "float":
            return trial.suggest_float(key, latent.low, latent.high, log=latent.log)
        if latent.kind == "int":
            return trial.suggest_int(key, int(latent.low), int(latent.high))
        return trial.suggest_categorical(key, range(int(latent.high) + 1))

    return space.draw(draw)


def completed(space: Space, given: Mapping[str, Any], number: int, seed: int) -> dict[str, Any]:
    """Return the params of trial `number`, random but for those given."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=stream(seed, number)))
    study.enqueue_trial(space.encode(given))
    return {**drawn(space, study.ask()), **given}


class Suggester:
    """Suggest the params of trial 0, 1, 2, ... in turn; holds the shadow study.

    `enqueue` holds the params of the first trials, or a part of them: what an entry leaves out is suggested. `earlier`
    holds trials of other runs, of which tpe, gp and cmaes learn.
    """

    def __init__(
        self,
        algorithm: str,
        space: Space,
        *,
        seed: int,
        lag: int,
        maximize: bool,
        enqueue: Sequence[Mapping[str, Any]] = (),
        earlier: Sequence[Known] = (),
    ) -> None:
        self.algorithm, self.space, self.seed, self.lag, self.enqueue = algorithm, space, seed, lag, enqueue
        self._earlier = earlier
        self._told = 0  # the shadow knows how trials 0 .. _told - 1 ended
        self._direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
        self._shadow = optuna.create_study(direction=self._direction)
        self._model = None
        if algorithm == "gp":
            from litune.gp import Model  # which takes SciPy's optimizers a while to import

            self._model = Model(space, seed=seed, maximize=maximize, earlier=earlier)
        if algorithm == "cmaes":  # passes them by, but for what _sampler() makes of them
            self._shadow.add_trials(self._frozen_earlier(faded(earlier, 0)))
        self._first = len(self._shadow.get_trials(deepcopy=False))  # the shadow's number of trial 0

    def suggest(self, number: int, ended: Callable[[int], Outcome]) -> dict[str, Any]:
        """Return the params of trial `number`; `ended(k)` gives the outcome of any trial k <= number - lag."""
        if self.algorithm == "repeat":
            return dict(self.enqueue[number % len(self.enqueue)])
        if self.algorithm == "grid":
            return self.space.grid(self._grid_order[number] if self.enqueue else number)
        given = self.enqueue[number] if number < len(self.enqueue) else {}
        if self.algorithm == "random":
            blank = optuna.create_study(direction=self._direction)
            return self._ask(blank, optuna.samplers.RandomSampler(seed=stream(self.seed, number)), given)
        self._tell(number, ended)
        if self._model:
            suggested = None if given else self._model.suggest(number)
            params = suggested or completed(self.space, given, number, self.seed)
            self._model.note(params)
            return dict(params)
        if self._earlier and self.algorithm != "cmaes":
            params = self._ask(self._among_earlier(), self._sampler(number), given)
            self.restore(number, params, ended)
            return params
        return self._ask(self._shadow, self._sampler(number), given)

    def restore(self, number: int, params: Mapping[str, Any], ended: Callable[[int], Outcome]) -> None:
        """Take note that trial `number` has been given `params`, which suggest() or somebody else chose."""
        if self.algorithm in ("grid", "random", "repeat"):
            return
        if self.algorithm == "cmaes":  # its state lies in the shadow's trials: walk the same path again
            self.suggest(number, ended)
            return
        if self._model:
            self._model.note(params)
            return
        self._shadow.add_trial(self._frozen(params, state=OptunaState.RUNNING))

    def _frozen(self, params: Mapping[str, Any], **ending: Any) -> optuna.trial.FrozenTrial:
        latents = self.space.encode(params)
        distributions = {name: distribution(self.space.parameters[name].latent) for name in latents}
        return optuna.trial.create_trial(params=latents, distributions=distributions, **ending)

    def _frozen_earlier(
        self, trials: Sequence[Known], middle: float = 0.0, spread: float = 1.0
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
        own = self._shadow.get_trials(deepcopy=False)
        complete = [trial.value for trial in own if trial.state is OptunaState.COMPLETE and trial.value is not None]
        middle, spread = scale([value for value in complete if math.isfinite(value)])
        study = optuna.create_study(direction=self._direction)
        study.add_trials([*self._frozen_earlier(faded(self._earlier, len(complete)), middle, spread), *own])
        return study

    def _tell(self, number: int, ended: Callable[[int], Outcome]) -> None:
        while self._told <= number - self.lag:
            outcome, place = ended(self._told), self._first + self._told
            if self._model:
                self._model.tell(self._told, outcome)
            elif outcome.state is TrialState.COMPLETE:
                self._shadow.tell(place, outcome.score)
            elif outcome.state is TrialState.PRUNED:
                optuna.Trial(self._shadow, place).report(outcome.score or 0.0, max(outcome.history))
                self._shadow.tell(place, state=OptunaState.PRUNED)
            else:
                self._shadow.tell(place, state=OptunaState.FAIL)
            self._told += 1

    @cached_property
    def _grid_order(self) -> list[int]:
        """The points of the grid: for each entry of the queue the first one that has its params, then the others."""
        left = dict.fromkeys(range(self.space.grid_size() or 0))
        first = []
        for given in self.enqueue:
            found = (number for number in left if given.items() <= self.space.grid(number).items())
            if (number := next(found, None)) is not None:
                first.append(number)
                del left[number]
        return [*first, *left]

    def _ask(
        self, study: optuna.Study, sampler: optuna.samplers.BaseSampler, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        study.sampler = sampler
        if given:
            study.enqueue_trial(self.space.encode(given))
        trial = study.ask()
        params = {**drawn(self.space, trial), **given}
        if self.algorithm != "cmaes":  # steps round a latent; the shadow keeps what restore() can find out again
            for key, latent in self.space.encode(params).items():
                held = distribution(self.space.parameters[key].latent)
                trial.storage.set_trial_param(trial._trial_id, key, held.to_internal_repr(latent), held)
        # TPE would remember values that it drew for options which were then not chosen; a resumed search cannot
        trial.storage.set_trial_system_attr(trial._trial_id, f"{_RELATIVE_PARAMS_KEY}:0", "")
        return params

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = stream(self.seed, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self.algorithm == "cmaes":
                source = self._source_trials() or None
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False, source_trials=source)
            if self.space.conditional:
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
            return _Tpe(self._relative, seed=seed, multivariate=True, constant_liar=True)

    @cached_property
    def _relative(self) -> dict[str, BaseDistribution]:
        held = {key: distribution(parameter.latent) for key, parameter in sorted(self.space.parameters.items())}
        return {key: one for key, one in held.items() if not one.single()}

    def _source_trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return the earlier runs' trials with just the params that CMA-ES searches, as it asks for them."""
        if not self._earlier:
            return []
        searched = {
            name: held
            for name, held in optuna.search_space.intersection_search_space(
                self._shadow.get_trials(deepcopy=False)
            ).items()
            if not isinstance(held, CategoricalDistribution) and not held.single()
        }
        trials = self._shadow.get_trials(deepcopy=False)[: self._first]
        return [
            optuna.trial.create_trial(
                params={name: trial.params[name] for name in searched}, distributions=searched, value=trial.value
            )
            for trial in trials
            if trial.state is OptunaState.COMPLETE
        ]
