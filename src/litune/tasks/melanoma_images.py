"""Photos of skin lesions: a folder of JPEGs and a CSV (image_name, target), in the form of the SIIM-ISIC challenge.

    ROOT/train.csv, ROOT/jpeg/train/NAME.jpg     to train and validate with
    ROOT/test.csv, ROOT/jpeg/test/NAME.jpg       to test with; the column target may be absent

`python -m litune.tasks.melanoma_data ROOT` makes a small set of this form.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from litune.tasks.melanoma_data import make

SPLIT_SEED = 42
FOLDS = 5
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LISTED = 5  # more lines of one message would help nobody

Sample = tuple[Tensor, Tensor, str]  # photo (3, size, size), label () in {0, 1} or NaN, name


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a CSV. `labels` is (n,), NaN without a column target; `patients` are the names without patient_id."""

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: Tensor
    patients: tuple[str, ...]

    def rows(self, chosen: Sequence[int]) -> Table:
        """Return the table of some rows."""
        return Table(
            names=tuple(self.names[row] for row in chosen),
            paths=tuple(self.paths[row] for row in chosen),
            labels=self.labels[list(chosen)],
            patients=tuple(self.patients[row] for row in chosen),
        )


@functools.cache
def read(root: str, part: str) -> Table:
    """Return the table of `part`, train or test, once a process; raise OSError or ValueError that lists its faults."""
    file, folder = Path(root) / f"{part}.csv", Path(root) / "jpeg" / part
    if not file.is_file():
        cure = f"name the place of train.csv by data.root, or make a set: python -m litune.tasks.melanoma_data {root}"
        raise FileNotFoundError(f"data.root={root}: no {file}; {cure}")
    with file.open(newline="") as lines:
        table = csv.DictReader(lines)
        columns, rows = table.fieldnames or [], list(table)
    needed = {"train": ("image_name", "target"), "test": ("image_name",)}[part]
    if absent := [name for name in needed if name not in columns]:
        raise ValueError(f"{file}:1: no column {' or '.join(absent)}; the columns are {', '.join(columns)}")
    found = {path.stem for path in folder.glob("*.jpg")}
    wrong = [
        f"{file}:{line}: {message}"
        for line, row in enumerate(rows, start=2)
        for message in _mistakes(row, folder, found, labelled="target" in columns)
    ]
    if wrong or not rows:
        more = [f"and {len(wrong) - LISTED} more"] if len(wrong) > LISTED else []
        raise ValueError("\n".join([*wrong[:LISTED], *more]) or f"{file}: no rows")
    names = tuple(row["image_name"] for row in rows)
    return Table(
        names=names,
        paths=tuple(folder / f"{name}.jpg" for name in names),
        labels=torch.tensor([float(row.get("target", "nan")) for row in rows]),
        patients=tuple(row.get("patient_id") or row["image_name"] for row in rows),
    )


def _mistakes(row: dict[str, str], folder: Path, found: set[str], *, labelled: bool) -> list[str]:
    name, wrong = row["image_name"], []
    if name not in found:
        wrong.append(f"image_name: got {name}; expected a file {folder}/NAME.jpg")
    if labelled and row["target"] not in ("0", "1"):
        wrong.append(f"target: got {row['target']}; expected 0 or 1")
    return wrong


@functools.cache
def split(root: str) -> tuple[Table, Table]:
    """Return four fifths to train on, one to validate with: classes in proportion, no patient in both, always alike."""
    table = read(root, "train")
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SPLIT_SEED)
    train, valid = next(folds.split(table.names, table.labels.int().numpy(), table.patients))
    return table.rows(train.tolist()), table.rows(valid.tolist())


def photo(path: Path, size: int) -> Tensor:
    """Return the middle square of a JPEG, uint8, (3, size, size)."""
    with Image.open(path) as image:
        image.draft("RGB", (size, size))  # has the JPEG decoded at a half, a quarter ... where that is enough
        whole: Tensor = v2.functional.pil_to_tensor(image.convert("RGB"))
    square: Tensor = v2.functional.center_crop(v2.functional.resize(whole, [size], antialias=True), [size, size])
    return square


@functools.cache
def photos(paths: tuple[Path, ...], size: int) -> Tensor:
    """Return the photos, uint8, (n, 3, size, size); once a process, so forked trials share them."""
    return torch.stack([photo(path, size) for path in paths])


