from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from litune.errors import InputError
from litune.space.distributions import completed
from litune.space.parameters import Normal, identity
from litune.space.space_file import dump, load, parse

NESTED = {
    "optimizer": {
        "_type": "choice",
        "_value": [
            {"_name": "torch.optim.Adam", "lr": {"_type": "loguniform", "_value": [1e-4, 1e-1]}},
            {
                "_name": "torch.optim.SGD",
                "lr": {"_type": "quniform", "_value": [0.1, 0.5, 0.1]},
                "schedule": {
                    "_type": "choice",
                    "_value": [{"_name": "flat"}, {"_name": "steps", "every": {"_type": "randint", "_value": [1, 4]}}],
                },
            },
        ],
    },
    "model.hidden": {"_type": "choice", "_value": [32, 64]},
}

finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)
steps = st.floats(1e-3, 1e3)
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | finite | st.text(max_size=5)
json_values = scalars | st.lists(scalars, max_size=3)


def between(bounds):
    return st.lists(bounds, min_size=2, max_size=2, unique=True).map(sorted)


def spec(kind, values):
    return values.map(lambda found: {"_type": kind, "_value": list(found)})


numbers = st.one_of(
    spec("randint", between(st.integers(-(2**40), 2**40))),
    spec("uniform", between(finite)),
    spec("quniform", st.tuples(between(finite), steps).map(lambda found: [*found[0], found[1]])),
    spec("loguniform", between(positive)),
    spec("qloguniform", st.tuples(between(positive), steps).map(lambda found: [*found[0], found[1]])),
    spec("normal", st.tuples(st.floats(-100, 100), st.floats(0.1, 100))),
    spec("qnormal", st.tuples(st.floats(-100, 100), st.floats(0.1, 100), steps)),
    spec("lognormal", st.tuples(st.floats(-5, 5), st.floats(0.01, 3))),
    spec("qlognormal", st.tuples(st.floats(-5, 5), st.floats(0.01, 3), steps)),
)
plain = numbers | spec("choice", st.lists(json_values, min_size=1, max_size=4, unique_by=identity))
names = st.sampled_from(["a", "b", "c.d", "e", "f"])


def nested(inner):
    options = st.lists(
        st.tuples(st.sampled_from(["x", "y.z", "w w", "u/v~1"]), st.dictionaries(names, inner, max_size=2)),
        min_size=1,
        max_size=3,
        unique_by=lambda found: found[0],
    )
    return spec("choice", options.map(lambda found: [{"_name": name, **below} for name, below in found]))


specs = st.recursive(plain, nested, max_leaves=6)
descriptions = st.dictionaries(names, specs, min_size=1, max_size=4)


