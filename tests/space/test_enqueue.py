"""search.enqueue by the public command: the first trials are those asked for, on every backend."""

import json
from pathlib import Path

import pytest

from litune.algorithms.suggest import Suggester
from litune.config import config as configs
from litune.space import enqueued
from litune.space.space import Space, choice, loguniform, randint, uniform
from litune.space.space_file import dump, parse
from litune.trial import Outcome, TrialState
from tests.faults.searches import command, finish
from tests.in_process import digest_of, litune, search, trials
from tests.preloaded import PROJECT

QUEUE = "search.enqueue=[{model.x:0.5,model.k:3},{model.x:0.25,model.y:0.1,model.k:1,model.kind:b},{model.kind:c}]"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def local(runs: Path) -> str:
    return digest_of(search(runs, "search.trials=6", QUEUE))


def test_the_first_trials_are_those_asked_for_and_the_rest_is_suggested(local: str, runs: Path) -> None:
    table = trials(runs / "it")
    assert table[0]["params"].items() >= {"model.x": 0.5, "model.k": 3}.items()
    assert table[1]["params"] == {"model.x": 0.25, "model.y": 0.1, "model.k": 1, "model.kind": "b"}
    assert table[2]["params"]["model.kind"] == "c"
    assert all(len(row["params"]) == 4 and row["state"] == "COMPLETE" for row in table)


def test_another_backend_gives_the_same_digest(local: str, tmp_path: Path) -> None:
    assert digest_of(finish(command(tmp_path, "search.trials=6", QUEUE)).stdout) == local


def test_a_search_that_stopped_within_the_queue_goes_on_with_it(local: str, tmp_path: Path) -> None:
    search(tmp_path, "search.trials=2", QUEUE)
    assert digest_of(search(tmp_path, "search.trials=6", QUEUE)) == local


def test_another_queue_is_another_search(local: str, runs: Path) -> None:
    told = search(runs, "search.trials=6", QUEUE.replace("model.k:3", "model.k:2"), code=2)
    assert "search.enqueue.0.model.k: got 2; expected 3" in told
    assert "search.enqueue.1" not in told


def test_everything_wrong_with_the_queue_is_told_at_once(tmp_path: Path) -> None:
    queue = "search.enqueue=[{model.xx:0.5,model.k:7},{model.kind:B},3,{model:{x:2,y:abc}},{model:{}}]"
    told = search(tmp_path, queue, code=2).splitlines()
    assert [line.partition("; expected")[0] for line in told] == [
        "command line: search.enqueue.0.model.xx: got an unknown param",
        "command line: search.enqueue.0.model.k: got 7",
        "command line: search.enqueue.1.model.kind: got 'B'",
        "command line: search.enqueue.2: got 3",
        "command line: search.enqueue.3.model.x: got 2",
        "command line: search.enqueue.3.model.y: got 'abc'",
        "command line: search.enqueue.4.model: got an unknown param",
    ]
    assert "did you mean model.x?" in told[0]
    assert "a whole number from 0 to 4" in told[1]
    assert not (tmp_path / "it").exists()


def test_the_queue_of_a_file_is_told_by_its_line(tmp_path: Path) -> None:
    experiment = tmp_path / "mine.yaml"
    text = (PROJECT / "experiments" / "tiny.yaml").read_text().rpartition("search:")[0]
    space = PROJECT / "search_spaces" / "tiny.json"
    experiment.write_text(f"{text}search:\n  space: {space}\n  enqueue:\n  - model.x: 0.5\n  - model.kk: 1\n")
    told = litune("search", "--config-file", str(experiment), code=2)
    assert f"{experiment}:{len(experiment.read_text().splitlines())}: search.enqueue.1.model.kk: got" in told


@pytest.mark.parametrize("field", ["backend=ray backend.searcher=native", "backend=nni backend.tuner=TPE"])
def test_it_is_refused_where_a_backend_of_its_own_draws(field: str, tmp_path: Path) -> None:
    told = litune("search", *field.split(), "experiment=tiny", f"search.runs={tmp_path}", QUEUE, code=2)
    assert "search.enqueue: got a list; expected nothing beside " + field.split()[1].partition("=")[0] in told


def test_config_stands_for_what_the_config_has_and_the_end_says_how_good_that_was(tmp_path: Path) -> None:
    experiment, space = tmp_path / "mine.yaml", tmp_path / "space.json"
    text = (PROJECT / "experiments" / "tiny.yaml").read_text().rpartition("search:")[0]
    text = text.replace("{_target_: tiny.Tiny}", "{_target_: tiny.Tiny, x: 0.5, y: 0.25, k: 3, kind: a}")
    text += "optimizer: {_target_: torch.optim.SGD, lr: 0.1}\n"
    experiment.write_text(f"{text}search: {{space: {space}, algorithm: random}}\n")
    words = ["search", "--config-file", str(experiment), "backend=local", f"search.runs={tmp_path}", "search.trials=4"]
    words += ["search.enqueue=[config]"]
    options = [
        {"_name": "torch.optim.Adam", "eps": {"_type": "uniform", "_value": [0, 1]}},
        {"_name": "torch.optim.SGD"},
    ]
    nested = parse({"optimizer": {"_type": "choice", "_value": options}})
    space.write_text(
        json.dumps({**dump(Space.of({"model.x": uniform(0, 1), "model.y": uniform(0, 0.1)})), **dump(nested)})
    )
    litune(*words, "name=part")
    first = trials(tmp_path / "part")[0]["params"]
    assert first.items() >= {"model.x": 0.5, "optimizer._name": "torch.optim.SGD"}.items()
    assert first["model.y"] <= 0.1  # the config's own is not in the space

    said = litune(*words, "name=whole", f"search.space={PROJECT / 'search_spaces' / 'tiny.json'}")
    table = trials(tmp_path / "whole")
    assert table[0]["params"] == {"model.x": 0.5, "model.y": 0.25, "model.k": 3, "model.kind": "a"}
    assert "the config's own params, trial 0: " in said
    assert table[0]["score"] < max(row["score"] for row in table)

    space.write_text(json.dumps(dump(Space.of({"model.y": uniform(0, 0.1)}))))
    assert "search.enqueue.0: got config; expected a config that has a value" in litune(*words, "name=none", code=2)


