"""A training of milliseconds whose score tells its params apart, and which can end in every way there is."""

import os
import signal
import time
from functools import cache
from pathlib import Path

import pytorch_lightning as pl
import torch
from threadpoolctl import ThreadpoolController
from torch.utils.data import DataLoader, TensorDataset


class Tiny(pl.LightningModule):
    """Logs `score`: injective in the params up to rounding, and growing by the epoch."""

    def __init__(
        self,
        x: float = 0.0,
        y: float = 0.0,
        k: int = 0,
        kind: str = "a",
        ending: str = "complete",
        hold: str = "",
        pace: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)
        self.born_among = len(list(Path("/proc/self/task").iterdir()))

    def training_step(self, batch, _batch_idx):
        return self.layer(batch[0]).square().mean()

    def on_train_epoch_start(self) -> None:
        if self.hparams.pace:
            time.sleep(self.hparams.pace)
        if self.current_epoch == 1:
            _end(self.hparams.ending)
            while self.hparams.hold and _waits(Path(self.hparams.hold), int(Path(self.trainer.default_root_dir).name)):
                time.sleep(0.05)

    def validation_step(self, _batch, _batch_idx) -> None:
        if self.hparams.ending == "no_metric":
            self.log("another", 1.0)
            return
        h = self.hparams
        value = h.x + 10 * h.y + 100 * h.k + 1000 * ord(h.kind[0]) + 0.5 * self.current_epoch
        noise = torch.rand(()) * 1e-3  # the seed's doing: the same in every process
        if self.current_epoch == 1 and h.ending in ("nan", "infinite"):
            value = float(h.ending[:3])
        self.log("threads", _threads())
        self.log("born_among", float(self.born_among))
        self.log("score", torch.tensor(value, dtype=torch.float64) + noise)

    def test_step(self, batch, batch_idx) -> None:
        self.log("x", self.hparams.x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _threads() -> float:
    """Return how many threads torch, NumPy and what is loaded from now on compute with; -1 if they disagree."""
    told = {int(os.environ[name]) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    told |= {torch.get_num_threads(), *(library["num_threads"] for library in _blas().info())}
    return float(told.pop() if len(told) == 1 else -1)


@cache
def _blas() -> ThreadpoolController:
    found = ThreadpoolController().select(user_api="blas")
    assert found.info()
    return found


def _waits(hold: Path, number: int) -> bool:
    """Say whether the file holds this trial: it names the first of those that wait until it is gone."""
    try:
        return number >= int(hold.read_text())
    except FileNotFoundError:
        return False


def _end(ending: str) -> None:
    if ending == "error":
        raise ValueError("as asked")
    if ending == "exit":
        raise SystemExit(0)
    if ending == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if ending == "aborted":
        os._exit(3)
    if ending == "interrupt":
        raise KeyboardInterrupt
    if ending == "timeout":
        time.sleep(600)
    if ending == "out_of_memory":
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 EiB")


class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(8, 2)), batch_size=4, shuffle=True)

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(2, 2)), batch_size=2)

    def test_dataloader(self):
        return self.val_dataloader()
