"""A user's project: a model, data and callbacks of their own."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Blobs(pl.LightningDataModule):
    """Two clouds of points."""

    def __init__(self, batch_size: int = 8) -> None:
        super().__init__()
        self.batch_size = batch_size
        random = torch.Generator().manual_seed(0)
        labels = torch.arange(48) % 2
        self.points = TensorDataset(torch.randn(48, 2, generator=random) + labels[:, None] * 3, labels)

    def _loader(self, shuffle=False):
        return DataLoader(self.points, batch_size=self.batch_size, shuffle=shuffle)

    def train_dataloader(self):
        return self._loader(shuffle=True)

    def val_dataloader(self):
        return self._loader()

    def test_dataloader(self):
        return self._loader()

    def predict_dataloader(self):
        return self._loader()


class Net(pl.LightningModule):
    """A linear model whose score is lessened by a handicap."""

    def __init__(self, handicap: float = 0.0, criterion: nn.Module | None = None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="criterion")
        self.criterion = criterion or nn.CrossEntropyLoss()
        self.layer = nn.Linear(2, 2)

    def forward(self, points):
        return self.layer(points)

    def training_step(self, batch, _):
        return self.criterion(self(batch[0]), batch[1])

    def _log(self, name, batch):
        right = (self(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log(name, right - self.hparams.handicap, sync_dist=True)

    def validation_step(self, batch, _):
        self._log("val_score", batch)

    def test_step(self, batch, _):
        self._log("test_score", batch)

    def predict_step(self, batch, _):
        logits = self(batch[0])
        return {"label": logits.argmax(1), "logits": logits}


class Witness(pl.Callback):
    """Write down, on each rank, after how many epochs the training ended."""

    def on_fit_end(self, trainer, module):
        file = Path(trainer.default_root_dir) / f"rank-{trainer.global_rank}.txt"
        file.write_text(str(trainer.current_epoch))


class FailsOnRank(pl.Callback):
    """Run out of memory on one rank only."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_epoch_end(self, trainer, module):
        if trainer.global_rank == self.rank:
            raise torch.cuda.OutOfMemoryError(f"no memory left on rank {self.rank}")


class FailsAbove(pl.Callback):
    """Fail where the handicap is too large."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def on_train_epoch_end(self, trainer, module):
        if module.hparams.handicap > self.limit:
            raise ValueError("too large a handicap")
