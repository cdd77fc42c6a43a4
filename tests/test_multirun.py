"""Hydra's multirun: one run after the other, and one table that compares them."""

from __future__ import annotations

import csv
from pathlib import Path

from tests import preloaded
from tests.preloaded import LITUNE

PROJECT = Path(__file__).parent / "project"
SHORT = ["-m", "experiment=own", "trainer.max_epochs=1"]


def litune(*words):
    return preloaded.run([*LITUNE, *map(str, words)], cwd=PROJECT)


def table(root):
    [file] = root.glob("multirun-*.csv")
    with file.open() as lines:
        return list(csv.DictReader(lines))


def test_trainings_are_compared_by_what_they_were_given(tmp_path):
    criteria = ["torch.nn.CrossEntropyLoss", "torch.nn.MultiMarginLoss"]
    done = litune("train", *SHORT, f"search.runs={tmp_path}", f"criterion._target_={','.join(criteria)}")
    assert done.returncode == 0, done.stderr
    rows = table(tmp_path)
    assert [row["criterion._target_"] for row in rows] == criteria
    for row in rows:
        assert row["state"] == "COMPLETE"
        assert f"val_score (best): {row['val_score']}" in done.stdout
        assert (tmp_path / row["run"]).is_dir()
    tested = litune("test", tmp_path / rows[0]["run"])
    assert "test_score: " in tested.stdout, tested.stderr
    assert "the table: " in done.stdout.splitlines()[-1]


def test_one_search_on_two_backends_is_two_runs_with_one_digest(tmp_path):
    words = [f"search.runs={tmp_path}", "search.trials=1", "backend=optuna,local", "seed=1"]
    done = litune("search", *SHORT, *words)
    assert done.returncode == 0, done.stderr
    rows = table(tmp_path)
    assert [row["backend"] for row in rows] == ["optuna", "local"]
    assert rows[0]["run"] != rows[1]["run"]
    assert rows[0]["digest"] == rows[1]["digest"]
    assert all((row["trials"], row["failed"]) == ("1", "0") for row in rows)


def test_brackets_are_shown_as_they_were_given(tmp_path):
    done = litune("train", *SHORT, f"search.runs={tmp_path}", "search.enqueue=[],[config]")
    assert done.returncode == 0, done.stderr
    assert [row["search.enqueue"] for row in table(tmp_path)] == ["[]", "[config]"]
    assert "[config]" in done.stdout.splitlines()[-2]
