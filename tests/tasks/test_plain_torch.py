from __future__ import annotations

import torch

from litune.tasks.plain_torch import train
from litune.trial import DirectTrial


def test_the_function_learns_and_returns_the_best_of_its_reports(tmp_path):
    torch.manual_seed(1)
    trial = DirectTrial(tmp_path)
    best = train({"hidden": 64, "lr": 0.01, "batch_size": 32}, trial)
    assert [step for step, _ in trial.reports] == [1, 2, 3, 4, 5]
    assert best == max(metrics["val_acc"] for _, metrics in trial.reports)
    assert best > 0.9


def test_the_function_stops_when_the_trial_says_so(tmp_path):
    trial = DirectTrial(tmp_path, stop_after=2)
    train({}, trial)
    assert [step for step, _ in trial.reports] == [1, 2]
