"""`litune confirm` by the public command: the best trials again on fresh seeds, on the run's backend."""

import math
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from statistics import fmean, stdev

import pytest

from litune import checks, cli
from litune.config.compose import compose
from litune.objective import Objective
from litune.result import SearchResult
from litune.study import opening
from litune.study.confirmation import summarize
from litune.table import TrialRow
from litune.trial import Failure, FailureClass, Outcome, TrialState
from tests.faults.searches import finish
from tests.in_process import digest_of, litune, trials
from tests.preloaded import LITUNE, PROJECT

T2 = 4.302652729911275  # Student's t: 97.5% with 2 degrees of freedom


def search(root: Path, backend: str, trials: int = 8) -> Path:
    """Search params that hardly matter, each trial with a seed of its own: the best score is luck."""
    space = root / "space.json"
    space.write_text('{"model.x": {"_type": "uniform", "_value": [0, 0.0003]}}')
    words = ["experiment=tiny", "seed=1", f"name={backend}", f"search.runs={root}", f"search.space={space}"]
    words += [f"backend={backend}", "search.algorithm=random", "search.seed_per_trial=true", f"search.trials={trials}"]
    if backend == "local":
        litune("search", *words)
    else:
        finish([*LITUNE, "search", *words])
    return root / backend


def confirmation(run: Path) -> Path:
    [path] = (run / "confirm").iterdir()
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search(tmp_path_factory.mktemp("runs"), "local")


@pytest.fixture(scope="module")
def printed(run: Path) -> str:
    return litune("confirm", str(run), "--top", "3", "--seeds", "3")


def test_the_best_trials_train_on_the_same_fresh_seeds(printed: str, run: Path) -> None:
    best = sorted(trials(run), key=lambda row: -row["score"])[:3]
    again = trials(confirmation(run))
    assert confirmation(run).name == "-".join(str(row["number"]) for row in best)
    assert [row["params"] for row in again] == [row["params"] for row in best] * 3
    seeds = [row["seed"] for row in again]
    assert seeds[0::3] == seeds[1::3] == seeds[2::3]
    assert len(set(seeds)) == 3
    assert not set(seeds) & {row["seed"] for row in trials(run)}


def test_mean_interval_and_gap_are_reported_and_best_yaml_names_the_winner(printed: str, run: Path) -> None:
    again, first = trials(confirmation(run)), [int(number) for number in confirmation(run).name.split("-")]
    scores = {number: [row["score"] for row in again[place::3]] for place, number in enumerate(first)}
    winner = max(scores, key=lambda number: fmean(scores[number]))
    mean, half = fmean(scores[winner]), T2 * stdev(scores[winner]) / math.sqrt(3)
    searched = next(row["score"] for row in trials(run) if row["number"] == winner)
    interval = f"{mean - half:.5g} to {mean + half:.5g}"
    said = " ".join(printed.split())
    assert (
        f"Confirmed: trial {winner}, score = {mean:.5g} on average over 3 fresh seeds (95% interval {interval})" in said
    )
    assert f"{searched - mean:.3g} better, the winner's curse" in said
    best = litune("best", str(run))
    assert best == (run / "best.yaml").read_text()
    assert best.splitlines()[0].startswith(f"# trial {winner} of local: score = {searched!r}")
    assert "confirmed on 3 fresh seeds" in best.splitlines()[1]


def test_what_is_tested_and_loaded_is_the_confirmed_winner(printed: str, run: Path) -> None:
    winner = int(re.search(r"Confirmed: trial (\d+)", printed)[1])
    assert winner != max(trials(run), key=lambda row: row["score"])["number"]
    assert litune("test", str(run)).startswith(f"trial {winner} of local\n")
    assert SearchResult(run).best.number == winner


def test_the_ledger_says_it_where_optuna_dashboard_shows_it(printed: str, run: Path) -> None:
    trial, _, note = SearchResult(run).study.user_attrs["confirmed"].partition(", ")
    assert trial == f"trial {SearchResult(run).best.number}"
    assert f"# {note}\n" in (run / "best.yaml").read_text()


def test_the_report_shows_it(printed: str, run: Path) -> None:
    litune("report", str(run))
    page = (run / "report.html").read_text()
    assert "<h2>Confirmation</h2>" in page
    assert "95% interval" in page
    assert "litune confirm" not in page
    assert "## Confirmation" in litune("report", str(run), "--format", "md")


