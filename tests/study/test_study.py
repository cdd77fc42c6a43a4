"""A whole search by the public command, on the reference backend: what the study promises of its table."""

import shutil
from pathlib import Path

import optuna
import pytest

from litune.result import SearchResult
from tests.in_process import digest_of, litune, search, timeline, trials

RANDOM = "search.algorithm=random"


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    search(runs, RANDOM, "search.trials=6")
    return runs / "it"


def test_a_longer_search_begins_with_the_shorter_one(six: Path, tmp_path: Path) -> None:
    search(tmp_path, RANDOM, "search.trials=4")
    short = trials(tmp_path / "it")
    search(tmp_path, RANDOM, "search.trials=6")
    both = [[(row["params"], row["score"], row["history"]) for row in table] for table in (short, trials(six))]
    assert both[0] == both[1][:4]
    longer = [(row["params"], row["score"], row["history"]) for row in trials(tmp_path / "it")]
    assert longer == both[1]


def test_the_digest_is_the_last_line_and_that_of_the_ledger(six: Path, tmp_path: Path) -> None:
    printed = search(tmp_path, RANDOM, "search.trials=6")
    assert printed.splitlines()[-1] == f"digest {digest_of(litune('digest', str(six)))}"


def test_another_seed_gives_another_table(six: Path, tmp_path: Path) -> None:
    search(tmp_path, RANDOM, "search.trials=6", "seed=8")
    assert [row["score"] for row in trials(tmp_path / "it")] != [row["score"] for row in trials(six)]


def test_a_run_continued_with_another_config_is_refused_with_the_keys(six: Path) -> None:
    told = search(
        six.parent, RANDOM, "search.trials=6", "seed=9", "trainer.max_epochs=3", "search.pruner=median", code=2
    )
    for key, got, expected in (("seed", 9, 42), ("trainer.max_epochs", 3, 4), ("search.pruner", "'median'", "'none'")):
        assert f"{key}: got {got}; expected {expected}" in told


def test_optuna_opens_the_ledger(six: Path) -> None:
    study = optuna.load_study(study_name="it", storage=f"sqlite:///{six / 'ledger.db'}")
    table = trials(six)
    assert [trial.value for trial in study.trials] == [row["score"] for row in table]
    assert [trial.params for trial in study.trials] == [row["params"] for row in table]
    assert study.best_trial.number == max(table, key=lambda row: row["score"])["number"]
    assert list(study.trials[0].intermediate_values.items()) == [tuple(pair) for pair in table[0]["history"]]


def test_params_tried_before_are_answered_from_the_ledger(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"model.k": {"_type": "choice", "_value": [1, 2]}}')
    search(tmp_path, RANDOM, "search.trials=6", f"search.space={space}")
    reused = trials(tmp_path / "it")
    search(tmp_path, RANDOM, "search.trials=6", f"search.space={space}", "search.duplicates=run", name="again")
    trained = trials(tmp_path / "again")
    assert sum(row["reused"] is not None for row in reused) == 4
    assert all(row["reused"] is None for row in trained)
    assert [timeline(tmp_path / name).count("mark bar") for name in ("it", "again")] == [2, 6]
    assert [(row["params"], row["score"]) for row in reused] == [(row["params"], row["score"]) for row in trained]


def test_with_a_seed_each_equal_params_score_differently(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text('{"model.k": {"_type": "choice", "_value": [1]}}')
    search(tmp_path, RANDOM, "search.trials=3", f"search.space={space}", "search.seed_per_trial=true")
    assert len({row["score"] for row in trials(tmp_path / "it")}) == 3


def test_only_the_best_trials_keep_their_checkpoints(six: Path) -> None:
    kept = {int(path.parent.name) for path in (six / "trials").glob("*/checkpoints")}
    best = sorted(trials(six), key=lambda row: -row["score"])[:3]
    assert kept == {row["number"] for row in best}


def test_the_same_command_may_have_fewer_trials_keep_theirs(six: Path, tmp_path: Path) -> None:
    shutil.copytree(six, tmp_path / "it")
    search(tmp_path, RANDOM, "search.trials=6", "search.keep_checkpoints=1")
    [kept] = (tmp_path / "it" / "trials").glob("*/checkpoints")
    best = SearchResult(tmp_path / "it").best
    assert kept.parent == best.directory
    assert best.checkpoint is not None
    assert best.checkpoint.is_relative_to(kept)  # its own, and not that of the run that it was copied from


def test_a_recorded_trial_replays_bit_equal(six: Path) -> None:
    assert "trial 3: bit-equal in 4 values" in litune("train", f"replay={six}", "trial=3")


def test_a_diverged_trial_replays_bit_equal(tmp_path: Path) -> None:
    search(tmp_path, RANDOM, "search.trials=1", "model.ending='nan'", code=1)
    assert "trial 0: bit-equal in 2 values" in litune("train", f"replay={tmp_path}/it", "trial=0")


def test_the_best_config_trains_to_the_same_score(six: Path, tmp_path: Path) -> None:
    printed = litune("train", "--config-file", str(six / "best.yaml"), f"search.runs={tmp_path}")
    assert repr(max(row["score"] for row in trials(six))) in printed


def test_the_best_config_names_its_checkpoint_as_seen_from_its_own_directory(six: Path) -> None:
    _, line, *_ = litune("best", str(six)).splitlines()
    named = line.removeprefix("# its checkpoint: ")
    assert not Path(named).is_absolute()
    assert six / named == SearchResult(six).best.checkpoint


def test_choices_that_are_equal_and_of_different_types_are_told_apart(tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text(
        '{"model.k": {"_type": "choice", "_value": [0, 1]},'
        ' "trainer.deterministic": {"_type": "choice", "_value": [false, true]}}'
    )
    search(tmp_path, RANDOM, "search.trials=4", f"search.space={space}")
    params = [row["params"] for row in trials(tmp_path / "it")]
    assert {type(value) for row in params for value in row.values()} == {int, bool}
    assert all(row["model.k"] in (0, 1) and type(row["trainer.deterministic"]) is bool for row in params)
