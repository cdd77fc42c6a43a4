"""P12: a trial ends by its deadline and a search by its own, with everything that they started."""

from pathlib import Path

import pytest

from tests.faults.sessions import faulty, left_behind
from tests.faults.tallies import tally
from tests.in_process import trials

pytestmark = pytest.mark.usefixtures("adopted")


@pytest.mark.parametrize("backend", ["optuna", "ray", "nni"])
def test_a_hung_trial_ends_by_its_deadline_with_its_grandchildren(backend: str, tmp_path: Path) -> None:
    with tally("P12", backend) as one, one.attempt(2):
        done = faulty(tmp_path, "hang", "search.trial_timeout=2", "search.trials=2", backend=backend)
        assert [row["failure"]["kind"] for row in trials(tmp_path / "it")] == ["timeout", "timeout"], done.stderr
        assert not left_behind()


def test_a_training_that_minds_its_deadline_is_timed_out_as_well(tmp_path: Path) -> None:
    words = ["search.trial_timeout=2", "search.trials=1", "search.retries.error=1", "trainer.max_epochs=99"]
    with tally("P12", "optuna") as one, one.attempt():
        done = faulty(tmp_path, "slow", *words)
        [row] = trials(tmp_path / "it")
        assert row["failure"]["kind"] == "timeout", done.stderr
        assert "ran longer than the 2 s that search.trial_timeout left it" in row["failure"]["message"]
        assert not row["retried"]


def test_a_trial_that_ends_takes_along_what_it_left_behind(tmp_path: Path) -> None:
    assert faulty(tmp_path, "family", "search.trials=3").returncode == 0
    assert not left_behind()


def test_what_a_trial_left_behind_is_gone_while_the_search_goes_on(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"model.fault": {"_type": "choice", "_value": ["family", "heir"]}}')
    words = ["search.algorithm=grid", "search.trials=2", "search.parallel=1", "search.trial_timeout=30"]
    faulty(tmp_path, None, f"search.space={space}", *words)
    assert [row["state"] for row in trials(tmp_path / "it")] == ["COMPLETE", "COMPLETE"]


def test_a_trial_that_ends_leaves_alone_what_another_has_started(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"model.fault": {"_type": "choice", "_value": ["served", "brief"]}}')
    faulty(tmp_path, None, f"search.space={space}", "search.algorithm=grid", "search.trials=2")
    assert [row["state"] for row in trials(tmp_path / "it")] == ["COMPLETE", "COMPLETE"]
    assert not left_behind()


def test_a_trial_whose_parent_is_killed_takes_along_what_it_has_started(tmp_path: Path) -> None:
    faulty(tmp_path, "deserted", "search.trials=1", "search.retries.lost=0")
    [row] = trials(tmp_path / "it")
    assert row["failure"]["kind"] == "lost"
    assert not left_behind()


@pytest.mark.parametrize(("backend", "fault"), [("optuna", "hang"), ("local", "asleep")])
def test_a_search_ends_by_its_deadline_and_can_be_continued(backend: str, fault: str, tmp_path: Path) -> None:
    with tally("P12", backend) as one, one.attempt():
        done = faulty(tmp_path, fault, "search.timeout=2", backend=backend)
        assert done.returncode == 1, done.stderr
        assert "search.timeout=2 s is over, before any trial was completed: give it more; trials 0" in done.stdout
        assert "continue with: python -m litune search" in done.stdout
        left = trials(tmp_path / "it")
        assert left
        assert {row["state"] for row in left} == {"PAUSED"}
        assert not left_behind()
        again = ["search.trial_timeout=1", "search.trials=1"]
        done = faulty(tmp_path, fault, *again, backend=backend)
        assert done.returncode == 1
        assert "trial 0 failed first: timeout" in done.stdout
        assert trials(tmp_path / "it")[0]["failure"]["kind"] == "timeout"
