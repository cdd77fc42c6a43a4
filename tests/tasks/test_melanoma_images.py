from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from PIL import Image

from litune.tasks.melanoma_data import make
from litune.tasks.melanoma_images import Lesions, MadeLesions, photo, read, split


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("lesions") / "made"
    make(root, images=40, test=6, pixels=40, positive=0.25)
    return str(root)


def write(root, rows, header="image_name,target", photos=()):
    """Write a set whose table is `rows`, with black JPEGs of the names in `photos`."""
    folder = root / "jpeg" / "train"
    folder.mkdir(parents=True)
    (root / "train.csv").write_text("\n".join([header, *rows]) + "\n")
    for name in photos:
        Image.new("RGB", (8, 8)).save(folder / f"{name}.jpg")
    return str(root)


def test_the_split_keeps_the_classes_in_proportion_and_shares_no_photo(made):
    train, valid = split(made)
    assert (len(train.names), int(train.labels.sum())) == (32, 8)
    assert (len(valid.names), int(valid.labels.sum())) == (8, 2)
    assert not set(train.names) & set(valid.names)


def test_all_photos_of_a_patient_are_on_one_side_of_the_split(tmp_path):
    names = [f"P{number:02d}" for number in range(40)]
    rows = [f"{name},patient{number // 4},{number % 2}" for number, name in enumerate(names)]
    train, valid = split(write(tmp_path, rows, "image_name,patient_id,target", names))
    assert valid.names
    assert not set(train.patients) & set(valid.patients)


def test_no_table_is_an_error_with_the_place_and_the_cure(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.root=.*nowhere.*train\.csv.*python -m litune\.tasks"):
        Lesions(root=str(tmp_path / "nowhere")).prepare_data()


def test_all_that_is_wrong_with_a_table_is_said_at_once(tmp_path):
    root = write(tmp_path, ["here,1", "gone,0", "also,maybe"], photos=["here", "also"])
    with pytest.raises(ValueError, match="target") as raised:
        Lesions(root=root).prepare_data()
    first, second = str(raised.value).splitlines()
    assert first.endswith("NAME.jpg")
    assert "train.csv:3: image_name: got gone" in first
    assert second.endswith("train.csv:4: target: got maybe; expected 0 or 1")


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("image,target", ["a,1"], "no column image_name; the columns are image, target"),
        ("image_name,target", [], "no rows"),
    ],
)
def test_a_table_without_its_columns_or_rows_is_refused(tmp_path, header, rows, message):
    with pytest.raises(ValueError, match=message):
        Lesions(root=write(tmp_path, rows, header)).prepare_data()


def test_a_photo_is_the_middle_square(tmp_path):
    wide = Image.new("RGB", (300, 100), (255, 0, 0))
    wide.paste((0, 0, 255), (100, 0, 200, 100))
    wide.save(tmp_path / "wide.jpg", quality=95)
    square = photo(tmp_path / "wide.jpg", 20)
    assert (square.shape, square.dtype) == ((3, 20, 20), torch.uint8)
    red, _, blue = square[:, :, 2:-2].float().mean((1, 2))
    assert blue > 240
    assert red < 15


def test_photos_held_in_memory_are_those_on_disk(made):
    batches = []
    for in_memory in (True, False):
        data = Lesions(made, size=16, batch_size=8, in_memory=in_memory)
        data.setup("fit")
        batches.append(next(iter(data.val_dataloader())))
    (kept, labels, names), (decoded, again, same) = batches
    assert torch.equal(kept, decoded)
    assert torch.equal(labels, again)
    assert names == same


def test_photos_to_train_on_vary_as_the_seed_says_and_others_never_do(made):
    data = Lesions(made, size=16)
    data.setup()

    def shown(photos, seed):
        torch.manual_seed(seed)
        return photos[0][0]

    assert torch.equal(shown(data.train, 1), shown(data.train, 1))
    assert not torch.equal(shown(data.train, 1), shown(data.train, 2))
    assert torch.equal(shown(data.valid, 1), shown(data.valid, 2))
    assert torch.equal(shown(data.test, 1), shown(data.test, 2))
    plain = Lesions(made, size=16, augment=None)
    plain.setup()
    assert torch.equal(shown(plain.train, 1), shown(plain.train, 2))


def test_worker_processes_give_the_same_photos_for_the_same_seed(made):
    data = Lesions(made, size=16, batch_size=16, workers=1)
    data.setup("fit")

    def epoch():
        torch.manual_seed(5)
        return torch.cat([photos for photos, _, _ in data.train_dataloader()])

    assert torch.equal(epoch(), epoch())


def test_a_last_batch_too_small_for_batch_norm_is_left_out(made):
    data = Lesions(made, size=16, batch_size=31)
    data.setup("fit")
    assert [len(names) for _, _, names in data.train_dataloader()] == [31]
    data.batch_size = 100
    assert [len(names) for _, _, names in data.train_dataloader()] == [32]


def test_missing_labels_of_the_test_photos_are_nan(tmp_path, made):
    make(tmp_path / "made", images=10, test=3, pixels=16)
    table = tmp_path / "made" / "test.csv"
    table.write_text("\n".join(line.split(",")[0] for line in table.read_text().splitlines()))
    assert read(str(tmp_path / "made"), "test").labels.isnan().all()
    assert not read(made, "test").labels.isnan().any()


def test_made_photos_are_drawn_once_even_by_two_processes_at_once(tmp_path):
    line = "from litune.tasks.melanoma_images import MadeLesions; MadeLesions('made', images=30).prepare_data()"
    both = [subprocess.Popen([sys.executable, "-c", line], cwd=tmp_path) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    table = tmp_path / "made" / "train.csv"
    written = table.stat()
    MadeLesions(str(tmp_path / "made"), images=40).prepare_data()
    assert table.stat() == written
