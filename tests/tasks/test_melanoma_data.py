from __future__ import annotations

import csv
import subprocess
import sys

import pytest
from PIL import Image

from litune.tasks import melanoma_data


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_set_is_jpegs_with_a_table_of_their_names_and_labels(tmp_path):
    melanoma_data.make(tmp_path / "made", images=20, test=5, pixels=24, positive=0.25)
    for part, count, melanomas in (("train", 20, 5), ("test", 5, 1)):
        rows = list(csv.DictReader((tmp_path / "made" / f"{part}.csv").read_text().splitlines()))
        photos = {path.stem: path for path in (tmp_path / "made" / "jpeg" / part).iterdir()}
        assert [row["image_name"] for row in rows] == sorted(photos)
        assert len(rows) == count
        assert sorted(row["target"] for row in rows) == ["0"] * (count - melanomas) + ["1"] * melanomas
        with Image.open(photos[rows[0]["image_name"]]) as photo:
            assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (24, 24))


def test_the_seed_decides_every_byte(tmp_path):
    for name, seed in {"one": 1, "again": 1, "other": 2}.items():
        melanoma_data.make(tmp_path / name, images=3, test=2, pixels=16, seed=seed)
    assert files(tmp_path / "one") == files(tmp_path / "again")
    assert files(tmp_path / "one") != files(tmp_path / "other")


def test_a_set_that_cannot_be_made_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="number of steps"):
        melanoma_data.make(tmp_path / "made", images=3, pixels=-1)
    assert not list(tmp_path.iterdir())


def test_the_command_makes_a_set_and_leaves_an_existing_directory_alone(tmp_path):
    command = [sys.executable, "-m", "litune.tasks.melanoma_data", "made", "--images", "4", "--test", "2"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (first.returncode, first.stderr) == (0, "")
    assert "4 images to train with, 2 to test with, in made" in first.stdout
    made = files(tmp_path / "made")
    again = subprocess.run([*command, "--seed", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "made: exists already" in again.stderr
    assert files(tmp_path / "made") == made
