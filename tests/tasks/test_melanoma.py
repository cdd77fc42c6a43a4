from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torchvision.models import efficientnet_b0

from litune.config import config as configs
from litune.tasks.melanoma import AUROC, SUBMISSION, LesionNet
from litune.tasks.melanoma_data import make
from litune.tasks.melanoma_images import Lesions
from litune.training.training import run_trial
from litune.trial import DirectTrial, TrialState

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),  # few cores, few photos
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),  # of the first leg
]
TINY = {"size": 32, "batch_size": 16, "in_memory": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("lesions") / "made"
    make(root, images=40, test=6, pixels=40, positive=0.25)
    return str(root)


def trainer(directory, *callbacks, **options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "accelerator": "cpu"}
    return pl.Trainer(default_root_dir=directory, callbacks=list(callbacks), **{**quiet, **options})


def net(**options):
    """Return a small network that brings its own optimizer, as no config gives it one here."""
    torch.manual_seed(1)
    made = LesionNet(architecture="b0", **options)
    made.configure_optimizers = lambda: torch.optim.AdamW(made.parameters(), lr=0.01)
    return made


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def submission(directory):
    with (Path(directory) / SUBMISSION).open() as file:
        return list(csv.DictReader(file))


def test_the_area_is_that_of_the_whole_epoch_not_the_mean_of_its_batches():
    area = AUROC()
    area.update(torch.tensor([0.1, 0.2]), torch.tensor([0, 1]))
    area.update(torch.tensor([0.8, 0.9]), torch.tensor([0, 1]))
    assert area.compute() == 0.75


@pytest.mark.parametrize("label", [0, 1])
def test_the_area_of_a_single_class_is_a_half(label):
    area = AUROC()
    area.update(torch.tensor([0.1, 0.7]), torch.tensor([label, label]))
    assert area.compute() == 0.5


def test_labels_are_smoothed_for_the_training_only(made, tmp_path):
    seen = set()

    class Recorder(nn.Module):
        def forward(self, logits, targets):
            seen.update(round(target, 4) for target in targets.tolist())
            return (logits * targets).mean()

    module = net(criterion=Recorder(), label_smoothing=0.05)
    trainer(tmp_path, max_epochs=1).fit(module, datamodule=Lesions(made, **TINY))
    assert seen == {0.025, 0.975}


def test_classes_are_weighed_by_the_photos_to_train_on_and_a_checkpoint_keeps_it(made, tmp_path):
    module = net()
    made_trainer = trainer(tmp_path, max_epochs=1)
    made_trainer.fit(module, datamodule=Lesions(made, **TINY))
    assert module.pos_weight == 3
    made_trainer.save_checkpoint(tmp_path / "one.ckpt")
    assert LesionNet.load_from_checkpoint(tmp_path / "one.ckpt").pos_weight == 3
    given = net(pos_weight=7.5)
    trainer(tmp_path, fast_dev_run=1).fit(given, datamodule=Lesions(made, **TINY))
    assert given.pos_weight == 7.5


def test_frozen_stages_keep_weights_and_statistics_until_their_epoch(made, tmp_path):
    changed = []

    class Stages(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            self.before = [state(stage) for stage in pl_module.net.features]

        def on_train_epoch_end(self, trainer, pl_module):
            after = [state(stage) for stage in pl_module.net.features]
            moved = [
                any(not torch.equal(old[name], new[name]) for name in old)
                for old, new in zip(self.before, after, strict=True)
            ]
            changed.append([number for number, is_moved in enumerate(moved) if is_moved])

    module = net(frozen=7, thaw=4)
    trainer(tmp_path, Stages(), max_epochs=3).fit(module, datamodule=Lesions(made, **TINY))
    assert changed == [[7, 8], [3, 4, 5, 6, 7, 8], list(range(9))]


def test_a_training_in_two_legs_equals_one_in_one_go(made, tmp_path):
    config = configs.from_plain(
        {
            "model": {"_target_": "litune.tasks.melanoma.LesionNet", "architecture": "b0", "frozen": 6, "thaw": 2},
            "data": {"_target_": "litune.tasks.melanoma_images.Lesions", "root": made, **TINY, "augment": 1.0},
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.003},
            "lr_scheduler": {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": "${optimizer.lr}"},
            "trainer": {"max_epochs": 4, "accelerator": "cpu", "log_every_n_steps": 1},
            "logger": {},
            "objective": {"metric": "val_loss", "mode": "min"},
            "backend": {"name": "local"},
        }
    )
    whole = run_trial(config, DirectTrial(tmp_path / "whole"))
    leg = DirectTrial(tmp_path / "legs")
    leg.until = 2
    first = run_trial(config, leg)
    assert first.state is TrialState.PAUSED
    leg.until, leg.checkpoint = None, str(tmp_path / "legs" / "checkpoints" / "last.ckpt")
    assert run_trial(config, leg).history == whole.history
    assert len(whole.history) == 4


def test_the_test_stage_writes_a_submission_of_every_photo_in_order(made, tmp_path):
    data, module = Lesions(made, **TINY), net()
    data.batch_size = 4
    made_trainer = trainer(tmp_path / "new")
    (metrics,) = made_trainer.test(module, datamodule=data, verbose=False)
    rows = submission(tmp_path / "new")
    assert [row["image_name"] for row in rows] == list(data.test.table.names)
    predicted = torch.cat(made_trainer.predict(module, datamodule=data))
    assert [float(row["target"]) for row in rows] == pytest.approx(predicted.tolist(), abs=1e-6)
    assert set(metrics) == {"test_auc", "test_acc"}
    made_trainer.test(module, datamodule=data, verbose=False)
    assert submission(tmp_path / "new") == rows


def test_photos_without_labels_get_a_submission_and_no_metrics(tmp_path):
    make(tmp_path / "made", images=30, test=3, pixels=32)
    table = tmp_path / "made" / "test.csv"
    table.write_text("\n".join(line.split(",")[0] for line in table.read_text().splitlines()))
    metrics = trainer(tmp_path).test(net(), datamodule=Lesions(str(tmp_path / "made"), **TINY), verbose=False)
    assert metrics == [{}]
    assert len(submission(tmp_path)) == 3


@pytest.mark.slow
def test_two_processes_share_the_photos_and_write_one_submission(made, tmp_path):
    script = tmp_path / "ddp.py"
    script.write_text(
        "import sys, pytorch_lightning as pl, torch\n"
        "from litune.tasks.melanoma import LesionNet\n"
        "from litune.tasks.melanoma_images import Lesions\n"
        "torch.set_num_threads(1)\n"
        "module = LesionNet(architecture='b0', frozen=5, thaw=5)\n"
        "module.configure_optimizers = lambda: torch.optim.AdamW(module.parameters())\n"
        "data = Lesions(sys.argv[1], size=32, batch_size=4, in_memory=True)\n"
        "options = dict(accelerator='cpu', devices=2, strategy='ddp_find_unused_parameters_true')\n"
        "trainer = pl.Trainer(max_epochs=2, logger=False, enable_checkpointing=False, **options)\n"
        "trainer.fit(module, datamodule=data)\n"
        "trainer.test(module, datamodule=data)\n"
    )
    done = subprocess.run([sys.executable, script, made], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(submission(tmp_path)) == 6


def test_weights_of_a_file_are_taken_over_and_a_checkpoint_needs_them_no_more(made, tmp_path):
    torch.manual_seed(5)
    whole = efficientnet_b0()
    torch.save(whole.state_dict(), tmp_path / "b0.pth")
    module = net(weights=str(tmp_path / "b0.pth"))
    taken = module.net.features.state_dict()
    assert all(torch.equal(value, taken[name]) for name, value in whole.features.state_dict().items())
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2,)
    made_trainer = trainer(tmp_path, fast_dev_run=1)
    made_trainer.fit(module, datamodule=Lesions(made, **TINY))
    made_trainer.save_checkpoint(tmp_path / "one.ckpt")
    (tmp_path / "b0.pth").unlink()
    again = LesionNet.load_from_checkpoint(tmp_path / "one.ckpt")
    assert torch.equal(again.net.classifier[1].weight, module.net.classifier[1].weight)


def test_weights_that_are_none_are_refused_with_the_cure(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"model\.weights=.*gone\.pth: no such file; expected DEFAULT, null"):
        LesionNet(architecture="b0", weights=str(tmp_path / "gone.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth holds no weights of torchvision's efficientnet_b0"):
        LesionNet(architecture="b0", weights=str(tmp_path / "other.pth"))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        OSError, match=r"could not be downloaded .*; .* put it at .*hub.*efficientnet_b0.*model\.weights="
    ):
        LesionNet(architecture="b0", weights="DEFAULT")
