"""What trial n tries: a pure function of the seed, n, and the trials that n may see.

Trial n sees the ended trials numbered <= n - lag, in number order, and the params of those in between, whatever else
has ended by then. So the suggestion depends on neither the clock, the backend, nor the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from litune.algorithms.warm_start import EarlierTrial
from litune.space.distributions import completed
from litune.space.space import Space
from litune.trial import Outcome


class Model(Protocol):
    """What learns from trials: it is told of them in the order of their numbers."""

    def suggest(self, number: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params of the next trial, those given among them, and take note of them."""

    def note(self, params: Mapping[str, Any]) -> None:
        """Take note of the next trial's params, which somebody else chose."""

    def tell(self, number: int, outcome: Outcome) -> None:
        """Take note of how a trial ended."""


class Suggester:
    """Suggest the params of trial 0, 1, 2, ... in turn; holds what the trials so far have taught.

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
        earlier: Sequence[EarlierTrial] = (),
    ) -> None:
        self.algorithm, self.space, self.seed, self.lag, self.enqueue = algorithm, space, seed, lag, enqueue
        self._told = 0  # the model knows how trials 0 .. _told - 1 ended
        self._model = _model(algorithm, space, seed=seed, maximize=maximize, earlier=earlier)

    def suggest(self, number: int, ended: Callable[[int], Outcome]) -> dict[str, Any]:
        """Return the params of trial `number`; `ended(k)` gives the outcome of any trial k <= number - lag."""
        if self.algorithm == "repeat":
            return dict(self.enqueue[number % len(self.enqueue)])
        if self.algorithm == "grid":
            return self.space.grid(self._grid_order[number] if self.enqueue else number)
        given = self.enqueue[number] if number < len(self.enqueue) else {}
        if self._model is None:
            return completed(self.space, given, number, self.seed)
        while self._told <= number - self.lag:
            self._model.tell(self._told, ended(self._told))
            self._told += 1
        return self._model.suggest(number, given)

    def restore(self, number: int, params: Mapping[str, Any], ended: Callable[[int], Outcome]) -> None:
        """Take note that trial `number` has been given `params`, which suggest() or somebody else chose."""
        if self.algorithm == "cmaes":  # its state lies in the trials as it asked for them: walk the same path again
            self.suggest(number, ended)
        elif self._model:
            self._model.note(params)

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


def _model(algorithm: str, space: Space, *, seed: int, maximize: bool, earlier: Sequence[EarlierTrial]) -> Model | None:
    if algorithm == "gp":
        from litune.algorithms import gp  # which takes SciPy's optimizers a while to import

        return gp.GaussianProcess(space, seed=seed, maximize=maximize, earlier=earlier)
    if algorithm in ("tpe", "cmaes"):
        from litune.algorithms.optuna_samplers import OptunaModel

        return OptunaModel(algorithm, space, seed=seed, maximize=maximize, earlier=earlier)
    return None
