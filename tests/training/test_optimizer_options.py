"""A training continued with another learning rate goes on as the new one's schedule says, whatever the schedule."""

from pathlib import Path

import pytest
import torch

from litune.config import config as configs
from litune.training.training import run_trial
from litune.trial import DirectTrial

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def rate(directory: Path, lr: float, scheduler: dict, *, until: int, checkpoint: str | None = None) -> float:
    """Train to the end of epoch `until` and return the learning rate that the last checkpoint holds."""
    config = configs.from_plain(
        {
            "model": {"_target_": "litune.tasks.digits.MLP", "hidden": 16},
            "data": {"_target_": "litune.tasks.digits.Digits"},
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": lr, "betas": [0.9, 0.99]},
            "lr_scheduler": scheduler,
            "trainer": {"max_epochs": 4, "accelerator": "cpu", "limit_train_batches": 3, "log_every_n_steps": 1},
            "logger": {},
            "objective": {"metric": "val_loss", "mode": "min"},
            "backend": {"name": "local"},
        }
    )
    trial = DirectTrial(directory)
    trial.until, trial.checkpoint = until, checkpoint
    run_trial(config, trial)
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["optimizer_states"][0]["param_groups"][0]["lr"]


@pytest.mark.parametrize(
    "scheduler",
    [
        {},
        {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 4},
        {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": "${optimizer.lr}"},
    ],
    ids=["constant", "cosine", "one cycle"],
)
def test_a_training_continued_with_another_learning_rate_keeps_its_place_in_the_schedule(
    scheduler: dict, tmp_path: Path
) -> None:
    whole = rate(tmp_path / "whole", 0.001, scheduler, until=3)
    first = rate(tmp_path / "legs", 0.01, scheduler, until=2)
    last = str(tmp_path / "legs" / "checkpoints" / "last.ckpt")
    assert rate(tmp_path / "legs", 0.001, scheduler, until=3, checkpoint=last) == pytest.approx(whole, rel=1e-6)
    assert first > 2 * whole
