"""MNIST as one tensor in memory: a convolutional classifier and an autoencoder.

Data: LeCun et al., "Gradient-based learning applied to document recognition", 1998, by torchvision.datasets.MNIST.
"""

from __future__ import annotations

import functools

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.datasets import MNIST

from litune.tasks.batches import Batches

SPLIT_SEED = 42
TRAINING_IMAGES = 55_000
CLASSES = 10


@functools.cache
def training_images(root: str) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return images and labels to train on and to validate with; once a process, so forked trials share them."""
    images, labels = load(root, train=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    train, valid = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
    return (images[train], labels[train]), (images[valid], labels[valid])


def load(root: str, *, train: bool) -> tuple[Tensor, Tensor]:
    """Return images, (n, 1, 28, 28) in [0, 1], and labels, (n,)."""
    try:
        data = MNIST(root, train=train, download=True)  # only what is not there yet
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        message = f"data.root={root}: no MNIST there, and it could not be downloaded ({reason}); "
        raise FileNotFoundError(message + "put torchvision's MNIST/raw/ below it, or name its place") from error
    return data.data.unsqueeze(1).float() / 255, data.targets


class MNISTData(pl.LightningDataModule):
    """55,000 images to train on, 5,000 to validate with, 10,000 to test with."""

    def __init__(self, root: str = "data", batch_size: int = 64) -> None:
        super().__init__()
        self.root, self.batch_size = root, batch_size

    def prepare_data(self) -> None:
        """Download the images where they are missing."""
        training_images(self.root)

    def setup(self, stage: str | None = None) -> None:
        """Split the images, always alike."""
        if stage in (None, "fit", "validate"):
            self.train, self.valid = training_images(self.root)
        if stage in (None, "test", "predict"):
            self.test = load(self.root, train=False)

    def train_dataloader(self) -> Batches:
        """Return shuffled batches."""
        return Batches(*self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> Batches:
        """Return batches in order."""
        return Batches(*self.valid, batch_size=1000)

    def test_dataloader(self) -> Batches:
        """Return the test images in order."""
        return Batches(*self.test, batch_size=1000)

    def predict_dataloader(self) -> Batches:
        """Return the test images in order."""
        return self.test_dataloader()


class CNN(pl.LightningModule):
    """Three 5x5 convolutions (1-16-32-64) with max-pooling, dropout, and one linear layer."""

    def __init__(self, dropout: float = 0.25, criterion: nn.Module | None = None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="criterion")
        self.criterion = criterion or nn.CrossEntropyLoss()
        self.net = nn.Sequential(
            *_block(1, 16), *_block(16, 32), *_block(32, 64), nn.Flatten(), nn.Dropout(dropout),
            nn.Linear(64 * 3 * 3, CLASSES),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (batch, 10), of images, (batch, 1, 28, 28)."""
        logits: Tensor = self.net(images)
        return logits

    def training_step(self, batch: list[Tensor], _batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        loss: Tensor = self.criterion(self(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], _batch_idx: int) -> None:
        """Log valid_loss and valid_acc."""
        self._evaluate(batch, "valid")

    def test_step(self, batch: list[Tensor], _batch_idx: int) -> None:
        """Log test_loss and test_acc."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: list[Tensor], _batch_idx: int) -> Tensor:
        """Return the most likely digit of each image."""
        logits: Tensor = self(batch[0])
        return logits.argmax(1)

    def _evaluate(self, batch: list[Tensor], stage: str) -> None:
        images, labels = batch
        logits = self(images)
        self.log(f"{stage}_loss", functional.cross_entropy(logits, labels))
        self.log(f"{stage}_acc", (logits.argmax(1) == labels).float().mean())


def _block(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 5, padding=2), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]


class Autoencoder(pl.LightningModule):
    """784-64-3-64-784, trained on the mean squared error."""

    def __init__(self, hidden: int = 64, code: int = 3, criterion: nn.Module | None = None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="criterion")
        self.criterion = criterion or nn.MSELoss()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, code))
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, 784))

    def forward(self, images: Tensor) -> Tensor:
        """Return the images again, (batch, 784), through the code, (batch, 3)."""
        again: Tensor = self.decoder(self.encoder(images))
        return again

    def training_step(self, batch: list[Tensor], _batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], _batch_idx: int) -> None:
        """Log valid_loss."""
        self.log("valid_loss", self._loss(batch))

    def test_step(self, batch: list[Tensor], _batch_idx: int) -> None:
        """Log test_loss."""
        self.log("test_loss", self._loss(batch))

    def predict_step(self, batch: list[Tensor], _batch_idx: int) -> Tensor:
        """Return the code of each image, (batch, 3)."""
        codes: Tensor = self.encoder(batch[0])
        return codes

    def _loss(self, batch: list[Tensor]) -> Tensor:
        images = batch[0]
        loss: Tensor = self.criterion(self(images), images.flatten(1))
        return loss