@given(descriptions, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_a_space_samples_it_contains_and_its_latents_give_it_back(description, seed):
    space = parse(description)
    for number in range(3):
        params = completed(space, {}, number, seed)
        assert space.misfits(params) == []
        assert space.misfits(json.loads(json.dumps(params))) == []
        latents = space.encode(params)
        again = space.draw(latents.__getitem__)
        if any(isinstance(space.parameters[key], Normal) for key in latents):  # its inverse is only nearly exact
            assert space.encode(again) == pytest.approx(latents, abs=1e-12)
        else:
            assert again == params


@given(descriptions)
@settings(max_examples=40, deadline=None)
def test_a_space_written_and_read_again_is_the_same(description):
    space = parse(description)
    assert parse(dump(space)) == space
    assert list(parse(dump(space)).parameters) == list(space.parameters)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_a_file_of_json_is_read_whatever_its_indentation(tmp_path, indent):
    description = {**NESTED, "data.word": {"_type": "choice", "_value": ["\t", "ü", "\U0001f600", "${x}", "a/b"]}}
    file = tmp_path / "space.json"
    file.write_text(json.dumps(description, indent=indent))
    assert load(file) == parse(description)
    file.write_text(json.dumps(description, indent=indent, ensure_ascii=False))
    assert load(file) == parse(description)


def test_yaml_says_the_same_as_json(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(
        "optimizer:\n  _type: choice\n  _value:\n"
        "    - {_name: torch.optim.Adam, lr: {_type: loguniform, _value: [1e-4, '1e-1']}}\n"
        "    - _name: torch.optim.SGD\n      lr: {_type: quniform, _value: [0.1, 0.5, 0.1]}\n"
        "      schedule:\n        _type: choice\n        _value:\n"
        "          [{_name: flat}, {_name: steps, every: {_type: randint, _value: [1, 4]}}]\n"
        "model.hidden: {_type: choice, _value: [32, 64]}\n"
    )
    assert load(file) == parse(NESTED)


def test_options_of_one_choice_may_give_a_name_different_ranges():
    space = parse(NESTED)
    assert space.names == (
        "optimizer._name", "optimizer.lr", "optimizer.schedule._name", "optimizer.schedule.every", "model.hidden",
    )  # fmt: skip
    adam = {"optimizer._name": "torch.optim.Adam", "optimizer.lr": 0.01, "model.hidden": 32}
    assert space.misfits(adam) == []
    assert space.misfits({**adam, "optimizer._name": "torch.optim.SGD"}) == ["optimizer.lr", "optimizer.schedule._name"]


SEEDS = [
    json.dumps(NESTED).encode(),
    json.dumps(NESTED, indent="\t").encode(),
    b"a: {_type: uniform, _value: [0, 1]}\n"
    b"b: {_type: choice, _value: [{_name: x, c: {_type: normal, _value: [0, 1]}}]}",
]
pieces = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b":", b",", b"\t", b"\n", b"&a ", b"*a ", b"? ", b"- ", b'"', b"'", b"|", b">", b"="),
        *(
            b"!!int ",
            b"!!binary ",
            b"!!set ",
            b"!!float ",
            b"!!timestamp ",
            b"<<: ",
            b"%YAML 9",
            b"${",
            b"???",
        ),
        *(b"\\ud83d", b"\\U99999999", b"\xff", b"\x00", b"2020-01-01", b"1:30", b"null", b"_name", b"_type", b"_value"),
        *(b"NaN", b".inf", b"1e999", b"9" * 400, b"0x_", b"0b_", b"._", b"1e-300", b"-1", b"true"),
    ]
)


@st.composite
def mutated(draw):
    content = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 6))):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 8))
        content = content[:at] + draw(pieces) + content[at + length :]
    return content


@given(content=mutated() | st.binary(max_size=60) | st.lists(pieces, max_size=12).map(b"".join))
@example(content=b"b: {11e-300: choice, _value: [1]}")  # a number for a name
@settings(max_examples=250, deadline=None)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_any_bytes_are_a_space_or_an_input_error(tmp_path_factory, suffix, content):
    file = tmp_path_factory.getbasetemp() / f"fuzzed.{suffix}"
    file.write_bytes(content)
    try:
        space = load(file)
    except InputError as error:
        str(error).encode()
    else:
        assert space.misfits(completed(space, {}, 0, 0)) == []
        assert parse(json.loads(json.dumps(dump(space)))) == space


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)
HUGE = {
    "aliases of aliases": BOMB,
    "a list that holds itself": "a: &a [*a]\n",
    "a mapping that holds itself": "a: &a {b: *a}\n",
    "brackets": "a: " + "[" * 5000,
    "brackets that close": '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
    "too many bytes": "a: {_type: choice, _value: [" + "0, " * 100_000 + "1]}\n",
    "a number of 5,000 digits": '{"a": {"_type": "uniform", "_value": [0, ' + "9" * 5000 + "]}}",
    "a number of 400 digits": '{"a": {"_type": "randint", "_value": [0, ' + "9" * 400 + "]}}",
}


@pytest.mark.parametrize("case", HUGE)
def test_a_file_that_would_grow_without_end_is_refused(tmp_path, case):
    file = tmp_path / "space.yaml"
    file.write_text(HUGE[case])
    with pytest.raises(InputError) as caught:
        load(file)
    assert len(str(caught.value)) < 1000


def test_a_device_is_not_read():
    with pytest.raises(InputError, match="a pipe or a device"):
        load(Path("/dev/zero"))


def test_a_large_honest_choice_is_read(tmp_path):
    file = tmp_path / "space.json"
    file.write_text(json.dumps({"a": {"_type": "choice", "_value": list(range(15_000))}}))
    assert load(file).grid_size() == 15_000
