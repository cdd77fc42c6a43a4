"""What trial n tries: a pure function of the seed, n, and the trials that n may see.

Trial n sees the ended trials numbered <= n - lag, in number order, and the params of those in between, whatever else
has ended by then. So the suggestion depends on neither the clock, the backend, nor the number of workers. Optuna's
samplers do the arithmetic, on an in-memory study (the shadow) that is told exactly what trial n may see, each time
with a fresh sampler whose seed comes from (seed, n).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState as OptunaState

from litune.seeds import stream
from litune.space import Space
from litune.trial import Outcome, TrialState

ALGORITHMS = ("auto", "grid", "random", "tpe", "cmaes", "gp")

optuna.logging.set_verbosity(optuna.logging.ERROR)


def choose_algorithm(algorithm: str, space: Space, trials: int) -> str:
    """Return the algorithm that `auto` stands for: grid where the whole grid fits the budget, else tpe."""
    if algorithm != "auto":
        return algorithm
    size = space.grid_size()
    return "grid" if size is not None and size <= trials else "tpe"


class Suggester:
    """Suggest the params of trial 0, 1, 2, ... in turn; holds the shadow study."""

    def __init__(self, algorithm: str, space: Space, *, seed: int, lag: int, maximize: bool) -> None:
        self.algorithm, self.space, self.seed, self.lag = algorithm, space, seed, lag
        self._told = 0  # the shadow knows how trials 0 .. _told - 1 ended
        direction = "maximize" if maximize else "minimize"
        self._shadow = optuna.create_study(direction=direction)
        self._direction = direction

    def suggest(self, number: int, ended: Callable[[int], Outcome]) -> dict[str, Any]:
        """Return the params of trial `number`; `ended(k)` gives the outcome of any trial k <= number - lag."""
        if self.algorithm == "grid":
            return self.space.grid(number)
        if self.algorithm == "random":
            blank = optuna.create_study(direction=self._direction)
            return self._ask(blank, optuna.samplers.RandomSampler(seed=stream(self.seed, number)))
        self._tell(number, ended)
        return self._ask(self._shadow, self._sampler(number))

    def restore(self, number: int, params: Mapping[str, Any], ended: Callable[[int], Outcome]) -> None:
        """Take note that trial `number` has been given `params`, which suggest() or somebody else chose."""
        if self.algorithm in ("grid", "random"):
            return
        if self.algorithm == "cmaes":  # its state lies in the shadow's trials: walk the same path again
            self.suggest(number, ended)
            return
        latents = self.space.encode(params)
        trial = optuna.trial.create_trial(
            state=OptunaState.RUNNING,
            params=latents,
            distributions={name: distribution(self.space.parameters[name].latent) for name in latents},
        )
        self._shadow.add_trial(trial)

    def _tell(self, number: int, ended: Callable[[int], Outcome]) -> None:
        while self._told <= number - self.lag:
            outcome = ended(self._told)
            if outcome.state is TrialState.FAILED or outcome.score is None:
                self._shadow.tell(self._told, state=OptunaState.FAIL)
            else:
                self._shadow.tell(self._told, outcome.score)
            self._told += 1

    def _ask(self, study: optuna.Study, sampler: optuna.samplers.BaseSampler) -> dict[str, Any]:
        study.sampler = sampler
        trial = study.ask()

        def draw(name: str) -> Any:
            return trial._suggest(name, distribution(self.space.parameters[name].latent))

        return self.space.draw(draw)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = stream(self.seed, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self.algorithm == "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            if self.algorithm == "gp":
                return optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=self.space.conditional, constant_liar=True
            )
