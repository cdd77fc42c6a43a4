from __future__ import annotations

import subprocess
import sys

import pytest

from litune import cli


def test_a_new_project_searches_and_passes_its_own_test(tmp_path, capsys):
    directory = tmp_path / "blood-cells"
    assert cli.main(["init", str(directory), "--model", "CellNet", "--data", "Slides"]) == 0
    assert "python search.py" in capsys.readouterr().out
    assert "class CellNet(pl.LightningModule)" in (directory / "blood_cells" / "model.py").read_text()
    options = {"cwd": directory, "capture_output": True, "text": True, "timeout": 200, "check": False}
    words = ["search.trials=2", "trainer.max_epochs=1", "search.threads=1", "trainer.accelerator=cpu"]
    searched = subprocess.run([sys.executable, "search.py", *words], **options)
    assert searched.returncode == 0, searched.stderr
    assert "trial 1 COMPLETE" in searched.stdout
    assert "nothing is left to do" not in searched.stdout
    again = subprocess.run([sys.executable, "search.py", *words], **options)
    assert "nothing is left to do: the search has ended, after 2 trials" in again.stdout
    best = next(line.split()[1] for line in searched.stdout.splitlines() if line.startswith("best: "))
    shown = subprocess.run([sys.executable, "search.py", "--cfg", "job", "--config-file", best], **options)
    assert shown.returncode == 0, shown.stderr
    assert "experiment: blood_cells" in shown.stdout
    run = best.removesuffix("/best.yaml")
    for stage, found in (("test", "test_acc"), ("predict", "120 rows")):
        evaluated = subprocess.run([sys.executable, "-m", "litune", stage, run], **options)
        assert evaluated.returncode == 0, evaluated.stderr
        assert found in evaluated.stdout
    checked = subprocess.run([sys.executable, "-m", "litune", "nni-check", "nni_config.yml"], **options)
    assert checked.returncode == 0, checked.stderr
    tested = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], **options)
    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--package", "my-pkg"], "--package: got 'my-pkg'; expected a Python name"),
        (["--package", "json"], "--package: got 'json'; expected a name that no other module has"),
        (["--model", "class"], "--model: got 'class'; expected a Python name"),
    ],
)
def test_names_that_cannot_be_are_refused_before_anything_is_written(tmp_path, capsys, words, expected):
    assert cli.main(["init", str(tmp_path / "new"), *words]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "search.py").write_text("mine")
    assert cli.main(["init", str(tmp_path), "--package", "mine"]) == 2
    assert f"{tmp_path}/search.py, which is there already" in capsys.readouterr().err
    assert (tmp_path / "search.py").read_text() == "mine"


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_where_no_directory_can_be_is_told(tmp_path, capsys, place):
    (tmp_path / "file").write_text("mine")
    assert cli.main(["init", str(tmp_path / place), "--package", "mine"]) == 2
    assert f"got {tmp_path / place}; expected a directory that can be made" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
