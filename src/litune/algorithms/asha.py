"""Successive halving by promotion with new params from TPE, and Hyperband over it.

Each decision is a pure function of (seed, k, the trials as k may see them). TPE is fitted at the deepest rung that
enough trials have reached, as in BOHB (Falkner, Klein and Hutter 2018, arXiv:1807.01774). In Hyperband (Li et al. 2018,
arXiv:1603.06560) the trials belong to brackets, by their number; a bracket that starts higher halves less often.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState as OptunaState

from litune.algorithms.decision import Decision, SeenTrial
from litune.algorithms.promotion import REDUCTION_FACTOR, promote, rungs, scores_at_depth
from litune.seeds import stream
from litune.space.distributions import distribution, drawn
from litune.space.space import Space

_ENOUGH = 8  # trials at a rung before TPE is fitted there
_GOLDEN_RATIO = 0.6180339887498949


def bracket_of(number: int, brackets: int) -> int:
    """Return the bracket of a trial: each has about REDUCTION_FACTOR times fewer trials than the one before.

    The trials are dealt out evenly by multiples of the golden ratio, not at random, so that few trials already keep to
    the brackets' shares.
    """
    shares = [REDUCTION_FACTOR ** (brackets - 1 - place) / (brackets - place) for place in range(brackets)]
    place = (number * _GOLDEN_RATIO) % 1.0 * sum(shares)
    for bracket, share in enumerate(shares):
        if place < share:
            return bracket
        place -= share
    return brackets - 1


def decide(
    number: int,
    trials: Sequence[SeenTrial],
    left: float = math.inf,
    *,
    space: Space,
    seed: int,
    steps: int,
    brackets: int = 1,
) -> Decision:
    """Return decision `number` of ASHA (one bracket) or Hyperband (several), with `left` steps to spend."""
    ladder = rungs(steps)
    brackets = min(brackets, len(ladder))
    for bracket in range(brackets):
        own = [index for index in range(len(trials)) if bracket_of(index, brackets) == bracket]
        risen = promote([trials[index] for index in own], ladder[bracket:])
        if risen is not None:
            trial, rung = own[risen[0]], risen[1]
            until = int(min(rung, trials[trial].reached + max(left, 1)))
            return Decision(trial=trial, params=None, until=until, why="promotion")
    params = fresh(number, trials, space=space, seed=seed, ladder=ladder)
    until = int(max(1, min(ladder[bracket_of(len(trials), brackets)], left)))
    return Decision(trial=None, params=params, until=until, why="new")


def fresh(
    number: int, trials: Sequence[SeenTrial], *, space: Space, seed: int, ladder: Sequence[int]
) -> Mapping[str, Any]:
    """Return new params from TPE, fitted at the deepest rung that enough trials have reached."""
    sampler = optuna.samplers.TPESampler(
        seed=stream(seed, number), multivariate=True, group=space.conditional, constant_liar=True
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial, score in zip(trials, scores_at_depth(trials, ladder, _ENOUGH), strict=True):
        latents = space.encode(trial.params)
        worst = trial.over or (score is not None and not math.isfinite(score))
        if score is None and not trial.until and not worst:
            continue
        known = score is not None and math.isfinite(score)
        state = OptunaState.COMPLETE if known else OptunaState.FAIL if worst else OptunaState.RUNNING
        held = {key: distribution(space.parameters[key].latent) for key in latents}
        study.add_trial(
            optuna.trial.create_trial(state=state, value=score if known else None, params=latents, distributions=held)
        )
    return drawn(space, study.ask())
