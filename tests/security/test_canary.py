"""What a run directory holds, or a checkpoint that is handed to us, never runs: canaries that would leave a mark."""

from __future__ import annotations

import contextlib
import enum
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

import litune
from litune import cli
from litune.config import config as configs
from litune.errors import LituneError
from litune.study import runs
from litune.tasks.digits import MLP, Digits
from litune.training.training import run_trial
from litune.trial import DirectTrial, TrialState
from tests.faults.searches import NAME, PROJECT, command, ended, environment, finish, start, wait_for

MODEL = """\
import tiny


class Tested(tiny.Tiny):
    def test_step(self, batch, index):
        self.validation_step(batch, index)

    def predict_step(self, batch, index):
        return self.layer(batch[0])


class Data(tiny.Data):
    def test_dataloader(self):
        return self.val_dataloader()

    predict_dataloader = test_dataloader
"""
WORDS = ["search.algorithm=random", "model._target_=tested.Tested", "data._target_=tested.Data", "allow=[tested]"]


@dataclass
class Options:
    """Makes the directory `mark` when it is made, or gets its state back."""

    mark: str = ""

    def __post_init__(self) -> None:
        if self.mark:
            Path(self.mark).mkdir()

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["mark"]).mkdir()


class Stage(enum.Enum):
    """Makes the directory that it is asked for."""

    FIRST = "first"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        Path(str(value)).mkdir()
        raise ValueError


class Optional(MLP):
    def __init__(self, options: Options | None = None, stage: Stage = Stage.FIRST) -> None:
        super().__init__(8)
        self.save_hyperparameters()


