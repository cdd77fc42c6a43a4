from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits

from litune.config.experiments import DEFAULT
from litune.tasks.digits import MLP, Digits
from tests.in_process import litune

ROOT = Path(__file__).parents[2]


def trainer(tmp_path, epochs):
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip


def test_digits_are_learned(tmp_path):
    pl.seed_everything(1, verbose=False)
    model = MLP(hidden=64)
    model.configure_optimizers = lambda: torch.optim.Adam(model.parameters(), lr=0.01)
    made = trainer(tmp_path, 5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        made.fit(model, datamodule=Digits())
    assert made.callback_metrics["val_acc"] > 0.9
    assert made.callback_metrics["val_loss"] < 0.4


def test_the_split_is_always_the_same_and_holds_every_image_once():
    first, second = Digits(), Digits(batch_size=7)
    for data in (first, second):
        data.setup("fit")
    assert torch.equal(first.train[0], second.train[0])
    images = torch.cat([first.train[0], first.valid[0]])
    assert images.shape == (1437 + 360, 1, 8, 8)
    assert len(first.train[1]) == 1437
    assert [len(labels) for _, labels in second.val_dataloader()] == [7] * 51 + [3]
    everything = torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1) / 16
    assert torch.equal(images.sum(0), everything.sum(0))


def test_a_prediction_is_a_digit_for_each_image():
    data = Digits()
    data.setup()
    images, labels = next(iter(data.val_dataloader()))
    predicted = MLP().eval().predict_step((images, labels), 0)
    assert predicted.shape == labels.shape
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(predicted.tolist()) <= set(range(10))


def test_the_shipped_experiment_trains(tmp_path):
    argv = ["trainer.max_epochs=3", "optimizer.lr=0.01", f"search.runs={tmp_path}", "name=one", "search.threads=1"]
    words = [sys.executable, "train.py", "experiment=digits_mlp", *argv]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "val_acc" in done.stdout
    assert (tmp_path / "one").is_dir()


def test_what_the_default_experiment_has_trained_is_tested_and_predicts(tmp_path):
    words = [f"search.runs={tmp_path}", "name=one", "trainer.max_epochs=1"]
    trained = litune("train", f"experiment={ROOT / 'experiments' / DEFAULT}.yaml", *words)
    validated = next(line for line in trained.splitlines() if line.startswith("validation 1: "))
    tested = litune("test", str(tmp_path / "one"))
    assert validated.replace("validation 1: val_acc=", "test_acc: ") in tested.splitlines()
    litune("predict", str(tmp_path / "one"))
    rows = (tmp_path / "one" / "predictions.csv").read_text().splitlines()
    assert len(rows) == 1 + 360
