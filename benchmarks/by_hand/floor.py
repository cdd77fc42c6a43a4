"""python floor.py TRIALS: what no tool can go below: torch imported once, the bare loop of each trial, on two cores."""

import multiprocessing
import random
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

EPOCHS = 5


def train(number):
    torch.set_num_threads(1)
    torch.manual_seed(42)
    draw = random.Random(number)
    hidden, batch_size = draw.choice([32, 64, 128]), draw.choice([32, 64, 128])
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(draw.uniform(0, 0.5)), nn.Linear(hidden, 10)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=10 ** draw.uniform(-4, -1))
    digits = load_digits()
    images, labels = torch.tensor(digits.images, dtype=torch.float32) / 16, torch.tensor(digits.target)
    best = 0.0
    for _ in range(EPOCHS):
        net.train()
        for rows in torch.randperm(1437).split(batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            best = max(best, float((net(images[1437:]).argmax(1) == labels[1437:]).float().mean()))
    return best


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(max(pool.map(train, range(int(sys.argv[1])), chunksize=1)))
