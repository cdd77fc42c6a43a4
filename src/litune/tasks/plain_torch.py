"""The digits over plain PyTorch: a function that owns its loop, to show that Lightning is not required."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from litune.tasks.digits import CLASSES, Digits

EPOCHS = 5


class Trial(Protocol):
    """What the function needs of the trial that it is given."""

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand on the metrics of validation `step` (1, 2, ...)."""

    def should_stop(self) -> bool:
        """Say whether the training must stop after the last report."""


def train(params: Mapping[str, Any], trial: Trial) -> float:
    """Train by `hidden`, `dropout`, `lr` and `batch_size`, each with a default; return the best val_acc."""
    data = Digits(batch_size=params.get("batch_size", 64))
    data.setup("fit")
    hidden = params.get("hidden", 64)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(params.get("dropout", 0.1)),
        nn.Linear(hidden, CLASSES),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=params.get("lr", 0.001))
    best = 0.0
    for epoch in range(EPOCHS):
        net.train()
        for images, labels in data.train_dataloader():
            optimizer.zero_grad()
            functional.cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call] # torch's own
            optimizer.step()
        accuracy = _accuracy(net, data)
        best = max(best, accuracy)
        trial.report(epoch + 1, {"val_acc": accuracy})
        if trial.should_stop():
            break
    return best


@torch.no_grad()
def _accuracy(net: nn.Module, data: Digits) -> float:
    net.eval()
    right: list[Tensor] = [net(images).argmax(1) == labels for images, labels in data.val_dataloader()]
    return float(torch.cat(right).float().mean())
