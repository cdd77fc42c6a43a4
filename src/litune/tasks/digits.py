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
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

SPLIT_SEED = 42
CLASSES = 10


@functools.cache
def load() -> TensorDataset:
    """Return the 1,797 images, (1, 8, 8) in [0, 1], with their labels; once a process."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    return TensorDataset(images, torch.tensor(digits.target))


class Digits(pl.LightningDataModule):
    """1,437 images to train on and 360 to validate with."""

    def __init__(self, batch_size: int = 64) -> None:
        super().__init__()
        self.batch_size = batch_size

    def prepare_data(self) -> None:
        """Read the images."""
        load()

    def setup(self, stage: str | None = None) -> None:
        """Split the images, always alike."""
        generator = torch.Generator().manual_seed(SPLIT_SEED)
        self.train: Subset[tuple[Tensor, ...]]
        self.val: Subset[tuple[Tensor, ...]]
        self.train, self.val = random_split(load(), [1437, 360], generator=generator)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return shuffled batches."""
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return batches in order."""
        return DataLoader(self.val, batch_size=self.batch_size)


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
        images, labels = batch
        logits = self(images)
        self.log("val_loss", functional.cross_entropy(logits, labels), sync_dist=True)
        self.log("val_acc", (logits.argmax(1) == labels).float().mean(), sync_dist=True)

    def predict_step(self, batch: tuple[Tensor, ...], _batch_idx: int) -> Tensor:
        """Return the most likely digit of each image."""
        logits: Tensor = self(batch[0])
        return logits.argmax(1)
