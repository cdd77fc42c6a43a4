"""Runs as a search records them, with trials that end as a function of their params, so that they cost no training."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from litune import checks
from litune.config.compose import compose
from litune.study import opening
from litune.trial import Failure, FailureClass, Job, Outcome, TrialState

HOSTILE = '<script>console.error("owned")</script><img src=x onerror=alert(1)>|`'


def quality(job: Job) -> float:
    return 1.0 - abs(math.log10(float(job.params["optimizer.lr"])) + 2) / 4


def outcome(job: Job) -> Outcome:
    if job.number % 11 == 5:
        failure = Failure(kind=FailureClass.ERROR, message=f"Traceback\nValueError: {HOSTILE}")
        return Outcome(state=TrialState.FAILED, failure=failure, seconds=0.1)
    final = quality(job)
    if final < 0.6:
        return Outcome(state=TrialState.PRUNED, score=final / 2, history={1: final / 2}, seconds=0.2)
    curve = {step: final * (1 - 0.5**step) for step in range(1, 6)}
    return Outcome(state=TrialState.COMPLETE, score=curve[5], history=curve, seconds=0.4)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that records a search and returns its directory."""

    def record(name: str, trials: int, *overrides: str, ending: Callable[[Job], Outcome] = outcome) -> Path:
        root = tmp_path_factory.mktemp("runs")
        words = ["experiment=digits_mlp", f"name={name}", f"search.runs={root}", f"search.trials={trials}"]
        config = compose([*words, "search.algorithm=random", *overrides]).config
        with opening.opened(config, checks.load_space(config)) as study:
            while (job := study.ask()) is not None:
                study.tell(job.number, ending(job))
        return root / name

    return record
