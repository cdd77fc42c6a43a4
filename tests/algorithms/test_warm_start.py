"""search.warm_start by the public command: earlier runs inform a search, and are part of what it is a function of."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from litune.algorithms.suggest import Suggester
from litune.algorithms.warm_start import FADE, MOST, EarlierTrial, faded, learn
from litune.objective import Objective
from litune.space.distributions import completed
from litune.space.space import Space, choice, loguniform, randint, uniform
from litune.space.space_file import parse
from litune.table import TrialRow
from litune.trial import Outcome, TrialState
from tests.faults.searches import command, finish
from tests.in_process import digest_of, search, trials


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with two runs to learn from; of B's trials some lie outside the space of the others."""
    runs = tmp_path_factory.mktemp("runs")
    space = runs / "wide.json"
    x, k = {"_type": "uniform", "_value": [0, 2]}, {"_type": "randint", "_value": [0, 5]}
    kind, y = {"_type": "choice", "_value": ["a", "b", "c"]}, {"_type": "loguniform", "_value": [0.001, 1]}
    space.write_text(json.dumps({"model.x": x, "model.k": k, "model.kind": kind, "model.y": y}))
    search(runs, "search.algorithm=random", "search.trials=12", "search.pruner=median", name="A")
    search(runs, "search.algorithm=random", "search.trials=6", f"search.space={space}", "seed=3", name="B")
    return runs


@pytest.fixture(scope="module")
def warm(runs: Path) -> str:
    return search(runs, "search.trials=6", f"search.warm_start=[{runs}/B,A]", name="warm")


def test_it_says_how_many_trials_fit(warm: str, runs: Path) -> None:
    beyond = sum(row["params"]["model.x"] > 1 for row in trials(runs / "B"))
    assert 0 < beyond < 6
    assert warm.splitlines()[0] == "warm start from A: 12 of 12 trials fit"
    assert warm.splitlines()[1].startswith(f"warm start from B: {6 - beyond} of 6 trials fit; {beyond} do not")
    assert f"{beyond} for model.x" in warm.splitlines()[1]


def test_what_is_tried_is_informed_by_the_earlier_runs(warm: str, runs: Path) -> None:
    search(runs, "search.trials=6", "search.algorithm=tpe", name="cold")
    mean = {name: sum(row["score"] for row in trials(runs / name)) / 6 for name in ("warm", "cold")}
    assert mean["warm"] > mean["cold"] + 300  # kind c is worth 1000 more than b, which is worth 1000 more than a


def test_another_backend_and_another_order_give_the_same_digest(warm: str, runs: Path) -> None:
    words = ["name=again", "search.trials=6", f"search.warm_start=[A,{runs}/B]"]
    assert digest_of(finish(command(runs, *words)).stdout) == digest_of(warm)


def test_a_continued_earlier_run_makes_it_another_search(runs: Path, tmp_path: Path) -> None:
    search(tmp_path, "search.algorithm=random", "search.trials=3", name="A")
    first = search(tmp_path, "search.trials=3", "search.warm_start=[A]")
    longer = digest_of(search(tmp_path, "search.trials=5", "search.warm_start=[A]"))
    assert longer != digest_of(first)
    told = search(tmp_path, "search.trials=5", f"search.warm_start=[{runs}/A]", code=2)
    assert "search.warm_start.A: got '" in told
    told = search(tmp_path, "search.trials=5", "search.algorithm=tpe", code=2)
    assert "search.warm_start.A: got nothing" in told
    assert digest_of(search(tmp_path, "search.trials=5", "search.warm_start=[A]", name="once")) == longer


def test_everything_wrong_with_it_is_told_at_once(runs: Path) -> None:
    damaged = runs / "damaged"
    damaged.mkdir(exist_ok=True)
    for name in ("config.yaml", "space.json"):
        (damaged / name).write_bytes((runs / "A" / name).read_bytes())
    (damaged / "ledger.db").write_text("not a ledger " * 100)
    told = search(runs, f"search.warm_start=[Ab,{damaged},A,{runs}/A]", "search.algorithm=random", code=2)
    assert "search.warm_start: got a list; expected nothing beside search.algorithm=random" in told
    assert "search.warm_start.0: got 'Ab'" in told
    assert "search.warm_start.1: got " in told
    assert "cannot be used as a ledger" in told
    assert "search.warm_start.3: got" in told
    assert not (runs / "it").exists()
    told = search(runs, "search.warm_start=[A]", code=2, name="A")
    assert "search.warm_start: got 'A'; expected runs other than this one" in told


def test_a_study_of_another_program_is_told_with_what_can_be_had_of_it(runs: Path) -> None:
    file, own = runs / "optuna.db", f"{runs}/A/ledger.db"
    file.write_bytes(b"SQLite format 3\0")
    told = search(runs, f'search.warm_start=[{file},"sqlite:///optuna.db",{own}]', "search.algorithm=tpe", code=2)
    assert told.count("; only runs of litune can teach; the best params of another study can be tried first: sea") == 2
    assert f"search.warm_start.2: got '{own}'" in told
    assert f"did you mean {runs}/A?" in told


SPACE = Space.of({"a": loguniform(1e-4, 1.0), "b": uniform(0, 1), "c": choice("x", "y"), "d": randint(0, 9)})
ADAM = {"_name": "Adam", "lr": {"_type": "normal", "_value": [0, 1]}}
SGD = {"_name": "SGD", "momentum": {"_type": "uniform", "_value": [0, 1]}}
NESTED = parse({"opt": {"_type": "choice", "_value": [ADAM, SGD]}, "h": {"_type": "uniform", "_value": [1, 9]}})


