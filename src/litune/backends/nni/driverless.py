"""A trial of nnictl without a driver: the trial command trains it in its own process, and keeps the ledger itself.

Slower, as it imports torch for one trial, and one at a time, as it holds the run's lock meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig

from litune import checks, launch
from litune.backends.nni.rest import TrialChannel, packet
from litune.config.documents import leaves
from litune.errors import InputError, StudyLocked
from litune.space import misfits
from litune.space.space import Space
from litune.study import opening
from litune.study.study import Study
from litune.trial import TrialState
from litune.umask import private
from litune.workers.child import execute
from litune.workers.resources import alarm

_STEP = 0.1  # seconds between two looks at the lock


def run(words: Sequence[str], channel: TrialChannel, trial: str) -> int:
    """Train the trial that NNI calls `trial`, by a search's command, record it, and return the exit code."""
    composed = launch.composed(words)
    if composed.problems:
        raise InputError(composed.problems)
    space = checks.load_space(composed.config)
    drawn = packet(channel.manager.get(f"/trial-jobs/{trial}"))
    params, parameter_id = dict(leaves(drawn["parameters"])), drawn["parameter_id"]
    if problems := list(misfits.problems(params, space, whole=True)):
        raise InputError(problems)
    with private(), _opened(composed.config, space) as study:
        job = study.again(params) or study.adopt(params)
        print(f"trial {job.number} in {job.directory}", flush=True)

        def send(message: dict[str, Any]) -> None:
            study.report(job.number, message["step"], message["metrics"])
            study.commit()
            value = message["metrics"].get(study.objective.metric)
            if value is not None:
                channel.report(value, message["metrics"], parameter_id)

        with alarm(job.timeout):
            outcome = execute(job, send)
        study.tell(job.number, outcome, final=True)
    if outcome.score is not None:
        channel.finish(outcome.score, parameter_id)
    print(outcome.failure.message if outcome.failure else f"{outcome.state.value}, score {outcome.score!r}", flush=True)
    return 0 if outcome.state in (TrialState.COMPLETE, TrialState.PRUNED) else 1


@contextlib.contextmanager
def _opened(config: DictConfig, space: Space) -> Iterator[Study]:
    """Wait until the ledger is free, and hold it."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                study = stack.enter_context(opening.opened(config, space))
                break
            except StudyLocked:
                time.sleep(_STEP)
        yield study
