"""The live view of a search: in a terminal of 80 columns, and in a log."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from litune import checks
from litune.config.compose import compose
from litune.report import live
from litune.report.console import plain_console
from litune.study import opening
from litune.study.study import Study
from litune.trial import Failure, FailureClass, Outcome, TrialState

TRIALS = 6


def search(root: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry out a search of two trials at a time under the view; trial 1 is pruned, trial 2 fails."""
    monkeypatch.setattr(live, "REFRESH", 0.0)
    words = ["experiment=digits_mlp", "name=seen", f"search.runs={root}", f"search.trials={TRIALS}"]
    config = compose([*words, "search.parallel=2", "search.pruner=median"]).config
    with opening.opened(config, checks.load_space(config)) as study, live.ConsoleView(study, console) as view:
        while not study.done:
            while len(study.running) < study.parallel and study.ask():
                pass
            number = min(study.running)
            _train(study, number, view)


def _train(study: Study, number: int, view: live.ConsoleView) -> None:
    history = {}
    for step in range(1, 3 if number == 1 else 6):
        history[step] = math.nan if (number, step) == (2, 5) else number / 10 + step / 100
        study.report(number, step, {"val_acc": history[step]})
        view.refresh()
    if number == 2:
        failure = Failure(kind=FailureClass.NAN, message="val_acc was nan")
        study.tell(number, Outcome(state=TrialState.FAILED, failure=failure, history=history))
    else:
        state = TrialState.PRUNED if number == 1 else TrialState.COMPLETE
        study.tell(number, Outcome(state=state, score=max(history.values()), history=history))
    view.refresh()


def test_a_terminal_of_80_columns_shows_what_runs_and_what_is_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    console = plain_console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=80, height=24, record=True
    )
    search(tmp_path, console, monkeypatch)
    shown = console.export_text()
    assert "5      1" in shown or "5      2" in shown  # trial and worker
    assert "4/5" in shown
    assert "▁▃▅█" in shown
    assert "▁▃▅█x" in shown  # a metric that is no number any more
    assert "1 pruned · 1 failed" in shown
    assert "improved 3x, last by 0.1" in shown
    assert "pruning saved 3 of 30 epochs (10%)" in shown
    assert "trial 2 FAILED nan: val_acc was nan" in shown
    assert "trial 3 COMPLETE" not in shown


def test_trials_in_legs_are_counted_by_their_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(live, "REFRESH", 0.0)
    console = plain_console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=160, height=24, record=True
    )
    words = ["experiment=digits_mlp", "name=seen", f"search.runs={tmp_path}", "search.trials=4", "search.parallel=2"]
    config = compose([*words, "search.algorithm=asha"]).config
    with opening.opened(config, checks.load_space(config)) as study, live.ConsoleView(study, console) as view:
        while not study.done:
            job = study.ask()
            assert job is not None
            view.refresh()
            history = {step: job.number + step / 10 for step in range(1, (job.until or 5) + 1)}
            state = TrialState.PAUSED if job.until else TrialState.COMPLETE
            study.tell(job.number, Outcome(state=state, score=max(history.values()), history=history))
        view.refresh()
        study.settle()
        rows = study.rows.values()
        continued = sum(len(row.history) > 1 for row in rows)
    shown = console.export_text()
    assert f"20 of 20 epochs · {len(rows)} trials started · {continued} continued · " in shown
    assert "epochs/min" in shown
    assert "1 of 20 epochs · 1 trials started · 0 continued · 0 paused · 1 running" in shown
    assert {row.state for row in rows} == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.parametrize("ci", [True, False])
def test_a_log_has_one_line_a_trial_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ci: bool
) -> None:
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", "true")
    console = plain_console(file=io.StringIO(), force_terminal=ci, color_system=None, width=80)
    search(tmp_path, console, monkeypatch)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split()[:2] for line in lines] == [["trial", str(number)] for number in range(TRIALS)]


def test_a_view_of_many_trials_stays_within_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(live, "REFRESH", 0.0)
    console = plain_console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=60, height=12, record=True
    )
    words = ["experiment=digits_mlp", "name=wide", f"search.runs={tmp_path}", "search.trials=200"]
    config = compose([*words, "search.parallel=40"]).config
    with opening.opened(config, checks.load_space(config)) as study, live.ConsoleView(study, console) as view:
        while study.ask():
            pass
        view.refresh()
        picture = [line for line in console.export_text().splitlines() if line.strip()]
    assert len(picture) <= 12
    assert max(map(len, picture)) <= 60
    assert picture[-1] == "and 35 more"