def ended(path: Path) -> int:
    try:
        with sqlite3.connect(f"file:{path}/ledger.db?mode=ro", uri=True, timeout=10) as ledger:
            return int(ledger.execute("select count(*) from trials where state != 'RUNNING'").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def test_it_goes_on_after_a_kill_on_another_backend_to_the_same_digest(printed: str, run: Path, tmp_path: Path) -> None:
    other = search(tmp_path, "optuna")
    words = ["confirm", str(other), "--top", "3", "--seeds", "3"]
    driver = subprocess.Popen([*LITUNE, *words], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    path = other / "confirm" / confirmation(run).name
    while ended(path) < 2 and driver.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert digest_of(finish([*LITUNE, *words]).stdout) == digest_of(printed)


def test_more_seeds_train_only_what_is_new_and_a_better_trial_makes_it_stale(printed: str, run: Path) -> None:
    before = trials(confirmation(run))
    litune("confirm", str(run), "--top", "3", "--seeds", "4")
    after = trials(confirmation(run))
    assert [row["where"] for row in after[:9]] == [row["where"] for row in before]
    assert len(after) == 12
    search(run.parent, "local", 9)
    assert "confirmed on 4" in (run / "best.yaml").read_text()  # trial 8 is no better
    best = max(row["score"] for row in trials(run))
    while max(row["score"] for row in trials(run)) == best:
        search(run.parent, "local", len(trials(run)) + 10)
    assert "confirmed" not in (run / "best.yaml").read_text()


def test_what_is_wrong_with_the_command_is_told_at_once(run: Path) -> None:
    told = litune("confirm", str(run), "--top", "0", "--seeds", "1", code=2)
    assert "--top: got 0; expected 1 to 10" in told
    assert "--seeds: got 1; expected at least 2" in told
    assert "run: got" in litune("confirm", str(run / "nothing"), code=2)


def row(number: int, score: float | None) -> TrialRow:
    state = TrialState.FAILED if score is None else TrialState.COMPLETE
    failure = Failure(kind=FailureClass.ERROR, message="x") if score is None else None
    return TrialRow(
        number=number, state=state, params={"a": number % 2}, seed=number // 2, score=score, failure=failure
    )


def test_a_candidate_whose_trainings_fail_comes_last_and_less_is_better_for_a_loss() -> None:
    originals = [row(0, 0.1), row(1, 0.2)]
    loss = Objective(metric="loss", mode="min")
    assert summarize(Path("x"), {0: row(0, 0.3), 1: row(1, 0.4), 2: row(2, 0.3)}, originals, loss) is None
    found = summarize(Path("x"), dict(enumerate(map(row, range(4), (0.3, 0.4, 0.5, 0.3)))), originals, loss)
    assert found
    assert [(one.row.number, round(one.gap, 9)) for one in found.candidates] == [(1, 0.15), (0, 0.3)]
    failing = summarize(Path("x"), dict(enumerate(map(row, range(4), (0.3, 0.4, None, 0.5)))), originals, loss)
    assert failing
    assert [(one.row.number, one.failed) for one in failing.candidates] == [(1, 0), (0, 1)]


def test_a_training_whose_params_changed_on_its_way_is_neither_replayed_nor_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "experiment=digits_mlp",
        "name=it",
        f"search.runs={tmp_path}",
        "search.trials=1",
        "search.algorithm=random",
    ]
    config = compose(words).config
    with opening.opened(config, checks.load_space(config)) as study:
        job = study.ask()
        assert job
        later = {**job.params, "optimizer.lr": 0.0123}
        parts = ({"step": 0, "trial": 0, "params": dict(job.params)}, {"step": 1, "trial": 0, "params": later})
        outcome = Outcome(state=TrialState.COMPLETE, score=0.9, history={1: 0.5, 2: 0.9}, schedule=parts)
        study.tell(job.number, outcome)
    assert cli.main(["train", f"replay={tmp_path}/it", "trial=0"]) == 2
    assert cli.main(["confirm", f"{tmp_path}/it"]) == 2
    assert capsys.readouterr().err.count("whose params stayed as they were") == 2
    assert cli.main(["best", f"{tmp_path}/it"]) == 0
    printed = capsys.readouterr().out
    assert "its params changed while it trained" in printed
    assert "lr: 0.0123" in printed