def outcome(number: int, params: dict) -> Outcome:
    """Return a loss that is least where every number is small."""
    score = sum(float(value) for value in params.values() if not isinstance(value, str))
    state = TrialState.PRUNED if number % 5 == 4 else TrialState.COMPLETE
    return Outcome(state=state, score=score, history={1: score})


def learnt(space: Space, count: int) -> list[EarlierTrial]:
    rows = []
    for number in range(count):
        params = completed(space, {}, number, 0)
        ending = vars(outcome(number, params))
        rows.append(
            TrialRow(
                number=number, params=params, seed=0, **{key: ending[key] for key in ("state", "score", "history")}
            )
        )
    return list(learn("A", rows, Objective(metric="m", mode="min"), space).trials)


def walk(
    algorithm: str,
    space: Space,
    earlier: list[EarlierTrial],
    trials: int,
    resume_at: int | None = None,
    scale: float = 1.0,
) -> list[dict]:
    def made() -> Suggester:
        return Suggester(algorithm, space, seed=1, lag=3, maximize=False, earlier=earlier)

    suggester, found = made(), []

    def ended(number: int) -> Outcome:
        known = outcome(number, found[number])
        return replace(known, score=1000.0 + scale * (known.score or 0.0)) if scale != 1.0 else known

    for number in range(trials):
        if number == resume_at:
            suggester = made()
            for other, params in enumerate(found):
                suggester.restore(other, params, ended)
        found.append(suggester.suggest(number, ended))
    return found


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes", "gp"])
@pytest.mark.parametrize("space", [SPACE, NESTED], ids=["flat", "nested"])
def test_every_algorithm_learns_and_goes_on_after_an_interruption(algorithm: str, space: Space) -> None:
    earlier = learnt(space, 30)
    found = walk(algorithm, space, earlier, 12)
    assert all(not space.misfits(params) for params in found)
    assert walk(algorithm, space, earlier, 12, resume_at=7) == found
    losses = [
        sum(outcome(0, params).score or 0.0 for params in walk(algorithm, space, known, 12)) for known in (earlier, [])
    ]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("algorithm", ["tpe", "cmaes", "gp"])
@pytest.mark.parametrize("count", [1, 4])
def test_every_algorithm_takes_a_few_earlier_trials(algorithm: str, count: int) -> None:
    earlier = learnt(SPACE, count)
    found = walk(algorithm, SPACE, earlier, 8)
    assert all(not SPACE.misfits(params) for params in found)
    assert walk(algorithm, SPACE, earlier, 8, resume_at=5) == found


def test_earlier_trials_fade_as_the_search_gets_its_own() -> None:
    earlier = learnt(SPACE, 30)
    counts = [len(faded(earlier, own)) for own in range(FADE + 2)]
    assert counts[0] == 30
    assert counts == sorted(counts, reverse=True)
    assert counts[-2:] == [0, 0]
    half = [known.score for known in faded(earlier, FADE // 2)]
    assert max(half) == max(known.score for known in earlier)
    ranked = sorted(known.score for known in earlier)
    assert sum(half) / len(half) == pytest.approx(sum(ranked) / len(ranked), abs=0.2)  # from all ranks
    assert len(faded(earlier * 9, 0)) == MOST


@pytest.mark.parametrize("algorithm", ["tpe", "gp"])
def test_the_scale_of_the_scores_that_a_search_gets_is_of_no_account(algorithm: str) -> None:
    earlier = learnt(SPACE, 30)
    assert walk(algorithm, SPACE, earlier, 12, scale=16.0) == walk(algorithm, SPACE, earlier, 12)


def test_gp_learns_nothing_of_earlier_trials_that_were_pruned() -> None:
    pruned = [known for known in learnt(SPACE, 30) if known.pruned_at]
    assert len(pruned) == 6
    assert walk("gp", SPACE, pruned, 11) == walk("gp", SPACE, [], 11)


def test_what_is_learnt_of_a_run_are_its_own_finite_scores_by_the_scale_of_its_complete_trials() -> None:
    states = [TrialState.COMPLETE] * 5 + [TrialState.PRUNED]
    scores = [1.0, 3.0, math.inf, 5.0, 3.0, 90.0]
    rows = [
        TrialRow(number=number, params={"b": 0.5}, seed=0, state=state, score=score, history={1: 0.0, 2: score})
        for number, (state, score) in enumerate(zip(states, scores, strict=True))
    ]
    rows[4] = replace(rows[4], reused=1)
    run = learn("A", rows, Objective(metric="m", mode="max"), Space.of({"b": uniform(0, 1)}))
    assert [(known.score, known.pruned_at) for known in run.trials] == [(-1, 0), (0, 0), (1, 0), (43.5, 2)]
    assert run.ended == 6


def test_scores_are_standardised_whatever_their_direction_and_scale() -> None:
    rows = [
        TrialRow(number=number, params={"b": number / 10}, seed=0, state=TrialState.COMPLETE, score=1000.0 + number)
        for number in range(5)
    ]
    space = Space.of({"b": uniform(0, 1)})
    up, down = (learn("A", rows, Objective(metric="m", mode=mode), space).trials for mode in ("max", "min"))
    assert sum(known.score for known in up) == pytest.approx(0)
    assert up[4].score == pytest.approx(math.sqrt(1.6))
    assert [known.score for known in down] == [-known.score for known in up]
