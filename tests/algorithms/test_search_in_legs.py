"""Searches that pause trials and continue them, by the public command; on the reference backend, in this process."""

import json
import os
from pathlib import Path

import pytest

import litune
from litune import cli
from litune.algorithms.terms import Execution, Terms
from litune.objective import Objective
from litune.space.space import Space, uniform
from litune.study import ledger as ledgers
from litune.study.study import Study
from litune.table import TrialRow
from litune.tasks.digits import MLP
from litune.trial import Outcome, TrialState
from tests.algorithms.test_legs import Kept
from tests.faults.searches import begun, command, finish, start, wait_for
from tests.in_process import search, table, timeline, trials

ASHA = ["search.algorithm=asha", "search.trials=6"]
FAULTY = {"model.ending": {"_type": "choice", "_value": ["complete", "error", "nan", "exit", "out_of_memory"]}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    search(runs, *ASHA)
    return runs / "it"


def test_the_epochs_of_so_many_trainings_are_spread_over_more_trials(undisturbed: Path) -> None:
    table = trials(undisturbed)
    assert sum(len(row["history"]) for row in table) == 6 * 4
    assert len(table) > 6
    assert {row["state"] for row in table} == {"COMPLETE", "PRUNED"}
    for row in table:
        assert (len(row["history"]) == 4) == (row["state"] == "COMPLETE")
        assert row["score"] == row["history"][-1][1]


def test_the_best_keep_their_checkpoints(undisturbed: Path) -> None:
    kept = {int(path.parent.name) for path in (undisturbed / "trials").glob("*/checkpoints")}
    best = sorted(trials(undisturbed), key=lambda row: -row["score"])[:3]
    assert kept == {row["number"] for row in best}


def test_the_report_draws_each_leg_when_it_ran(tmp_path: Path) -> None:
    search(tmp_path, "search.algorithm=asha", "search.trials=3")
    search(tmp_path, *ASHA)
    shown = timeline(tmp_path / "it")
    assert "When each worker ran which trial: 1 at once" in shown
    assert shown.count("mark bar") > len(trials(tmp_path / "it"))


def test_a_killed_driver_is_continued_to_the_same_table(undisturbed: Path, tmp_path: Path) -> None:
    words = command(tmp_path, *ASHA)
    for trials_begun in (3, 7):
        driver = start(words, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert wait_for(lambda goal=trials_begun: begun(tmp_path) >= goal, 120)
        driver.kill()
        driver.wait()
        assert "PAUSED" in {row["state"] for row in trials(tmp_path / "it")}
    finish(words)
    assert table(tmp_path / "it") == table(undisturbed)


def test_a_budget_of_epochs_counts_in_place_of_trials(undisturbed: Path, tmp_path: Path) -> None:
    said = search(tmp_path, "search.algorithm=asha", "search.budget.epochs=24")
    assert table(tmp_path / "it") == table(undisturbed)
    assert "24 epochs, as many as 6 full trainings" in said
    search(tmp_path, "search.algorithm=random", "search.budget.epochs=13", name="whole")
    assert [len(row["history"]) for row in trials(tmp_path / "whole")] == [4, 4, 4]


def test_a_budget_of_seconds_ends_a_search(tmp_path: Path) -> None:
    search(tmp_path, "search.algorithm=asha", "search.budget.seconds=0.001")
    assert [row["state"] for row in trials(tmp_path / "it")] == ["PRUNED"]


def test_the_same_command_with_more_trials_continues(tmp_path: Path) -> None:
    search(tmp_path, "search.algorithm=asha", "search.trials=3")
    before = trials(tmp_path / "it")
    search(tmp_path, "search.algorithm=asha", "search.trials=6")
    after = trials(tmp_path / "it")
    assert sum(len(row["history"]) for row in after) == 6 * 4
    for old, new in zip(before, after, strict=False):
        assert new["history"][: len(old["history"])] == old["history"]


def test_hyperband_starts_some_trials_higher(tmp_path: Path) -> None:
    search(tmp_path, "search.algorithm=hyperband", "search.trials=6")
    table = trials(tmp_path / "it")
    assert sum(len(row["history"]) for row in table) == 6 * 4
    assert len([row for row in table if row["state"] == "COMPLETE"]) > 3


def test_a_trial_that_fails_on_its_way_is_not_continued(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps({**FAULTY, "model.x": {"_type": "uniform", "_value": [0, 1]}}))
    search(tmp_path, *ASHA, f"search.space={space}")
    for row in trials(tmp_path / "it"):
        if len(row["history"]) > 1 or row["state"] == "FAILED":
            assert (row["state"] == "FAILED") == (row["params"]["model.ending"] != "complete")


def test_params_tried_before_are_answered_up_to_their_step(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"model.k": {"_type": "choice", "_value": [1, 2]}}')
    search(tmp_path, *ASHA, f"search.space={space}")
    search(tmp_path, *ASHA, f"search.space={space}", "search.duplicates=run", name="trained")
    assert any(row["reused"] is not None for row in trials(tmp_path / "it"))
    assert table(tmp_path / "it") == table(tmp_path / "trained")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["search.pruner=median"], "search.pruner: got 'median'; expected none beside search.algorithm=asha"),
        (["trainer.max_steps=7"], "trainer.max_steps: got 7; expected -1 beside search.algorithm=asha"),
        (["trainer.min_epochs=2"], "trainer.min_epochs: got 2; expected null beside search.algorithm=asha"),
        (["trainer.enable_checkpointing=false"], "trainer.enable_checkpointing: got False; expected true beside"),
        (["trainer.val_check_interval=1"], "trainer.val_check_interval: got 1; expected 1.0, at the end of an epoch"),
        (["trainer.max_epochs=-1"], "trainer.max_epochs: got -1; expected a number beside"),
        (["trainer.fast_dev_run=true"], "trainer.fast_dev_run: got True; expected false beside"),
        (["trainer.reload_dataloaders_every_n_epochs=1"], "every_n_epochs: got 1; expected 0 beside"),
        (["trainer.min_steps=5"], "trainer.min_steps: got 5; expected null beside"),
        (["trainer.max_time=00:00:01:00"], "trainer.max_time: got '00:00:01:00'; expected null beside"),
        (["trainer.devices=2"], "trainer.devices: got 2; expected 1 beside"),
        (["backend=nni", "backend.tuner=TPE"], "backend.tuner: got 'TPE'; expected null beside"),
    ],
)
def test_what_cannot_be_paused_is_refused(tmp_path: Path, overrides: list[str], said: str) -> None:
    assert said in search(tmp_path, *ASHA, *overrides, code=2)
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize("name", ["max_epochs", "max_steps", "check_val_every_n_epoch", "val_check_interval"])
def test_trainings_of_different_lengths_are_refused(tmp_path: Path, name: str) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps({f"trainer.{name}": {"_type": "choice", "_value": [1, 2]}}))
    said = search(tmp_path, *ASHA, f"search.space={space}", code=2)
    assert f"trainer.{name}: got a parameter; expected a fixed length of the trainings beside" in said