def test_the_config_has_null_and_a_plain_value_where_the_space_chooses_a_section() -> None:
    options = [{"_name": "relu"}, {"_name": "leaky", "slope": {"_type": "uniform", "_value": [0, 1]}}]
    space = parse({
        "function.act": {"_type": "choice", "_value": options},
        "function.decay": {"_type": "choice", "_value": [0.1, None]},
        "function.rate": {"_type": "quniform", "_value": [0, 1, 0.1]},
    })  # fmt: skip
    for act, found in {"relu": {"function.act._name": "relu"}, "gelu": {}, 3: {}}.items():
        section = {"act": act, "decay": None, "rate": 0.30000000000000004}
        config = configs.from_plain({"function": section})
        assert enqueued.of_config(config, space) == {**found, "function.decay": None, "function.rate": 0.3}
    section = {"act": {"_target_": "${oc.env:NO_SUCH_VARIABLE}"}, "decay": "${oc.env:NO_SUCH_VARIABLE}"}
    assert enqueued.of_config(configs.from_plain({"function": section}), space) == {}


def test_repeat_trains_the_same_params_on_a_fresh_seed_each_round(tmp_path: Path) -> None:
    queue = "search.enqueue=[{model.x:1,model.y:1,model.k:1,model.kind:a},{model.x:0,model.y:1,model.k:1,model.kind:a}]"
    search(tmp_path, "search.algorithm=repeat", "search.trials=4", queue)
    search(tmp_path, "search.algorithm=repeat", "search.trials=6", queue)
    table = trials(tmp_path / "it")
    assert [row["params"]["model.x"] for row in table] == [1, 0] * 3
    seeds = [row["seed"] for row in table]
    assert seeds[::2] == seeds[1::2]
    assert len(set(seeds)) == 3
    assert len({row["score"] for row in table}) == 6


def test_repeat_needs_whole_params(tmp_path: Path) -> None:
    told = search(tmp_path, "search.algorithm=repeat", "search.enqueue=[{model.x:1,model.k:1}]", code=2)
    assert "search.enqueue.0.model.y: got nothing" in told
    assert "search.enqueue.0.model.kind: got nothing" in told
    assert "search.enqueue: got nothing" in search(tmp_path, "search.algorithm=repeat", code=2)


SPACE = Space.of({"a": loguniform(1e-4, 1.0), "b": uniform(0, 1), "c": choice("x", "y"), "d": randint(0, 9)})
ADAM = {"_name": "Adam", "lr": {"_type": "normal", "_value": [0, 1]}}
SGD = {"_name": "SGD", "momentum": {"_type": "uniform", "_value": [0, 1]}}
NESTED = parse({"opt": {"_type": "choice", "_value": [ADAM, SGD]}, "h": {"_type": "randint", "_value": [1, 9]}})


def walk(algorithm: str, space: Space, queue: list[dict], trials: int, resume_at: int | None = None) -> list[dict]:
    def made() -> Suggester:
        return Suggester(algorithm, space, seed=1, lag=3, maximize=True, enqueue=queue)

    def ended(number: int) -> Outcome:
        score = float(len(str(found[number])))
        return Outcome(state=TrialState.COMPLETE, score=score, history={1: score})

    suggester, found = made(), []
    for number in range(trials):
        if number == resume_at:
            suggester = made()
            for other, params in enumerate(found):
                suggester.restore(other, params, ended)
        found.append(suggester.suggest(number, ended))
    return found


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cmaes", "gp"])
@pytest.mark.parametrize(
    ("space", "queue"),
    [
        (SPACE, [{"b": 0.5}, {"a": 0.01, "b": 0.25, "c": "y", "d": 3}, {"c": "y", "d": 0}, {"a": 0.1}, {"b": 1.0}]),
        (NESTED, [{"opt._name": "Adam", "opt.lr": 0.1, "h": 2}, {"opt._name": "SGD"}, {"h": 8}]),
    ],
    ids=["flat", "nested"],
)
def test_every_algorithm_takes_the_queue_and_goes_on_after_an_interruption(
    algorithm: str, space: Space, queue: list[dict]
) -> None:
    found = walk(algorithm, space, queue, 12)
    assert all(params.items() >= given.items() for params, given in zip(found, queue, strict=False))
    assert all(not space.misfits(params) for params in found)
    assert walk(algorithm, space, queue, 12, resume_at=len(queue) - 1) == found
    assert walk(algorithm, space, queue, 12, resume_at=9) == found


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cmaes", "gp"])
def test_what_the_queue_leaves_out_is_drawn_anew_for_each_trial(algorithm: str) -> None:
    found = walk(algorithm, SPACE, [{"b": 0.5}] * 4, 4)
    assert len({params["a"] for params in found}) == 4


def test_a_grid_begins_with_the_queue_and_visits_every_other_point_once() -> None:
    space = Space.of({"a": choice(1, 2, 3), "b": randint(0, 4)})
    found = walk("grid", space, [{"a": 3, "b": 2}, {"b": 1}, {"b": 1}], 12)
    assert found[:4] == [{"a": 3, "b": 2}, {"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 0}]
    assert len({tuple(one.items()) for one in found}) == 12
