"""What a search found, as Python has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import litune
from litune import checks
from litune.config.compose import compose
from litune.study import opening


def scored(params: dict[str, Any], _trial: object) -> float:
    return params["score"] / 2


def test_a_functions_param_that_is_called_as_a_column_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = {"score": [2, 4], "seconds": [-1], "rate": [0.5]}
    found = litune.search(scored, space=space, algorithm="grid", trials=2, backend="local")
    names = ["number", "state", "score", "function.score", "function.seconds", "rate", "seconds", "failure"]
    assert [list(row) for row in found.trials()] == [names, names]
    assert [(row["score"], row["function.score"]) for row in found.trials()] == [(1, 2), (2, 4)]
    table = found.trials("pandas")
    assert [table.index.name, *table.columns] == names
    assert all(table["seconds"] >= 0)
    assert found.best.params == {"score": 4, "seconds": -1, "rate": 0.5}


def test_a_run_without_a_trial_is_a_table_without_a_row(tmp_path: Path) -> None:
    config = compose(["experiment=digits_mlp", f"search.runs={tmp_path}", "name=it"]).config
    space = checks.load_space(config)
    with opening.opened(config, space):
        pass
    table = litune.SearchResult(tmp_path / "it").trials("pandas")
    assert len(table) == 0
    assert list(table.columns) == ["state", "score", *space.names, "seconds", "failure"]
