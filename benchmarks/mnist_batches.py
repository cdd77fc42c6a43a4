"""python benchmarks/mnist_batches.py [ROOT] [--rounds 3]: an autoencoder's epoch on MNIST, batches of 32, one thread.

Slices of tensors in memory (litune.tasks.batches.Batches) beside DataLoader with ToTensor for each sample, as
torchvision has it in its tutorials; in turn, in one process; prints the ratio of the best times. Lower is better.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterable
from importlib.metadata import version

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from litune.tasks.batches import Batches
from litune.tasks.mnist import Autoencoder, load

BATCH = 32


def epoch(batches: Iterable[list[Tensor]]) -> float:
    """Train an autoencoder for one epoch by a bare loop; return the seconds that it took."""
    torch.manual_seed(1)
    model = Autoencoder()
    optimizer = torch.optim.Adam(model.parameters())
    start = time.perf_counter()
    for images, _ in batches:
        optimizer.zero_grad()
        loss = model.criterion(model(images), images.flatten(1))
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default="data", help="the directory that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    samples = DataLoader(MNIST(options.root, transform=ToTensor()), batch_size=BATCH, shuffle=True)
    slices = Batches(*load(options.root, train=True), batch_size=BATCH, shuffle=True)
    times: dict[str, list[float]] = {"samples": [], "slices": []}
    for number in range(options.rounds):
        times["samples"].append(epoch(samples))
        times["slices"].append(epoch(slices))
        print(f"round {number + 1}: DataLoader {times['samples'][-1]:.2f} s, slices {times['slices'][-1]:.2f} s")
    print(f"ratio {min(times['slices']) / min(times['samples']):.2f}")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")


if __name__ == "__main__":
    main()