def test_auto_continues_trials_where_it_can_and_says_why(tmp_path: Path) -> None:
    said = search(tmp_path, "search.algorithm=auto", "search.trials=3")
    why = "a training reports 4 times and can be continued from its checkpoint"
    assert f"search.algorithm=auto is thaw: {why}" in said
    table = trials(tmp_path / "it")
    assert sum(len(row["history"]) for row in table) == 3 * 4
    assert len({json.dumps(row["params"]) for row in table}) == len(table)
    words = ["search.algorithm=auto", "search.trials=1", "search.pruner=median"]
    assert "auto is tpe: search.pruner=median stops whole trials" in search(tmp_path, *words, name="pruned")


@pytest.mark.filterwarnings("default")  # Lightning has much to say of such short trainings
def test_workers_to_be_kept_are_new_in_each_epoch_of_a_trial_that_is_continued_or_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = litune.search(
        model=MLP, data=Kept, metric="val_loss", mode="min", trials=3, backend="local", runs=str(tmp_path), name="it",
        space={"optimizer.lr": litune.loguniform(1e-3, 1e-1)}, optimizer={"_target_": "torch.optim.Adam"}, threads=1,
        trainer={"max_epochs": 4, "limit_train_batches": 4, "accelerator": "cpu"},
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "each epoch begins with new workers in place of persistent ones" in said
    assert "it goes on from the start" not in said
    run, best = tmp_path / "it", min((row for row in result.rows if row.state is TrialState.COMPLETE), key=_score)
    assert len(best.legs) > 1
    assert cli.train_main([f"replay={run}", f"trial={best.number}"]) == 0
    assert cli.train_main(["--config-file", str(run / "best.yaml"), f"search.runs={tmp_path}"]) == 0
    assert repr(best.score) in capsys.readouterr().out


def _score(row: TrialRow) -> float:
    assert row.score is not None
    return row.score


@pytest.mark.parametrize(("seconds", "rest"), [(6.0, 4.0), (11.0, 0.1)])
def test_the_time_of_a_trial_is_that_of_all_its_legs(seconds: float, rest: float, tmp_path: Path) -> None:
    ledger = ledgers.create(ledgers.storage_url(tmp_path, None), "it", metric="score", maximize=True, about={})
    study = Study(
        config={},
        space=Space.of({"x": uniform(0, 1)}),
        objective=Objective(metric="score"),
        terms=Terms(algorithm="asha", pruner="none", seed=1, seed_per_trial=False, lag=1, threads=1, max_steps=3),
        execution=Execution(trials=4, steps=12, parallel=1, trial_timeout=10.0),
        ledger=ledger,
        directory=tmp_path,
    )
    left = {}
    while job := study.ask():
        left.setdefault(job.number, []).append(job.timeout)
        until = job.until or 3
        state = TrialState.COMPLETE if until == 3 else TrialState.PAUSED
        history = dict.fromkeys(range(1, until + 1), job.params["x"])
        study.tell(job.number, Outcome(state=state, score=job.params["x"], history=history, seconds=seconds))
    study.close()
    assert {tuple(timeouts) for timeouts in left.values()} == {(10.0,), (10.0, rest)}
