"""P15: a search that is continued as another search is refused, with the keys that differ."""

import json
import shutil
from pathlib import Path

import pytest

from litune import cli
from tests.faults.searches import NAME, PROJECT, RANDOM, command
from tests.faults.tallies import tally

EDITS = {  # override: (key, as it would be, as it was made)
    "seed=8": ("seed", "8", "42"),
    "model.ending=error": ("model.ending", "'error'", "nothing"),
    "trainer.max_epochs=3": ("trainer.max_epochs", "3", "4"),
    "trainer.limit_train_batches=1": ("trainer.limit_train_batches", "1", "2"),
    "trainer.gradient_clip_val=0.1": ("trainer.gradient_clip_val", "0.1", "None"),
    "trainer.precision=64-true": ("trainer.precision", "'64-true'", "'32-true'"),
    "objective.mode=min": ("objective.mode", "'min'", "'max'"),
    "objective.reduce=best": ("objective.reduce", "'best'", "'last'"),
    "objective.metric=another": ("objective.metric", "'another'", "'score'"),
    "search.algorithm=tpe": ("search.algorithm", "'tpe'", "'random'"),
    "search.pruner=median": ("search.pruner", "'median'", "'none'"),
    "search.lag=9": ("search.lag", "9", "4"),
    "search.threads=2": ("search.threads", "2", "1"),
    "search.seed_per_trial=true": ("search.seed_per_trial", "True", "False"),
    "optimizer={_target_: torch.optim.SGD, lr: 0.1}": ("optimizer._target_", "'torch.optim.SGD'", "nothing"),
    "callbacks.t._target_=pytorch_lightning.callbacks.Timer": (
        "callbacks.t._target_", "'pytorch_lightning.callbacks.Timer'", "nothing",
    ),
}  # fmt: skip
FREE = [
    "search.trials=3",
    "search.parallel=1",
    "search.keep_checkpoints=1",
    "search.trial_timeout=99",
    "logger.csv=null",
]
TRIALS = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        assert cli.search_main(words(runs)) == 0
    return runs


def words(runs: Path, *more: str) -> list[str]:
    return [*command(runs, *RANDOM, backend="local")[4:], f"search.trials={TRIALS}", *more]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_key_is_refused_with_what_it_was(edit: str, made: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(PROJECT)
    before = (made / NAME / "ledger.db").read_bytes()
    key, now, then = EDITS[edit]
    with tally("P15", "config") as one, one.attempt():
        assert cli.search_main(words(made, edit)) == 2
        said = capsys.readouterr().err
        assert f"{key}: got {now}; expected {then}; take the change back, or give the new search another name=" in said
        assert "Traceback" not in said
        assert (made / NAME / "ledger.db").read_bytes() == before


@pytest.mark.parametrize("edit", ["bound", "kind", "added", "removed"])
def test_an_edited_space_is_refused_with_the_parameter(edit: str, made: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    space = json.loads((PROJECT / "search_spaces/tiny.json").read_text())
    if edit == "bound":
        space["model.x"]["_value"][1] = 2
    elif edit == "kind":
        space["model.x"]["_type"] = "normal"
    elif edit == "added":
        space["trainer.gradient_clip_val"] = {"_type": "uniform", "_value": [0.1, 1]}
    else:
        del space["model.x"]
    changed = tmp_path / "space.json"
    changed.write_text(json.dumps(space))
    with tally("P15", "space") as one, one.attempt():
        assert cli.search_main(words(made, f"search.space={changed}")) == 2
        said = capsys.readouterr().err
        assert ("trainer.gradient_clip_val" if edit == "added" else "model.x") in said
        assert "Traceback" not in said


@pytest.mark.parametrize("execution", FREE)
def test_what_no_trial_depends_on_may_change(execution: str, made: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(PROJECT)
    shutil.copytree(made, tmp_path / "runs")
    assert cli.search_main(words(tmp_path / "runs", execution)) == 0


def test_a_value_edited_in_the_experiment_is_refused_even_where_each_trial_has_its_own(
    made: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(PROJECT)
    text = (PROJECT / "experiments/tiny.yaml").read_text()
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/tiny.yaml").write_text(text.replace("_target_: tiny.Tiny", "_target_: tiny.Tiny, x: 0.5"))
    with tally("P15", "config") as one, one.attempt():
        assert cli.search_main(words(made, "--config-dir", str(tmp_path))) == 2
        said = capsys.readouterr().err
        assert "model.x: got 0.5; expected nothing; take the change back, or give the new search another name=" in said
        assert "Traceback" not in said
