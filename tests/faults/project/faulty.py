"""A training that goes wrong as asked, and leaves processes behind."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

SLEEP = ["sleep", "600"]


class Faulty(pl.LightningModule):
    def __init__(self, x: float = 0.0, fault: str = "none") -> None:
        super().__init__()
        self.x, self.fault = x, fault
        self.layer = torch.nn.Linear(2, 1)

    def on_train_start(self) -> None:
        print(f"fault: {self.fault}", flush=True)
        globals()[self.fault]()

    def training_step(self, batch, _batch_idx):
        if self.fault == "slow":
            time.sleep(0.2)
        return self.layer(batch[0]).square().mean()

    def validation_step(self, _batch, _batch_idx) -> None:
        self.log("score", self.x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Data(pl.LightningDataModule):
    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=self.batch_size)

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(2, 2)), batch_size=2)


def none() -> None:
    pass


def error() -> None:
    raise ValueError("the data has no column 'age'")


def slow() -> None:
    """Take a while for each batch, see training_step."""


def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def leaves() -> None:
    os._exit(0)


def forks() -> None:
    """Fork a child and end it, as who works with multiprocessing does."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[600])
    child.start()
    child.terminate()
    child.join()
    if child.exitcode != -signal.SIGTERM:
        raise RuntimeError(f"the child ended with {child.exitcode}")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def out_of_memory() -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 EiB")


def greedy() -> None:
    torch.empty(1 << 32, dtype=torch.uint8)


def served() -> None:
    """Have a process that is nobody's child, and need it still when the next trial has ended."""
    started = subprocess.run(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], stdout=subprocess.PIPE, check=True)
    pid = Path(os.environ["LITUNE_TRIAL"]).with_name("0001") / "pid"
    while not pid.exists() or Path("/proc", pid.read_text()).exists():
        time.sleep(0.05)
    time.sleep(0.5)  # for whoever sees to what that one has left behind
    os.kill(int(started.stdout), 0)


def brief() -> None:
    place = Path(os.environ["LITUNE_TRIAL"])
    (place / "part").write_text(str(os.getpid()))
    (place / "part").rename(place / "pid")


def deserted() -> None:
    """Fork a child and start a program, each with all that is open here, and kill the process that forked this one."""
    os.posix_spawnp(SLEEP[0], SLEEP, os.environ)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"here")
        time.sleep(600)
    os.read(reader, 4)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def family() -> None:
    """Leave behind a child, one in a session of its own, and an orphan without an environment."""
    subprocess.Popen(SLEEP)
    child = subprocess.Popen(SLEEP, start_new_session=True)
    (Path(os.environ["LITUNE_TRIAL"]) / "pid").write_text(str(child.pid))
    subprocess.run(["sh", "-c", "env -i setsid sleep 600 >/dev/null 2>&1 &"], check=True)


def heir() -> None:
    """Wait until what the first trial has left behind is gone."""
    pid = Path(os.environ["LITUNE_TRIAL"]).with_name("0000") / "pid"
    while Path("/proc", pid.read_text()).exists():
        time.sleep(0.05)


def hang() -> None:
    family()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stubborn()


def asleep() -> None:
    time.sleep(600)


def stubborn() -> None:
    """Take no notice of an exception raised by a signal's handler."""
    print("stubborn", flush=True)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600)
