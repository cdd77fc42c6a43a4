"""Studies whose trainings are made up, so that many fit into a test: the same table whatever happens on the way."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from litune.algorithms.terms import Execution, Terms
from litune.objective import Objective
from litune.space.space import Space, choice, uniform
from litune.study import ledger as ledgers
from litune.study.study import Study
from litune.table import TrialRow, leaderboard
from litune.trial import CHECKPOINTS, Failure, FailureClass, Job, JobTrial, Outcome, TrialState

STEPS = 9
LAG = 3
FEW = Space.of({"k": choice("a", "b", "c", "d")})
MANY = Space.of({"k": choice("a", "b", "c", "d"), "x": uniform(0, 1)})
SEARCHES = {  # algorithm, pruner, mode, reduction
    "random": ("random", "none", "max", "last"),
    "median": ("random", "median", "max", "best"),
    "median of a loss": ("random", "median", "min", "last"),
    "pruning by rungs": ("random", "asha", "max", "last"),
    "tpe": ("tpe", "hyperband", "min", "best"),
    "legs": ("asha", "none", "max", "last"),
    "legs of a loss": ("hyperband", "none", "min", "best"),
}
Fates = Mapping[tuple[str, int], str]  # (k, step) -> what becomes of the training then
BY_ITSELF: Fates = {("b", 2): "ends"}
numbers = itertools.count()


class Search:
    """A study that can be left and opened again."""

    def __init__(self, directory: Path, kind: str, space: Space, fates: Fates = BY_ITSELF, **how: Any) -> None:
        self.directory, self.space, self.fates = directory / str(next(numbers)), space, fates
        self.how = {"trials": 20, "steps": 60, "parallel": LAG, **how}
        self.directory.mkdir()
        self.algorithm, self.pruner, mode, reduce = SEARCHES[kind]
        self.objective = Objective(metric="score", mode=mode, reduce=reduce)
        self.trained: list[tuple[str, int | None]] = []
        self.open()

    def open(self) -> None:
        url = ledgers.storage_url(self.directory, None)
        ledger = ledgers.create(url, "it", metric="score", maximize=self.objective.maximize, about={})
        of_all = {"seed_per_trial": False, "lag": LAG, "threads": 1, "max_steps": STEPS}
        self.study = Study(
            config={},
            space=self.space,
            objective=self.objective,
            terms=Terms(algorithm=self.algorithm, pruner=self.pruner, seed=5, **of_all),
            execution=Execution(**self.how),
            ledger=ledger,
            directory=self.directory,
        )

    def killed(self) -> None:
        """Open it again as after a kill: what was not durable is lost."""
        self.study._ledger._engine.dispose()
        self.open()

    def left(self) -> None:
        """Open it again as after the end of search.timeout."""
        over, resting = self.study.done, self.resting()
        self.study.settle()
        assert over or self.resting() == resting
        self.study.set_aside()
        self.study.close()
        self.open()

    def resting(self) -> list[int]:
        return [row.number for row in self.study.rows.values() if row.resting]

    def train(self, job: Job) -> None:
        """Have a trial, or its leg, run to its end."""
        assert job.attempt or job.start == len(self.study.rows[job.number].history)
        self.trained.append((job.params["k"], job.until))
        (Path(job.directory) / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        trial = JobTrial(job, metric="score", maximize=self.objective.maximize, send=lambda _step, _metrics: None)
        history, fate = {}, None
        for step in range(1, (job.until or STEPS) + 1):
            fate = self.fates.get((job.params["k"], step))
            if fate == "raises":
                self.fail(job, FailureClass.ERROR, history)
                return
            history[step] = math.nan if fate == "diverges" else value(job, step)
            trial.report(step, {"score": history[step]})
            self.study.report(job.number, step, {"score": history[step]})
            if fate == "diverges":
                self.fail(job, FailureClass.NAN, history)
                return
            if trial.should_stop() or fate == "ends":
                break
        state = TrialState.PAUSED if len(history) == job.until and fate != "ends" else TrialState.COMPLETE
        state = TrialState.PRUNED if trial.should_stop() else state
        score = self.objective.score(history)
        self.study.tell(job.number, Outcome(state=state, score=score, history=history, seconds=1.0))
        assert self.study.rows[job.number].reused is None

    def fail(self, job: Job, kind: FailureClass, history: Mapping[int, float]) -> None:
        failure = Failure(kind=kind, message="it failed")
        self.study.tell(job.number, Outcome(state=TrialState.FAILED, failure=failure, history=history, seconds=1.0))

    def train_any(self, rng: random.Random) -> None:
        """Ask for as many as may run at once, and have any of them run to its end."""
        while len(self.study.running) < LAG and self.study.ask() is not None:
            pass
        self.train(self.study.running[rng.choice(sorted(self.study.running))])

    def to_its_end(self) -> list[tuple]:
        while (job := self.study.ask()) is not None:
            self.train(job)
        return self.table()

    def table(self) -> list[tuple]:
        self.study.settle()
        self.study.close()
        best = leaderboard(self.study.rows.values(), maximize=self.objective.maximize)
        kept = {int(path.parent.name) for path in self.directory.glob(f"trials/*/{CHECKPOINTS}")}
        best = best[: self.study.execution.keep_checkpoints]
        assert kept == {row.number if row.reused is None else row.reused for row in best}
        return meaning(self.study.rows.values())


def value(job: Job, step: int) -> float:
    """Return what is reported: curves that cross, some of which are the same."""
    place = "abcd".index(job.params["k"])
    return round(place * step / 4 + (place * 7 + step * 3) % 5 / 3, 3) + job.params.get("x", 0.0)


def meaning(rows) -> list[tuple]:
    return [meaning_of(row) for row in sorted(rows, key=lambda row: row.number)]


def meaning_of(row: TrialRow) -> tuple:
    return row.number, row.params, row.state, row.score, row.history, row.legs, row.fingerprint()


@pytest.mark.parametrize("kind", SEARCHES)
def test_answers_from_equal_params_change_nothing(kind: str, tmp_path: Path) -> None:
    trained, answered = Search(tmp_path, kind, FEW, reuse=False), Search(tmp_path, kind, FEW)
    assert answered.to_its_end() == trained.to_its_end()
    assert len(answered.trained) < len(trained.trained)
    assert answered.pruner != "none" or len(set(answered.trained)) == len(answered.trained)


@pytest.mark.parametrize("retries", [{}, {"error": 1}])
@pytest.mark.parametrize(
    "fates", [{("b", 3): "ends"}, {("c", 3): "diverges"}, {("d", 5): "raises", ("c", 2): "diverges"}]
)
@pytest.mark.parametrize("kind", ["median", "legs", "legs of a loss"])
def test_answers_from_trainings_that_end_or_fail_further_on_change_nothing(
    kind: str, fates: Fates, retries: dict[str, int], tmp_path: Path
) -> None:
    trained, answered = (Search(tmp_path, kind, FEW, fates, reuse=reuse, retries=retries) for reuse in (False, True))
    assert answered.to_its_end() == trained.to_its_end()
    assert len(answered.trained) < len(trained.trained)
    for search in (trained, answered):
        search.open()  # where each is read and compared with its fingerprint
    for number, row in answered.study.rows.items():
        assert (row.failure, row.retried) == (trained.study.rows[number].failure, trained.study.rows[number].retried)


@pytest.mark.parametrize("kind", SEARCHES)
def test_the_order_in_which_trials_end_changes_nothing(kind: str, tmp_path: Path) -> None:
    whole = Search(tmp_path, kind, MANY).to_its_end()
    search, rng = Search(tmp_path, kind, MANY), random.Random(1)
    while not search.study.done:
        search.train_any(rng)
    assert search.table() == whole


def test_no_trial_is_held_against_those_that_failed(tmp_path: Path) -> None:
    study = Search(tmp_path, "median", MANY).study
    failure = Failure(kind=FailureClass.ERROR, message="as asked")
    for number in range(10):
        job = study.ask()
        assert job is not None
        assert set(job.prune_below) == (set() if number < 6 + LAG - 1 else {1})
        history = {1: 1.0}
        failed = {"state": TrialState.FAILED, "failure": failure}
        ending = failed if number == 0 else {"state": TrialState.COMPLETE, "score": 1.0}
        study.tell(number, Outcome(history=history, **ending))


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_kill_at_any_turn_changes_nothing(kind: str, tmp_path: Path) -> None:
    whole = Search(tmp_path, kind, MANY).to_its_end()
    search, rng = Search(tmp_path, kind, MANY), random.Random(1)
    while not search.study.done:
        search.train_any(rng)
        if rng.random() < 0.5:
            search.study.commit()
        if rng.random() < 0.2:
            search.killed()
        if rng.random() < 0.2:
            search.left()
    assert search.table() == whole


def test_trials_that_rest_do_so_still_when_time_is_over_for_those_that_run(tmp_path: Path) -> None:
    search, rng = Search(tmp_path, "legs", MANY), random.Random(1)
    while not search.resting():
        search.train_any(rng)
    while search.study.ask() is not None:
        pass
    assert search.resting()
    search.left()


def test_of_trials_that_others_answer_the_best_keep_their_checkpoints(tmp_path: Path) -> None:
    search, rng = Search(tmp_path, "legs", FEW, steps=30, keep_checkpoints=2), random.Random(2)
    while not search.study.done:
        search.train_any(rng)
    assert search.table()


def test_of_trials_that_go_on_in_a_longer_search_the_best_keep_their_checkpoints(tmp_path: Path) -> None:
    search = Search(tmp_path, "legs of a loss", MANY, steps=30)
    short = search.to_its_end()
    search.how["steps"] = 60
    search.open()
    longer = search.to_its_end()
    assert any(len(after[4]) > len(before[4]) for before, after in zip(short, longer, strict=False))


def test_a_budget_of_seconds_is_spent_by_trainings_and_not_by_answers(tmp_path: Path) -> None:
    search = Search(tmp_path, "random", FEW, seconds=4.0)
    table = search.to_its_end()
    assert len(search.trained) == 4 < len(table)


def test_a_trial_that_was_interrupted_is_run_again_although_the_budget_is_spent(tmp_path: Path) -> None:
    search = Search(tmp_path, "random", MANY, seconds=1.0)
    first, second = search.study.ask(), search.study.ask()
    assert first is not None
    assert second is not None
    search.train(first)
    search.left()
    assert not search.study.done
    again = search.study.ask()
    assert again is not None
    assert (again.number, again.attempt) == (1, 1)
    search.train(again)
    assert search.study.done


def failed() -> Outcome:
    return Outcome(state=TrialState.FAILED, failure=Failure(kind=FailureClass.ERROR, message="as asked"))


@pytest.mark.parametrize("trained", [0, 1])
def test_failures_alike_end_no_search_that_had_a_better_trial_before(trained: int, tmp_path: Path) -> None:
    search = Search(tmp_path, "random", MANY, equal_failures=2)
    for _ in range(trained):
        search.train_any(random.Random(1))
    search.left()
    for _ in range(2):
        job = search.study.ask()
        assert job is not None
        search.study.tell(job.number, failed())
    assert bool(search.study.stopped) == (not trained)


def test_what_is_said_of_a_trial_that_has_ended_changes_nothing(tmp_path: Path) -> None:
    search = Search(tmp_path, "random", MANY)
    job = search.study.ask()
    assert job is not None
    search.train(job)
    ended = dict(search.study.rows)
    search.study.report(job.number, STEPS, {"score": 99.0})
    search.study.tell(job.number, failed())
    assert search.study.rows == ended
