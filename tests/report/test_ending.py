"""What the terminal shows when a search has ended."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from litune.report.console import console_here, plain_console
from litune.report.ending import print_ending
from litune.trial import Failure, FailureClass, Job, Outcome, TrialState


def shown(run: Path, width: int = 80) -> str:
    console = plain_console(file=io.StringIO(), width=width)
    print_ending(console, run)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_way_to_the_best_is_a_curve_in_ascii_within_80_columns(recorded: Callable[..., Path]) -> None:
    _, _, curve = shown(recorded("forty", 40)).partition("best val_acc so far (*)\n")
    lines = curve.splitlines()[:8]
    assert curve.isascii()
    assert max(map(len, lines)) <= 80
    best, *_, first, foot = lines
    assert best.count("*") > 0
    assert "*" in first
    assert best.index("*") > first.index("*")
    assert foot.endswith("+---------------------------------------- 40 trials")


def test_a_bad_beginning_does_not_flatten_the_curve(recorded: Callable[..., Path]) -> None:
    def ending(job: Job) -> Outcome:
        score = 0.1 if job.number == 0 else 0.9 + job.number / 1000
        return Outcome(state=TrialState.COMPLETE, score=score, history={1: score})

    _, _, curve = shown(recorded("late", 20, ending=ending)).partition("best val_acc so far (*)\n")
    rows = [line for line in curve.splitlines()[:7] if "*" in line]
    assert len(rows) > 4


def test_how_many_trials_failed_and_by_what_is_told(recorded: Callable[..., Path]) -> None:
    def ending(job: Job) -> Outcome:
        kind = {1: FailureClass.ERROR, 2: FailureClass.NAN, 5: FailureClass.NAN}.get(job.number)
        if kind:
            return Outcome(state=TrialState.FAILED, failure=Failure(kind=kind, message="it failed"))
        return Outcome(state=TrialState.COMPLETE, score=0.5, history={1: 0.5})

    lines = shown(recorded("some", 8, ending=ending)).splitlines()
    assert any(line.startswith("3 of 8 trials failed (error 1, nan 2): litune report ") for line in lines)
    assert not any(" failed" in line for line in shown(recorded("none", 4)).splitlines())


def test_what_mattered_and_what_pruning_saved_take_a_line_each(recorded: Callable[..., Path]) -> None:
    lines = shown(recorded("again", 40)).splitlines()
    assert any(line.startswith("what mattered: optimizer.lr ") for line in lines)
    assert any(line.startswith("pruning saved ") and line.endswith("%)") for line in lines)


def test_a_search_of_two_trials_has_a_leaderboard_and_no_curve(recorded: Callable[..., Path]) -> None:
    text = shown(recorded("two", 2))
    assert "optimizer.lr" in text
    assert "so far" not in text


def test_a_leaderboard_that_is_too_wide_has_the_short_names_of_params(recorded: Callable[..., Path]) -> None:
    run = recorded("narrow", 2)
    wide, narrow = (shown(run, width).splitlines()[0].split() for width in (200, 60))
    assert "optimizer.lr" in wide
    assert narrow == [name.rpartition(".")[2] for name in wide]


def test_the_leaderboard_has_the_params_in_the_order_of_the_search_space(recorded: Callable[..., Path]) -> None:
    head, *_ = shown(recorded("ordered", 2), 200).splitlines()
    assert head.split()[3:] == ["model.hidden", "model.dropout", "optimizer.lr", "data.batch_size"]


def test_params_that_have_no_room_for_a_column_each_share_one_and_no_number_is_broken(
    recorded: Callable[..., Path],
) -> None:
    run = recorded("packed", 2)
    head, first, *_ = shown(run, 45).splitlines()
    rank, number, score, *params = first.split()
    assert head.split() == ["#", "trial", "val_acc", "params"]
    assert (rank, number, score) == ("1", "0", "0.79203")
    assert params
    assert all("=" in word for word in params)


def test_a_log_has_the_leaderboard_with_every_column_whatever_the_width(
    recorded: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_ending(console_here(), recorded("logged", 2))
    assert "optimizer.lr" in capsys.readouterr().out.splitlines()[0].split()
