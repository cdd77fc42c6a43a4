"""What a search leaves in each logger, and what is done with its checkpoints afterwards."""

from __future__ import annotations

import csv
import json
import math
import shutil
import struct
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data
from torch.utils.data import DataLoader, TensorDataset

from litune import cli
from litune.config import config as configs
from litune.tasks.digits import MLP, Digits
from litune.training.loggers import hyperparameters
from tests import in_process, preloaded
from tests.preloaded import LITUNE

PROJECT = Path(__file__).parents[1] / "project"
pytestmark = pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
WANDB = ["logger.wandb._target_=pytorch_lightning.loggers.WandbLogger", "logger.wandb.offline=true"]


class Untested(MLP):
    test_step = pl.LightningModule.test_step


class NoTest(Digits):
    test_dataloader = pl.LightningDataModule.test_dataloader


class ByPosition(Digits):
    def predict_dataloader(self):
        return DataLoader(self._test_set(), 32)

    def _test_set(self):
        return TensorDataset(torch.zeros(40, 1, 8, 8))


class Bare(MLP):
    predict_step = pl.LightningModule.predict_step


class Paired(ByPosition):
    def predict_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(40, 1, 8, 8), torch.zeros(40)), batch_size=32)


def litune(*words):
    return preloaded.run([*LITUNE, *map(str, words)], cwd=PROJECT)


def wandb_records(file):
    """Yield the records of W&B's file: LevelDB's log format, in blocks of 32 KiB, after a head of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _checksum, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a full record, or the last part of one
            yield Record.FromString(whole)
            whole = b""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the directory of a search of four trials, one or more of which fail, on TensorBoard, CSV and W&B."""
    root = tmp_path_factory.mktemp("logged")
    fails = ["callbacks.fails._target_=own.FailsAbove", "callbacks.fails.limit=0.55"]
    done = litune("search", "experiment=own", "search.trials=4", f"search.runs={root}", "name=run", *WANDB, *fails)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "run"


@pytest.fixture(scope="module")
def trials(run):
    return in_process.trials(run)


def test_tensorboards_hparams_page_has_the_params_and_the_score_of_every_trial(run, trials):
    assert {trial["state"] for trial in trials} == {"COMPLETE", "FAILED"}
    for trial in trials:
        events = EventAccumulator(str(run / "trials" / f"{trial['number']:04d}" / "tensorboard"))
        events.Reload()
        metadata = events.SummaryMetadata("_hparams_/session_start_info")
        start = parse_session_start_info_plugin_data(metadata.plugin_data.content)
        assert {name: value.number_value for name, value in start.hparams.items()} == trial["params"]
        [score] = [event.value for event in events.Scalars("score/val_score")]
        assert score == pytest.approx(trial["score"]) if trial["score"] is not None else math.isnan(score)
        assert "val_score" in events.Tags()["scalars"]


def test_weights_and_biases_gets_a_run_for_each_trial_grouped_by_search(run, trials):
    for trial in trials:
        [file] = (run / "trials" / f"{trial['number']:04d}" / "wandb").glob("offline-run-*/run-*.wandb")
        records = list(wandb_records(file))
        [first] = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
        assert (first.project, first.run_group) == ("own", "run")
        assert first.display_name == f"run-{trial['number']:04d}"
        logged = {item.key or "/".join(item.nested_key) for r in records for item in r.history.item}
        assert ("score/val_score" in logged) == (trial["state"] == "COMPLETE")
        [end] = [record.exit for record in records if record.WhichOneof("record_type") == "exit"]
        assert end.exit_code == (0 if trial["state"] == "COMPLETE" else 1)


@pytest.mark.parametrize("place", ["trials", "trials/0000/deeper"])
def test_a_single_training_is_a_run_of_its_own_whatever_lies_above_it(tmp_path, place):
    words = ["experiment=own", "trainer.max_epochs=1", f"search.runs={tmp_path / place}", "name=single", *WANDB]
    done = litune("train", *words)
    assert done.returncode == 0, done.stderr
    [file] = (tmp_path / place / "single" / "wandb").glob("offline-run-*/run-*.wandb")
    [first] = [record.run for record in wandb_records(file) if record.WhichOneof("record_type") == "run"][:1]
    assert (first.run_group, first.display_name) == ("single", "single")


