from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from litune.tasks.mnist import CNN, Autoencoder, MNISTData, load, training_images

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "mnist"
needs_mnist = pytest.mark.skipif(not (REAL / "MNIST" / "raw").is_dir(), reason=f"there is no MNIST below {REAL}")


def command(*words):
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def write_mnist(root):
    """Write a small MNIST of random images, in the real one's format."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = torch.Generator().manual_seed(1)
    for name, count in {"train": 60_000, "t10k": 10}.items():
        images = torch.randint(0, 256, (count, 28 * 28), dtype=torch.uint8, generator=random)
        labels = torch.randint(0, 10, (count,), dtype=torch.uint8, generator=random)
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(head + images.numpy().tobytes())
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.numpy().tobytes())


def test_a_split_is_always_the_same(tmp_path):
    write_mnist(tmp_path)
    first = training_images(str(tmp_path))
    training_images.cache_clear()
    (images, labels), (others, _) = training_images(str(tmp_path))
    assert torch.equal(first[0][0], images)
    assert (len(images), len(labels), len(others)) == (55_000, 55_000, 5_000)
    assert images.shape[1:] == (1, 28, 28)
    assert (images.min(), images.max()) == (0, 1)
    training_images.cache_clear()


def test_a_directory_without_mnist_is_named_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [])
    for _ in range(2):  # what a failed download leaves does not hide the next one's reason
        with pytest.raises(FileNotFoundError, match=r"data.root=.*no MNIST there.*; put torchvision's MNIST/raw"):
            load(str(tmp_path / "nowhere"), train=True)


@pytest.mark.parametrize("experiment", ["mnist_cnn", "mnist_autoencoder"])
def test_a_search_without_its_data_ends_before_its_first_trial(tmp_path, experiment):
    (tmp_path / "file").write_text("in the way")
    words = [f"data.root={tmp_path}/file", f"search.runs={tmp_path}/runs", "search.parallel=1"]
    done = command("search.py", f"experiment={experiment}", *words)
    assert done.returncode == 2
    assert f"data.root={tmp_path}/file: no MNIST there" in done.stderr
    assert "name its place" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("model", "out"), [(CNN(), (4, 10)), (Autoencoder(hidden=16, code=2), (4, 784))])
def test_a_model_gives_what_its_docstring_says(model, out):
    images = torch.rand(4, 1, 28, 28)
    assert model.eval()(images).shape == out
    assert len(model.predict_step([images, torch.zeros(4)], 0)) == 4


@needs_mnist
def test_the_cnn_learns_real_digits(tmp_path):
    pl.seed_everything(1, verbose=False)
    data, model = MNISTData(root=str(REAL), batch_size=128), CNN()
    model.configure_optimizers = lambda: torch.optim.Adam(model.parameters(), lr=0.005)
    trainer = pl.Trainer(
        max_steps=60, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=2, val_check_interval=60, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    assert trainer.callback_metrics["valid_acc"] > 0.9


@needs_mnist
def test_the_shipped_autoencoder_trains_on_real_digits(tmp_path):
    words = ["trainer.max_epochs=1", "data.batch_size=512", f"search.runs={tmp_path}", "name=one", "search.threads=1"]
    done = command("train.py", "experiment=mnist_autoencoder", f"data.root={REAL}", *words)
    assert done.returncode == 0, done.stderr
    assert "valid_loss" in done.stdout
    assert (tmp_path / "one").is_dir()
