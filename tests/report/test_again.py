"""The report's command for the same search again, typed as printed, from another directory."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import litune
from litune import cli
from litune.report.facts import gather
from litune.report.summary import commands


def climb(params: dict[str, Any], trial: Any) -> float:
    for step in (1, 2):
        trial.report(step, params["slope"] * step)
    return params["slope"] * 2


def digest_of_the_same_search_again(run: Path, elsewhere: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    capsys.readouterr()
    assert cli.main(["report", str(run), "--format", "md"]) == 0
    printed = capsys.readouterr().out
    command = next(line.strip() for line in printed.splitlines() if "litune search --config-file" in line)
    assert cli.main(shlex.split(command.strip("`"))[1:]) == 0, capsys.readouterr().err
    return capsys.readouterr().out.splitlines()[-1].removeprefix("digest ")


def test_a_search_from_python_that_was_given_more_trials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for trials in (2, 4, 3):
        result = litune.search(
            climb, space={"slope": litune.uniform(0, 1)}, trials=trials, backend="local", name="it", runs=str(tmp_path)
        )
    assert len(result.rows) == 4
    assert digest_of_the_same_search_again(tmp_path / "it", tmp_path / "there", capsys, monkeypatch) == result.digest


def test_a_search_whose_space_file_was_edited_since(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, space = tmp_path / "hill.yaml", tmp_path / "hill.json"
    function = {"_target_": f"{__name__}.climb"}
    experiment.write_text(json.dumps({"function": function, "allow": [__name__], "objective": {"metric": "score"}}))
    space.write_text(json.dumps({"function.slope": {"_type": "uniform", "_value": [0, 1]}}))
    words = ["backend=local", "search.space=hill.json", "search.trials=2", "name=it"]
    monkeypatch.chdir(tmp_path)
    assert cli.main(["search", "--config-file", "hill.yaml", *words]) == 0
    digest = capsys.readouterr().out.splitlines()[-1].removeprefix("digest ")
    space.write_text(json.dumps({"function.slope": {"_type": "uniform", "_value": [5, 6]}}))
    run = tmp_path / "runs" / "it"
    assert digest_of_the_same_search_again(run, tmp_path / "there", capsys, monkeypatch) == digest
    other = ["search", "--config-file", str(run / "config.yaml"), f"search.space={tmp_path}/./hill.json", "name=other"]
    assert cli.main(other) == 0
    assert capsys.readouterr().out.splitlines()[-1].removeprefix("digest ") != digest


def test_of_a_search_in_legs_it_says_when_the_digest_is_another_one(
    recorded: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for algorithm in ("asha", "random"):
        run = recorded("legs", 2, f"search.algorithm={algorithm}")
        assert cli.main(["report", str(run), "--format", "md"]) == 0
        assert ("unless it was given more on its way" in capsys.readouterr().out) == (algorithm == "asha")


def test_no_replay_is_advised_of_a_trial_whose_params_changed_on_its_way(recorded: Callable[..., Path]) -> None:
    facts = gather(str(recorded("population", 3)))
    assert any("replay=" in command for _, command in commands(facts))
    changed = replace(facts.board[0], schedule=({"step": 0, "trial": 0, "params": {}},))
    advised = commands(replace(facts, board=(changed, *facts.board[1:])))
    assert not any("replay=" in command for _, command in advised)
    assert any("best.yaml" in command for _, command in advised)
