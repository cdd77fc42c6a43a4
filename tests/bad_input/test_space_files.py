"""Search spaces with mistakes in them: each is refused with its file, line and key, and the nearest right name."""

from __future__ import annotations

import json

import pytest

FILE = "search_spaces/mine.json"


def one(key: str, kind: str, values: object) -> str:
    return f'{{\n  "{key}": {{"_type": "{kind}",\n    "_value": {json.dumps(values)}}}\n}}\n'


TYPE = f"{FILE}:2: model.lr._type: "
VALUE = f"{FILE}:3: model.lr._value: "

CASES = {
    "typo in _type": (one("model.lr", "unifrom", [0, 1]), [TYPE, 'got "unifrom"', "did you mean uniform?"]),
    "_type that is a list": (
        '{"model.lr": {"_type": ["a"], "_value": [0, 1]}}', [f'{FILE}:1: model.lr._type: got ["a"]']),
    "low above high": (one("model.lr", "uniform", [1, 0]), [VALUE, "got [1, 0]; expected low below high"]),
    "low equal to high": (one("model.lr", "uniform", [1, 1]), [VALUE, "expected low below high"]),
    "randint without numbers": (one("model.hidden", "randint", [3, 3]), ["model.hidden._value: got [3, 3]"]),
    "log with low 0": (one("model.lr", "loguniform", [0, 1]), [VALUE, "expected low above 0"]),
    "log with low below 0": (one("model.lr", "qloguniform", [-1, 1, 0.5]), [VALUE, "expected low above 0"]),
    "no choices": (one("model.lr", "choice", []), [VALUE, "expected at least one value"]),
    "the same choice twice": (one("model.hidden", "choice", [32, 64, 32.0]), ["hidden._value: ", "expected distinct"]),
    "a bound that is NaN": (
        '{"model.lr":\n {"_type": "uniform", "_value": [NaN, 1]}}', [f"{FILE}:2: model.lr._value: "]),
    "an infinite bound": (
        '{"model.lr":\n {"_type": "uniform", "_value": [0, 1e999]}}', [f"{FILE}:2: ", "finite numbers"]),
    "a choice that is NaN": ('{"model.lr": {"_type": "choice", "_value": [.nan]}}', ["expected finite numbers"]),
    "step 0": (one("model.lr", "quniform", [0, 1, 0]), [VALUE, "expected a step q above 0"]),
    "step below 0": (one("model.lr", "quniform", [0, 1, -0.1]), [VALUE, "expected a step q above 0"]),
    "a step too small to see": (one("model.lr", "quniform", [0, 1, 1e-300]), [VALUE, "a step q that is not lost"]),
    "no step": (one("model.lr", "quniform", [0, 1]), [VALUE, "expected [low, high, q]"]),
    "sigma 0": (one("model.lr", "normal", [0, 0]), [VALUE, "expected a sigma above 0"]),
    "a lognormal out of reach": (one("model.lr", "lognormal", [0, 1000]), [VALUE, "expected values of at most 1e+300"]),
    "fractions for an argument that is whole": (
        one("model.hidden", "uniform", [1, 64]),
        [f"{FILE}:2: model.hidden: got 39.9", "take randint, or quniform with a whole q"]),
    "steps of a half for an argument that is whole": (
        one("model.hidden", "quniform", [1, 3, 0.5]), [f"{FILE}:2: model.hidden: got 2.5; expected int"]),
    "a nested choice of classes by their bare names": (
        one("optimizer", "choice", [{"_name": "SGD"}, {"_name": "Adam"}]),
        [f"{FILE}:2: optimizer._name: got {name}; expected the dotted name of a class" for name in ("SGD", "Adam")]),
    "a nested choice for an argument that is a word": (
        one("model.act", "choice", [{"_name": "relu"}, {"_name": "tanh"}]),
        [f"{FILE}:2: model.act: got a section {{_name: ", "expected str; take a choice of words"]),
    "fractions for whole numbers": (one("model.hidden", "randint", [0.5, 9]), ["expected [low, high], whole numbers"]),
    "floats for whole numbers": (one("model.hidden", "randint", [1.0, 9.0]), ["expected [low, high], whole numbers"]),
    "whole numbers beyond all": (one("model.hidden", "randint", [0, 2**60]), ["whole numbers of at most 2**53"]),
    "text for a bound": (one("model.lr", "uniform", ["low", 1]), [VALUE, 'got ["low", 1]', "all finite numbers"]),
    "a bound for a list": (one("model.lr", "uniform", 3), [VALUE, "got 3; expected [low, high]"]),
    "a value for a spec": ('{"model.lr": 3}', [f"{FILE}:1: model.lr: got 3; expected a mapping like "]),
    "no _value": ('{"model.lr": {"_type": "uniform"}}', [f"{FILE}:1: model.lr: got no _value"]),
    "a typo in _value": ('{"model.lr": {"_type": "uniform",\n "_values": [0, 1]}}', [f"{FILE}:2: ", "mean _value?"]),
    "sections": ('{"model":\n {"lr": {"_type": "uniform", "_value": [0, 1]}}}', ['write dotted keys: "model.lr"']),
    "an empty space": ("{}", [f"{FILE}: got an empty search space; expected at least one parameter"]),
    "an empty file": ("", [f"{FILE}: got an empty file"]),
    "a list": ("[]", [f"{FILE}:1: got a sequence"]),
    "an unclosed bracket": (
        '{"model.lr": {"_type": "uniform",\n "_value": [0, 1}}', [f"{FILE}:2: ", "expected valid YAML"]),
    "the same key twice": (
        '{"model.lr": {"_type": "uniform", "_value": [0, 1]},\n\t"model.lr": {"_type": "choice", "_value": [1]}}',
        [f"{FILE}:2: model.lr: got the key again; expected it once (it is on line 1)"],
    ),
    "not UTF-8": (b'{"model.lr":\n "\xff"}', [f"{FILE}:2: got a byte that is not UTF-8 (0xff)"]),
    "half of a character": ('{"a":\n "\\ud83d"}', [f"{FILE}:2: a: got half of a character"]),
    "a python tag": (
        "model.lr: !!python/name:os.system\n", [f"{FILE}:1: model.lr: got the tag !!python/name:os.system"]),
    "bytes": ("model.lr: {_type: choice, _value: [!!binary aGk=]}\n", ["got the tag !!binary"]),
    "a bomb": ("a: &a [*a]\n", [f"{FILE}: got aliases that multiply without end"]),
    "an empty part of a key": (one("model..lr", "uniform", [0, 1]), ["model..lr: ", "expected a dotted config key"]),
    "a reserved key": (one("model._name", "choice", ["a"]), ["model._name: ", "expected a dotted config key"]),
    "a parameter that the config lacks": (
        one("model.hiden", "randint", [1, 9]), [f"{FILE}:2: model.hiden: ", "did you mean model.hidden?"],
    ),
    "a section that does not exist": (one("modle.hidden", "randint", [0, 9]), ["modle.hidden: ", "mean model.hidden?"]),
    "a key that is no hyperparameter": (one("seed", "randint", [0, 9]), [f"{FILE}:2: seed: got a parameter"]),
    "a value that its type rejects": (
        one("model.hidden", "uniform", [1, 9.5]), [f"{FILE}:2: model.hidden: got 9.5; expected int"],
    ),
    "a choice that its type rejects": (
        one("model.lr", "choice", [0.1, "big"]), [f"{FILE}:2: model.lr: got 'big'; expected float"],
    ),
    "a key and one right below it": (
        '{"model.act": {"_type": "choice", "_value": ["a"]},\n "model.act.b": {"_type": "choice", "_value": [1]}}',
        [f"{FILE}:2: model.act.b: got both model.act and model.act.b; expected one of the two"],
    ),
    "a key and one below it": (
        '{"model.act": {"_type": "choice", "_value": ["a"]},\n "model.act.b.c": {"_type": "choice", "_value": [1]}}',
        [f"{FILE}:2: model.act.b.c: got both model.act and model.act.b.c; expected one of the two"],
    ),
    "a key that a nested choice sets too": (
        '{"optimizer": {"_type": "choice", "_value": [{"_name": "torch.optim.Adam",\n'
        ' "lr": {"_type": "uniform", "_value": [0, 1]}}]},\n "optimizer.lr": {"_type": "uniform", "_value": [0, 1]}}',
        [f"{FILE}:3: optimizer.lr: got optimizer.lr twice, here and in a nested choice; expected it once"],
    ),
    "an option without a name": (
        '{"optimizer": {"_type": "choice", "_value": [{"_name": "torch.optim.SGD"},\n "torch.optim.Adam"]}}',
        [f'{FILE}:2: optimizer: got "torch.optim.Adam"; expected a mapping with a `_name`'],
    ),
    "an option twice": (
        '{"optimizer": {"_type": "choice", "_value": [{"_name": "torch.optim.SGD"},\n {"_name": "torch.optim.SGD"}]}}',
        [f"{FILE}:2: optimizer: got the option 'torch.optim.SGD' twice"],
    ),
    "a mistake two options deep": (
        '{"optimizer": {"_type": "choice", "_value": [\n {"_name": "torch.optim.SGD",\n  "a": {"_type": "choice",'
        ' "_value": [\n'
        '   {"_name": "x",\n    "b": {"_type": "unifrom", "_value": [0, 1]}}]}}]}}',
        [f'{FILE}:5: optimizer.a.b._type: got "unifrom"', "did you mean uniform?"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_in_a_search_space_is_told_with_its_place(project, case):
    text, said = CASES[case]
    project.write(FILE, text)
    project.assert_refused(project.search("experiment=mine", f"search.space={FILE}"), *said)


def test_all_mistakes_of_a_space_come_at_once(project):
    project.write(
        FILE,
        '{"model.hidden": {"_type": "choise", "_value": [1]},\n "model.lr": {"_type": "uniform", "_value": [1, 0]},\n'
        ' "model.act": {"_type": "choice", "_value": []}}\n',
    )
    result = project.search("experiment=mine")
    project.assert_refused(result, f"{FILE}:1: model.hidden._type", f"{FILE}:2: model.lr._", f"{FILE}:3: model.act._")
    assert len(result[2].splitlines()) == 3


def test_a_grid_over_a_continuous_parameter_is_refused(project):
    result = project.search("experiment=mine", "search.algorithm=grid")
    project.assert_refused(result, f"{FILE}:1: model.lr: got a continuous parameter in a grid search")


def test_a_grid_of_a_thousand_million_points_is_counted_and_refused(project):
    project.write(FILE, one("model.hidden", "randint", [0, 10**9]))
    result = project.search("experiment=mine", "search.algorithm=grid")
    project.assert_refused(result, "got a grid of 1,000,000,000 points; expected at most 100,000", "search.trials")


def test_a_misspelt_space_is_offered_from_the_config_directory_too(project):
    project.write("conf/experiment/other.yaml", (project.root / "experiments/mine.yaml").read_text())
    project.write("conf/search_spaces/wide.json", (project.root / FILE).read_text())
    result = project.search("--config-dir", "conf", "experiment=other", "search.space=wid")
    project.assert_refused(result, "wid: search.space: got no such file", "did you mean conf/search_spaces/wide.json?")


def test_a_space_that_is_no_file_is_refused(project):
    where = project.root / "nowhere.json"
    result = project.search("experiment=mine", "search.space=nowhere.json")
    project.assert_refused(result, "nowhere.json: search.space: got no such file", f"looked for {where}")
    result = project.search("experiment=mine", "search.space=search_spaces/mien.json")
    project.assert_refused(result, "search_spaces/mien.json: search.space: got no such file", f"did you mean {FILE}?")
    project.assert_refused(project.search("experiment=mine", "search.space=mien"), f"did you mean {FILE}?")
    for path, said in {"experiments": "search.space: got a directory", "/dev/zero": "got a pipe or a device"}.items():
        project.assert_refused(project.search("experiment=mine", f"search.space={path}"), said)
