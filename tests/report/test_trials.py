"""What `litune trials` prints for programs to read, and how `litune list` counts trials."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litune import cli
from litune.trial import Failure, FailureClass, Job, Outcome, TrialState
from tests.report.conftest import outcome


def strict(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def test_numbers_that_json_does_not_have_are_text(
    recorded: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def diverge(job: Job) -> Outcome:
        failure = Failure(kind=FailureClass.NAN, message="val_acc is no number")
        worst = math.nan if job.number else -math.inf
        return Outcome(state=TrialState.FAILED, history={1: 0.5, 2: worst}, failure=failure)

    run = recorded("diverged", 2, ending=diverge)
    assert cli.main(["trials", str(run), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=strict)
    assert [row["history"] for row in rows] == [[[1, 0.5], [2, "-inf"]], [[1, 0.5], [2, "nan"]]]


def test_the_list_counts_each_trial_once_those_too_that_have_not_ended(
    recorded: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def ending(job: Job) -> Outcome:
        paused = Outcome(state=TrialState.PAUSED, history={1: 0.5}, score=0.5)
        return paused if job.number in (2, 3) else outcome(job)

    run = recorded("halved", 6, "search.algorithm=asha", ending=ending)
    assert cli.main(["list", str(run.parent)]) == 0
    head, row = (line.split() for line in capsys.readouterr().out.splitlines())
    counted = dict(zip(head, row, strict=True))
    kinds = ("complete", "pruned", "failed", "unended")
    assert int(counted["unended"]) > 0
    assert sum(int(counted[kind]) for kind in kinds) == int(counted["trials"])