class Crafted:
    """Is read as a call, and as the state of what that gives."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


class Canary:
    """Makes the directory `mark` when it is unpickled by anything that runs code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def plant(file: Path, mark: Path) -> None:
    """Put a checkpoint in place of the file that is whole but for the canary in it."""
    held = torch.load(file, weights_only=True) if file.exists() else {}
    torch.save({**held, "canary": Canary(mark)}, file)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory with the model, which is importable here and in the commands started from here."""
    place = tmp_path_factory.mktemp("canary")
    (place / "tested.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{place}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.chdir(PROJECT)
        for path in (PROJECT, place):
            patch.syspath_prepend(str(path))
        yield place


@pytest.fixture(scope="module")
def run(project: Path) -> Path:
    """Return a run whose interrupted trials found canaries as their last checkpoints, and whose files are canaries."""
    mark = project / "mark"
    driver = start(command(project, *WORDS, "search.trials=10000"), env=environment(project))
    assert wait_for(lambda: ended(project) >= 2, 150)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(timeout=60) == 130
    rows = runs.read(project / NAME)[2].rows
    paused = [project / NAME / "trials" / f"{row.number:04d}" for row in rows.values() if not row.ended]
    assert paused
    for directory in paused:
        (directory / "checkpoints").mkdir(parents=True, exist_ok=True)
        plant(directory / "checkpoints" / "epoch=9.ckpt", mark)
    finish(command(project, *WORDS, f"search.trials={len(rows)}"))
    assert any("epoch=9.ckpt cannot be read" in (directory / "log.txt").read_text() for directory in paused)
    assert not mark.exists()
    files = list((project / NAME).rglob("*.ckpt"))
    assert files
    for file in files:
        if file.name != "epoch=9.ckpt":
            plant(file, mark)
    for name in ("searcher-state.pkl", "trials/0000/state.pkl"):
        (project / NAME / name).write_bytes(pickle.dumps(Canary(mark)))
    for file in (project / NAME).rglob("hparams.yaml"):
        file.write_text(f"x: !!python/object/apply:os.mkdir ['{mark}']\n")
    return project / NAME


@pytest.fixture(autouse=True)
def untouched(project: Path) -> Iterator[None]:
    yield
    assert not (project / "mark").exists()


def test_the_canary_sings_to_whoever_unpickles_it(tmp_path: Path) -> None:
    plant(tmp_path / "a.ckpt", tmp_path / "mark")
    words = ["import sys, torch; torch.load(sys.argv[1], weights_only=False)", str(tmp_path / "a.ckpt")]
    subprocess.run([sys.executable, "-c", *words], check=True)
    assert (tmp_path / "mark").is_dir()


@pytest.mark.parametrize("word", ["test", "predict"])
def test_a_checkpoint_that_could_run_code_is_refused(word: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word, str(run)]) == 1
    assert "is not opened, as it could run code" in capsys.readouterr().err


def test_the_python_api_refuses_it_too(run: Path) -> None:
    best = litune.SearchResult(run).best
    assert best.checkpoint is not None
    with pytest.raises(LituneError, match="is not opened, as it could run code"):
        best.load()


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_calls_nothing_of_the_types_that_its_model_takes(tmp_path: Path) -> None:
    result = litune.search(
        model=Optional, data=Digits, metric="val_loss", mode="min", trials=1, backend="local", runs=str(tmp_path),
        space={"optimizer.lr": litune.loguniform(1e-3, 1e-1)}, optimizer={"_target_": "torch.optim.Adam"}, threads=1,
        trainer={"max_epochs": 1, "limit_train_batches": 2, "accelerator": "cpu"}, allow=[__name__],
    )  # fmt: skip
    file, mark = result.best.checkpoint, str(tmp_path / "mark")
    assert file is not None
    held = torch.load(file, weights_only=False)
    stateful = object.__new__(Options)
    stateful.mark = mark
    for crafted in (
        stateful,
        Crafted(Options, (mark,)),
        Crafted(Stage, (mark,)),
        Crafted(Stage, ("first",), {"_value_": mark, "_name_": mark}),
    ):
        torch.save({**held, "hyper_parameters": {"options": crafted}}, file)
        result.best.load()
        assert not Path(mark).exists()
        assert (Stage.FIRST.value, Stage.FIRST.name) == ("first", "FIRST")
        with torch.serialization.safe_globals([Options, Stage]), contextlib.suppress(ValueError):
            torch.load(file, weights_only=True)
        assert (
            Path(mark).exists() or Stage.FIRST.value == mark
        )  # the canary sings to whoever takes the types to be safe
        if Path(mark).exists():
            Path(mark).rmdir()


@pytest.mark.parametrize("word", ["report", "trials", "best", "digest", "doctor"])
def test_what_reads_a_run_unpickles_nothing(word: str, run: Path) -> None:
    assert cli.main([word, str(run)]) == 0


def test_a_recorded_trial_is_trained_again_without_its_checkpoint(run: Path) -> None:
    assert cli.train_main([f"replay={run}", "trial=0"]) == 0


def test_a_training_does_not_go_on_from_a_checkpoint_that_could_run_code(run: Path, tmp_path: Path) -> None:
    config, _, ledger = runs.read(run)
    trial = DirectTrial(tmp_path, ledger.rows[0].params)
    trial.checkpoint = str(next((run / "trials").rglob("*.ckpt")))
    with pytest.raises(pickle.UnpicklingError):
        run_trial(configs.merge(config, ledger.rows[0].params), trial)


@pytest.mark.parametrize("file", ["config.yaml", "space.json"])
def test_a_tag_in_a_runs_own_files_is_refused(file: str, run: Path, project: Path, capsys) -> None:
    kept = (run / file).read_text()
    (run / file).write_text(f"seed: !!python/object/apply:os.mkdir ['{project}/mark']\n")
    try:
        assert cli.main(["trials", str(run)]) == 2
        assert f"{file}:1: seed: got the tag !!python/object/apply:os.mkdir" in capsys.readouterr().err
    finally:
        (run / file).write_text(kept)
    assert TrialState.COMPLETE in {row.state for row in runs.read(run)[2].rows.values()}
