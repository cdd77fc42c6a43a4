"""The searches that are compared, each a function of (task, seed, cap in epochs) to a Trace.

All look up the same trainings and maximise. Where a task admits only recorded params, every search is told which params
were really trained. A trial's score is its best value.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import optuna

from benchmarks.quality.tables import Task
from litune.algorithms import asha
from litune.algorithms.decision import Decision, SeenTrial
from litune.algorithms.thaw import Settings, Thaw
from litune.space.distributions import distribution

optuna.logging.set_verbosity(optuna.logging.ERROR)
logging.getLogger("nni").setLevel(logging.ERROR)

Decide = Callable[[int, list[SeenTrial], float], Decision | None]


@dataclass(kw_only=True)
class Trace:
    """The best value after each epoch spent, the CPU seconds of each decision, and the number of trials."""

    cap: int
    best: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    trials: int = 0

    def see(self, values: np.ndarray) -> bool:
        """Take note of a trial's next values, one an epoch; say whether the budget is spent."""
        for value in values[: self.cap - len(self.best)]:
            last = self.best[-1] if self.best else -math.inf
            self.best.append(max(last, float(value)) if math.isfinite(value) else last)
        return len(self.best) >= self.cap


def _legs(task: Task, cap: int, decide: Decide, enough: float = math.inf) -> Trace:
    """Run a search that decides legs, one at a time."""
    trace, trials, number = Trace(cap=cap), list[SeenTrial](), 0
    while True:
        clock = time.process_time()
        decision = decide(number, trials, cap - len(trace.best))
        trace.cpu.append(time.process_time() - clock)
        number += 1
        assert decision is not None, "no table is used up by 20 trainings"
        if decision.trial is None:
            assert decision.params is not None
            trials.append(SeenTrial(params=task.admit(decision.params, [trial.params for trial in trials])))
        place = len(trials) - 1 if decision.trial is None else decision.trial
        trial = trials[place]
        values = task.curve(trial.params)[0]
        done = trace.see(values[trial.reached : decision.until])
        curve = {step: float(values[step - 1]) for step in range(1, decision.until + 1)}
        trials[place] = SeenTrial(params=trial.params, curve=curve)
        if done or trace.best[-1] >= enough:
            trace.trials = len(trials)
            return trace


def thaw(task: Task, seed: int, cap: int, settings: Settings | None = None, enough: float = math.inf) -> Trace:
    decider = Thaw(task.space, seed=seed, steps=task.steps, candidates=task.candidates, settings=settings)
    return _legs(task, cap, decider.decide, enough)


def promotion_tpe(task: Task, seed: int, cap: int, brackets: int = 1) -> Trace:
    def decide(number: int, trials: list[SeenTrial], left: float) -> Decision:
        return asha.decide(number, trials, space=task.space, seed=seed, steps=task.steps, brackets=brackets, left=left)

    return _legs(task, cap, decide)


def one_epoch_then_top(task: Task, seed: int, cap: int) -> Trace:
    """Half the budget on one epoch of random params each, the other half on training the best of them in full."""
    rng = np.random.default_rng(seed)
    trace, taken, firsts = Trace(cap=cap), list[Mapping[str, Any]](), list[float]()
    while len(trace.best) < cap // 2 and len(taken) < 1000:
        drawn = task.space.draw(partial(_draw, task, rng))
        taken.append(task.admit(drawn, taken))
        value = task.curve(taken[-1])[0][:1]
        trace.see(value)
        firsts.append(float(value[0]) if math.isfinite(value[0]) else -math.inf)
    for place in np.argsort([-first for first in firsts], kind="stable"):
        if trace.see(task.curve(taken[place])[0][1:]):
            break
    trace.trials = len(taken)
    return trace


def _draw(task: Task, rng: np.random.Generator, key: str) -> float:
    latent = task.space.parameters[key].latent
    if latent.kind == "int":
        return int(rng.integers(int(latent.low), int(latent.high) + 1))
    if latent.log:
        return float(np.exp(rng.uniform(np.log(latent.low), np.log(latent.high))))
    return float(rng.uniform(latent.low, latent.high))