def test_logged_hyperparameters_hold_no_secret_of_the_environment():
    config = configs.from_plain(
        {
            "model": {"_target_": "own.Net", "token": "${oc.env:A_SECRET}"},
            "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
            "objective": {"metric": "val_score"},
            "backend": {"name": "local"},
        }
    )
    values = hyperparameters(config, {"optimizer.lr": 0.2})
    assert values["model.token"] == "${oc.env:A_SECRET}"
    assert values["optimizer.lr"] == 0.2


def test_the_best_checkpoint_is_tested_and_its_metrics_lie_beside_the_trial(run, trials):
    done = litune("test", run)
    assert done.returncode == 0, done.stderr
    best = max((trial for trial in trials if trial["score"] is not None), key=lambda trial: trial["score"])
    place = run / "trials" / f"{best['number']:04d}" / "test"
    metrics = json.loads((place / "metrics.json").read_text())
    assert metrics["test_score"] == pytest.approx(best["score"])  # the project tests with what it validates with
    assert f"test_score: {metrics['test_score']:.6g}" in done.stdout
    assert "Traceback" not in done.stderr


def test_predictions_are_a_row_an_example(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    assert cli.main(["predict", str(run), "--out", str(tmp_path / "predictions.csv")]) == 0, capsys.readouterr().err
    with (tmp_path / "predictions.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["row"]) for row in rows] == list(range(48))
    for row in rows:
        assert row.keys() == {"row", "label", "logits_0", "logits_1"}
        assert int(row["label"]) == int(float(row["logits_1"]) > float(row["logits_0"]))


def test_a_checkpoint_that_is_more_than_weights_is_not_opened(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    moved = tmp_path / "elsewhere" / run.name  # a run may be moved: its checkpoints are found where it lies now
    shutil.copytree(run, moved)
    for file in moved.glob("trials/*/checkpoints/*.ckpt"):
        torch.save({"state_dict": {}, "code": Path}, file)
    assert cli.main(["predict", str(moved)]) == 1
    assert "holds more than weights and plain values" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "RUN", "--trial", "99"], "--trial: got 99; expected 0 to 3"),
        (["test", "RUN", "--trial", "FAILED"], "which has no checkpoint; expected one of those that keep it"),
        (["predict", "RUN", "--out", "no/such/directory/p.csv"], "--out: got no/such/directory/p.csv; expected"),
        (["test", "nowhere"], "run: got 'nowhere'; expected a run directory"),
    ],
)
def test_what_cannot_be_tested_is_said_in_the_one_form(run, trials, words, said, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    failed = next(str(trial["number"]) for trial in trials if trial["state"] == "FAILED")
    assert cli.main([{"RUN": str(run), "FAILED": failed}.get(word, word) for word in words]) == 2
    assert said in capsys.readouterr().err


def test_a_model_or_data_without_the_stage_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    words = [f"model={{_target_: {__name__}.Untested}}", f"data={{_target_: {__name__}.NoTest}}", f"allow=[{__name__}]"]
    one_epoch = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "logger=null"]
    in_process.litune("train", "experiment=digits_mlp", *words, *one_epoch, f"search.runs={tmp_path}", "name=run")
    assert cli.main(["test", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"model._target_: got {__name__}.Untested; expected a LightningModule with test_step",
        f"data._target_: got {__name__}.NoTest; expected a LightningDataModule with test_dataloader",
    ]


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (
            "Untested",
            "ByPosition",
            "ByPosition.predict_dataloader: got a DataLoader with its batch_size by position, or twice; expected its "
            "batch_size by name; DataLoader(dataset, batch_size=...)",
        ),
        ("Bare", "Paired", "raised AttributeError: 'list' object has no attribute"),
    ],
)
def test_a_model_or_data_that_predicts_nothing_is_told_with_its_cure(model, data, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    words = [f"model={{_target_: {__name__}.{model}}}", f"data={{_target_: {__name__}.{data}}}", f"allow=[{__name__}]"]
    one_epoch = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "logger=null"]
    in_process.litune("train", "experiment=digits_mlp", *words, *one_epoch, f"search.runs={tmp_path}", "name=run")
    assert cli.main(["predict", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
