"""Handwritten digits, 8x8 pixels, that come inside scikit-learn: a search to try without a download.

Data: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import functools

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from litune.tasks.batches import Batches

SPLIT_SEED = 42
TRAINING_IMAGES = 1_437
CLASSES = 10


@functools.cache
def load() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return images, (n, 1, 8, 8) in [0, 1], and labels: 1,437 to train on, 360 to validate with; once a process."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    train, valid = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
    return (images[train], labels[train]), (images[valid], labels[valid])


class Digits(pl.LightningDataModule):
    """1,437 images to train on and 360 to validate with, always the same.

    That is all there are: what a model is tested on, and asked to predict, is what it was validated with.
    """

    def __init__(self, batch_size: int = 64) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str | None = None) -> None:
        """Read and split the images."""
        self.train, self.valid = load()

    def train_dataloader(self) -> Batches:
        """Return shuffled batches."""
        return Batches(*self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> Batches:
        """Return batches in order."""
        return Batches(*self.valid, batch_size=self.batch_size)

    def test_dataloader(self) -> Batches:
        """Return the images of the validation, as there are no others."""
        return self.val_dataloader()

    def predict_dataloader(self) -> Batches:
        """Return the images of the validation, as there are no others."""
        return self.val_dataloader()


class MLP(pl.LightningModule):
    """One hidden layer. Its optimizer comes from the config's section `optimizer`."""

    def __init__(self, hidden: int = 64, dropout: float = 0.1, criterion: nn.Module | None = None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="criterion")
        self.criterion = criterion or nn.CrossEntropyLoss()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, CLASSES)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (batch, 10), of images, (batch, 1, 8, 8)."""
        logits: Tensor = self.net(images)
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], _batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        loss: Tensor = self.criterion(self(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _batch_idx: int) -> None:
        """Log val_loss and val_acc."""
        self._evaluate(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], _batch_idx: int) -> None:
        """Log test_loss and test_acc."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: tuple[Tensor, ...], _batch_idx: int) -> Tensor:
        """Return the most likely digit of each image."""
        logits: Tensor = self(batch[0])
        return logits.argmax(1)

    def _evaluate(self, batch: tuple[Tensor, Tensor], stage: str) -> None:
        images, labels = batch
        logits = self(images)
        self.log(f"{stage}_loss", functional.cross_entropy(logits, labels), sync_dist=True)
        self.log(f"{stage}_acc", (logits.argmax(1) == labels).float().mean(), sync_dist=True)
