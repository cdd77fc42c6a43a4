"""Each experiment that ships trains for one batch, as it is but for its data."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch

from litune import cli
from litune.tasks.melanoma_data import make
from litune.tasks.mnist import training_images

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))

pytestmark = pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")


def mnist(root: Path) -> list[str]:
    """Write a blank MNIST in the real one's format."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, count in {"train": 60_000, "t10k": 10}.items():
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(head + bytes(count * 28 * 28))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + bytes(count))
    return [f"data.root={root}"]


def lesions(root: Path) -> list[str]:
    make(root, images=30, test=3, pixels=32, positive=0.3)
    return [f"data.root={root}", "data.batch_size=2", "data.size=32"]


OTHERWISE = {
    "digits_mlp": lambda root: [],
    "mnist_autoencoder": mnist,
    "mnist_cnn": mnist,
    "melanoma": lambda root: [*lesions(root), "model.weights=null", "data.workers=0", "trainer.accelerator=cpu"],
    "melanoma_small": lesions,
}


@pytest.mark.parametrize("experiment", SHIPPED)
def test_a_shipped_experiment_trains_for_one_batch(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    words = [
        f"experiment={experiment}",
        "trainer.fast_dev_run=true",
        "search.threads=1",
        *OTHERWISE[experiment](tmp_path / "data"),
    ]
    code = cli.train_main([*words, f"search.runs={tmp_path / 'runs'}", "name=one"])
    training_images.cache_clear()
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "validation 1: " in out
    assert torch.get_num_threads() == 1