def _optuna(make: Callable[[int, Task], tuple[Any, Any]], task: Task, seed: int, cap: int) -> Trace:
    trace = Trace(cap=cap)
    sampler, pruner = make(seed, task)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    held = {key: distribution(parameter.latent) for key, parameter in task.space.parameters.items()}
    taken: list[Mapping[str, Any]] = []
    done = False
    while not done:
        clock = time.process_time()
        trial = study.ask(held)
        params = task.space.draw(trial.params.__getitem__)
        spent = time.process_time() - clock
        taken.append(task.admit(params, taken))
        if taken[-1] != params:  # let the trial have the params that are really trained
            for key, latent in task.space.encode(taken[-1]).items():
                study._storage.set_trial_param(trial._trial_id, key, held[key].to_internal_repr(latent), held[key])
        values = task.curve(taken[-1])[0]
        state, seen = optuna.trial.TrialState.COMPLETE, len(values)
        for step, value in enumerate(values, 1):
            if not math.isfinite(value):
                state, seen = optuna.trial.TrialState.FAIL, step
                break
            trial.report(value, step)
            clock = time.process_time()
            stop = trial.should_prune()
            spent += time.process_time() - clock
            if stop:
                state, seen = optuna.trial.TrialState.PRUNED, step
                break
        complete = state is optuna.trial.TrialState.COMPLETE
        study.tell(trial, float(values.max()) if complete else None, state=state)
        trace.cpu.append(spent)
        done = trace.see(values[:seen])
    trace.trials = len(taken)
    return trace


def nni(task: Task, seed: int, cap: int) -> Trace:
    """NNI's TPE and Medianstop, its defaults, called in process."""
    from nni.algorithms.hpo.medianstop_assessor import MedianstopAssessor
    from nni.algorithms.hpo.tpe_tuner import TpeTuner
    from nni.assessor import AssessResult

    tuner, assessor = TpeTuner("maximize", seed=seed), MedianstopAssessor("maximize")
    space = {}
    for key, parameter in task.space.parameters.items():
        latent = parameter.latent
        if latent.kind == "int":
            space[key] = {"_type": "randint", "_value": [int(latent.low), int(latent.high) + 1]}
        else:
            space[key] = {"_type": "loguniform" if latent.log else "uniform", "_value": [latent.low, latent.high]}
    tuner.update_search_space(space)
    trace, taken, done = Trace(cap=cap), list[Mapping[str, Any]](), False
    while not done:
        number = len(taken)
        clock = time.process_time()
        drawn = tuner.generate_parameters(number)
        trace.cpu.append(time.process_time() - clock)
        params = task.space.draw(drawn.__getitem__)
        taken.append(task.admit(params, taken))
        values = task.curve(taken[-1])[0]
        if taken[-1] != params:
            from nni.common.hpo_utils import format_parameters

            tuner._running_params[number] = format_parameters(task.space.encode(taken[-1]), tuner.space)
        broken = np.nonzero(~np.isfinite(values))[0]
        seen = int(broken[0]) + 1 if len(broken) else len(values)
        success = not len(broken)
        for step in range(1, seen + 1 - len(broken[:1])):
            if assessor.assess_trial(number, list(map(float, values[:step]))) is AssessResult.Bad:
                seen, success = step, False
                break
        if success:
            tuner.receive_trial_result(number, drawn, float(values.max()))
        tuner.trial_end(number, success)
        if number in assessor._running_history:
            assessor.trial_end(number, success)
        done = trace.see(values[:seen])
    trace.trials = len(taken)
    return trace


def _tpe(seed: int) -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(seed=seed)


ARMS: dict[str, Callable[[Task, int, int], Trace]] = {
    "Optuna 5 default": partial(_optuna, lambda seed, _: (_tpe(seed), optuna.pruners.MedianPruner())),
    "random": partial(_optuna, lambda seed, _: (optuna.samplers.RandomSampler(seed), optuna.pruners.NopPruner())),
    "litune auto (thaw)": thaw,
    "promotion + TPE": promotion_tpe,
    "hyperband": partial(promotion_tpe, brackets=4),
    "TPE, no pruner": partial(_optuna, lambda seed, _: (_tpe(seed), optuna.pruners.NopPruner())),
    "TPE + Hyperband pruner": partial(
        _optuna, lambda seed, task: (_tpe(seed), optuna.pruners.HyperbandPruner(max_resource=task.steps))
    ),
    "random + stopping ASHA": partial(
        _optuna, lambda seed, _: (optuna.samplers.RandomSampler(seed), optuna.pruners.SuccessiveHalvingPruner())
    ),
    "NNI TPE + Medianstop": nni,
    "one-epoch-then-top-k": one_epoch_then_top,
}