class Photos(Dataset[Sample]):
    """The photos of a table, read when asked for, or from `memory`."""

    def __init__(self, table: Table, size: int, transform: Callable[[Tensor], Tensor], memory: Tensor | None) -> None:
        self.table, self._size, self._transform, self._memory = table, size, transform, memory

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.table.names)

    def __getitem__(self, row: int) -> Sample:
        """Return one photo, transformed, with its label and name."""
        image = photo(self.table.paths[row], self._size) if self._memory is None else self._memory[row]
        return self._transform(image), self.table.labels[row], self.table.names[row]


def augmentation(size: int, strength: float) -> list[v2.Transform]:
    """Return what varies a photo as a camera would: no side is up; by strength, the place, the scale and the light."""
    return [
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(),
        v2.RandomChoice([v2.Identity(), v2.RandomRotation((90, 90))]),
        v2.RandomResizedCrop(size, scale=(1 - 0.5 * strength, 1.0), ratio=(0.9, 1.1), antialias=True),
        v2.ColorJitter(0.2 * strength, 0.2 * strength, 0.2 * strength, 0.02 * strength),
    ]


class Lesions(pl.LightningDataModule):
    """Photos with labels, `size` pixels square, normalised as ImageNet's.

    `in_memory` decodes all of them once, n * 3 * size^2 bytes, which the trials share; else `workers` processes decode.
    `augment` is the strength of the augmentations, up to 1.5; null for none.
    """

    def __init__(
        self,
        root: str = "data/melanoma",
        size: int = 456,
        batch_size: int = 32,
        augment: float | None = 1.0,
        in_memory: bool = False,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.root, self.size, self.batch_size = root, size, batch_size
        self.in_memory, self.workers = in_memory, workers
        still = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
        self._still = v2.Compose(still)
        self._varied = v2.Compose([*([] if augment is None else augmentation(size, augment)), *still])

    def prepare_data(self) -> None:
        """Read the table, so that what is wrong with it is said at once."""
        split(self.root)

    def setup(self, stage: str | None = None) -> None:
        """Split the photos, always alike."""
        if stage in (None, "fit", "validate"):
            train, valid = split(self.root)
            self.train, self.valid = self._photos(train, self._varied), self._photos(valid, self._still)
        if stage in (None, "test", "predict"):
            self.test = self._photos(read(self.root, "test"), self._still)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return shuffled batches; a last one that is smaller is left out, as batch norm fails on a single photo."""
        return self._loader(self.train, shuffle=True, drop_last=len(self.train) > self.batch_size)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return batches in order."""
        return self._loader(self.valid)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the test photos in order."""
        return self._loader(self.test)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return the test photos in order."""
        return self.test_dataloader()

    def imbalance(self) -> float:
        """Return how many negatives there are to train on for each positive."""
        labels = self.train.table.labels
        return float((labels == 0).sum() / (labels == 1).sum().clamp(min=1))

    def _photos(self, table: Table, transform: Callable[[Tensor], Tensor]) -> Photos:
        return Photos(table, self.size, transform, photos(table.paths, self.size) if self.in_memory else None)

    def _loader(self, photos: Photos, *, shuffle: bool = False, drop_last: bool = False) -> DataLoader[Sample]:
        # workers are made anew each epoch: persistent ones keep their random state, and a continued run would differ
        return DataLoader(
            photos, batch_size=self.batch_size, shuffle=shuffle, drop_last=drop_last, num_workers=self.workers
        )


class MadeLesions(Lesions):
    """Made photos (litune.tasks.melanoma_data), drawn where there are none yet: nothing to download."""

    def __init__(
        self,
        root: str = "data/melanoma_small",
        images: int = 400,
        size: int = 64,
        batch_size: int = 32,
        augment: float | None = 1.0,
    ) -> None:
        super().__init__(root=root, size=size, batch_size=batch_size, augment=augment, in_memory=True)
        self.images = images

    def prepare_data(self) -> None:
        """Draw the photos where they are missing."""
        root = Path(self.root)
        if not root.exists():
            try:
                make(root, images=self.images)
            except OSError:
                if not root.exists():  # else another process was faster, and made the same
                    raise
        super().prepare_data()
