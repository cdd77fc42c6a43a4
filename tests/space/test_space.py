from __future__ import annotations

import json
import math
from collections import Counter

import pytest

from litune.config.documents import leaves
from litune.errors import InputError
from litune.space.distributions import completed
from litune.space.parameters import Normal, multiple
from litune.space.space import (
    Space,
    choice,
    lognormal,
    loguniform,
    normal,
    qlognormal,
    qloguniform,
    qnormal,
    quniform,
    randint,
    uniform,
)
from litune.space.space_file import parse

ENDS = {  # NNI's JSON, then the values at both ends of the latent
    "choice": ([3, "x", None], 3, None),
    "randint": ([2, 7], 2, 6),
    "uniform": ([-0.5, 0.5], -0.5, 0.5),
    "quniform": ([0, 1, 0.1], 0.0, 1.0),
    "loguniform": ([1e-4, 0.1], 1e-4, 0.1),
    "qloguniform": ([8, 512, 8], 8.0, 512.0),
}


def made(kind, values):
    return parse({"a": {"_type": kind, "_value": values}}).parameters["a"]


@pytest.mark.parametrize("kind", ENDS)
def test_both_ends_of_a_type_are_what_nni_says(kind):
    values, low, high = ENDS[kind]
    parameter = made(kind, values)
    assert parameter.decode(parameter.latent.low) == low
    assert parameter.decode(parameter.latent.high) == high
    assert parameter.contains(low)
    assert parameter.contains(high)
    assert parameter.encode(high) == parameter.latent.high


@pytest.mark.parametrize(
    ("constructor", "values"),
    [
        (randint, [1, 9]), (uniform, [0, 1]), (quniform, [0, 1, 0.1]), (loguniform, [1, 9]), (qloguniform, [1, 9, 2]),
        (normal, [1, 2]), (qnormal, [1, 2, 0.5]), (lognormal, [1, 2]), (qlognormal, [1, 2, 0.5]),
    ],
)  # fmt: skip
def test_the_constructors_mean_what_the_file_means(constructor, values):
    assert constructor(*values) == made(constructor.__name__, values)


@pytest.mark.parametrize(
    ("constructor", "values"),
    [
        (uniform, [1, 0]), (uniform, [1, 1]), (uniform, [0, math.nan]), (loguniform, [0, 1]), (quniform, [0, 1, 0]),
        (normal, [0, 0]), (qlognormal, [0, 1, -1]), (lognormal, [0, 1e9]), (randint, [3, 3]), (randint, [0, 2.5]),
        (uniform, [None, 1]), (choice, []), (choice, [1, 1]), (choice, [math.inf]),
    ],
)  # fmt: skip
def test_a_constructor_refuses_what_the_file_refuses(constructor, values):
    with pytest.raises(InputError, match=f"{constructor.__name__}: got .*; expected "):
        constructor(*values)


def test_randint_excludes_its_upper_bound():
    assert not made("randint", [2, 7]).contains(7)
    assert made("randint", [2, 7]).grid() == (2, 3, 4, 5, 6)
    assert {params["a"] for params in sampled(Space.of({"a": randint(2, 7)}), 200)} == {2, 3, 4, 5, 6}


def sampled(space, count):
    return [completed(space, {}, number, 0) for number in range(count)]


def test_normals_have_their_mean_and_deviation():
    values = [params["a"] for params in sampled(Space.of({"a": Normal(mu=3, sigma=2)}), 4000)]
    mean = sum(values) / len(values)
    assert mean == pytest.approx(3, abs=0.15)
    assert math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)) == pytest.approx(2, abs=0.1)
    normal = Normal(mu=3, sigma=2)
    assert normal.decode(0.5) == 3
    assert normal.decode(0.8413447460685429) == pytest.approx(5)
    low, high = normal.examples()
    assert (low, high) == (pytest.approx(3 - 2 * 4.763, abs=0.01), pytest.approx(3 + 2 * 4.763, abs=0.01))


def test_lognormal_is_e_to_the_power_of_a_normal():
    assert made("lognormal", [1, 2]).decode(0.5) == pytest.approx(math.e)
    assert made("lognormal", [1, 2]).decode(0.8413447460685429) == pytest.approx(math.e**3)
    assert made("lognormal", [1, 2]).encode(math.e**3) == pytest.approx(0.8413447460685429)
    assert not made("lognormal", [1, 2]).contains(0)
    assert not made("lognormal", [1, 2]).contains(-1.0)


def test_loguniform_gives_each_decade_its_share():
    decades = Counter(math.floor(math.log10(p["a"])) for p in sampled(Space.of({"a": loguniform(1e-3, 1)}), 3000))
    assert set(decades) == {-3, -2, -1}
    assert all(800 < count < 1200 for count in decades.values())


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("quniform", [0, 1, 0.1]),
        ("quniform", [0.05, 0.95, 0.3]),
        ("quniform", [-1, 1, 0.07]),
        ("quniform", [0, 1e-3, 1e-4]),
        ("quniform", [0, 10, 2.5]),
        ("quniform", [0, 1, 5]),
        ("quniform", [2.5, 3.5, 1]),
        ("qloguniform", [1, 100, 1]),
        ("qloguniform", [1e-5, 1e-3, 2e-5]),
        ("qnormal", [0, 1, 0.2]),
        ("qlognormal", [0, 1, 0.25]),
    ],
)  # fmt: skip
def test_steps_are_kept_without_binary_dust(kind, values):
    parameter = made(kind, values)
    low, high, q = (*parameter.examples(), values[2])
    for params in sampled(Space.of({"a": parameter}), 300):
        value = params["a"]
        assert parameter.contains(value)
        assert parameter.decode(parameter.encode(value)) == value
        assert value in (low, high) or len(repr(value)) <= len(repr(q)) + 5
    if parameter.grid():
        assert list(parameter.grid()) == sorted(set(parameter.grid()))
        assert len(parameter.grid()) == parameter.grid_size()
        assert all(parameter.contains(value) for value in parameter.grid())
        assert {params["a"] for params in sampled(Space.of({"a": parameter}), 300)} <= set(parameter.grid())


def test_multiples_print_as_a_person_writes_them():
    assert [multiple(index * 0.1, 0.1) for index in range(4)] == [0.0, 0.1, 0.2, 0.3]
    assert repr(multiple(0.30000000000000004, 0.1)) == "0.3"
    assert multiple(7e-5, 1e-5) == 7e-5
    assert multiple(130.0, 64.0) == 128.0


def test_a_multiple_with_the_dust_of_another_tuner_is_contained():
    assert quniform(0, 1, 0.1).contains(3 * 0.1)
    assert quniform(-1, 1, 0.1).contains(0.7 - 0.4 - 0.3)
    dusty = math.exp(math.log(0.1))
    assert loguniform(1e-4, 0.1).contains(dusty)
    assert loguniform(1e-4, 0.1).encode(dusty) == 0.1 < dusty
    assert not quniform(0, 1, 0.1).contains(0.31)
    assert not uniform(0, 1).contains(1.0001)


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, -math.inf, 10**400, [1], {"a": 1}])
def test_what_is_no_number_is_in_no_range(value):
    ranges = (uniform(0, 2), quniform(0, 2, 1), randint(0, 2), loguniform(0.1, 2), Normal(mu=0, sigma=1))
    assert not any(parameter.contains(value) for parameter in ranges)
    assert not choice(0, 1, "x").contains(value)


def test_json_may_turn_a_float_into_a_whole_number():
    assert choice(64.0, 128.0).contains(64)
    assert choice(64.0, 128.0).encode(128) == 1
    assert qloguniform(8, 512, 8).contains(64)
    assert randint(0, 9).contains(8.0)
    assert not randint(0, 9).contains(7.5)
    assert not choice(1, 2).contains(True)
    assert not choice([1, 2], "x").contains([True, 2])
    assert choice([1, 2], "x").contains([1.0, 2])


OPTIMIZERS = parse(
    {
        "model.hidden": {"_type": "choice", "_value": [32, 64]},
        "optimizer": {
            "_type": "choice",
            "_value": [
                {"_name": "Adam", "lr": {"_type": "choice", "_value": [0.1, 0.2]}},
                {
                    "_name": "SGD",
                    "nesterov": {
                        "_type": "choice",
                        "_value": [
                            {"_name": "no"},
                            {"_name": "yes", "momentum": {"_type": "randint", "_value": [1, 4]}},
                        ],
                    },
                    "lr": {"_type": "quniform", "_value": [0.1, 0.3, 0.1]},
                },
            ],
        },
    }
)  # fmt: skip


def test_a_grid_holds_every_point_once_and_nested_choices_add_up():
    assert OPTIMIZERS.grid_size() == 2 * (2 + (1 + 3) * 3)
    points = [OPTIMIZERS.grid(number) for number in range(28)]
    assert len({json.dumps(point, sort_keys=True) for point in points}) == 28
    assert all(OPTIMIZERS.misfits(point) == [] for point in points)
    assert points[:3] == [
        {"model.hidden": 32, "optimizer._name": "Adam", "optimizer.lr": 0.1},
        {"model.hidden": 32, "optimizer._name": "Adam", "optimizer.lr": 0.2},
        {"model.hidden": 32, "optimizer._name": "SGD", "optimizer.nesterov._name": "no", "optimizer.lr": 0.1},
    ]
    assert points[27] == {
        "model.hidden": 64, "optimizer._name": "SGD", "optimizer.nesterov._name": "yes",
        "optimizer.nesterov.momentum": 3, "optimizer.lr": 0.3,
    }  # fmt: skip


def test_the_last_parameter_of_a_grid_changes_fastest():
    space = Space.of({"a": choice("x", "y"), "b": randint(0, 2), "c": quniform(0, 0.2, 0.1)})
    points = [tuple(space.grid(number).values()) for number in range(space.grid_size())]
    assert points == [(a, b, c) for a in "xy" for b in (0, 1) for c in (0.0, 0.1, 0.2)]


def test_a_grid_too_large_to_make_is_counted():
    space = Space.of({"a": randint(0, 10**9), "b": quniform(0, 1, 1e-9)})
    assert space.grid_size() == 10**9 * (10**9 + 1)


def test_a_grid_of_thousands_of_options_is_counted():
    options = [{"_name": f"x{n}", "a": {"_type": "randint", "_value": [0, 3]}} for n in range(4000)]
    space = parse({"o": {"_type": "choice", "_value": options}})
    assert space.grid_size() == 12_000
    assert space.grid(11_999) == {"o._name": "x3999", "o.a": 2}


def test_a_continuous_parameter_has_no_grid():
    space = Space.of({"a": uniform(0, 1), "b": Normal(mu=0, sigma=1, q=1.0), "c": choice(1)})
    assert space.continuous() == ["a", "b"]
    assert space.grid_size() is None


def test_misfits_name_what_is_absent_superfluous_or_outside():
    good = {"model.hidden": 32, "optimizer._name": "Adam", "optimizer.lr": 0.1}
    assert OPTIMIZERS.misfits(good) == []
    assert OPTIMIZERS.misfits({**good, "model.hidden": 48}) == ["model.hidden"]
    assert OPTIMIZERS.misfits({"optimizer._name": "Adam", "optimizer.lr": 0.1}) == ["model.hidden"]
    assert OPTIMIZERS.misfits({**good, "optimizer.nesterov._name": "no"}) == ["optimizer.nesterov._name"]
    assert OPTIMIZERS.misfits({**good, "optimizer._name": "RMSprop"}) == ["optimizer._name", "optimizer.lr"]
    assert Space.of({"a": choice(None, 1)}).misfits({}) == ["a"]


def test_only_the_parameters_of_the_chosen_option_are_drawn():
    for params in sampled(OPTIMIZERS, 100):
        assert ("optimizer.nesterov._name" in params) == (params["optimizer._name"] == "SGD")
        assert ("optimizer.nesterov.momentum" in params) == (params.get("optimizer.nesterov._name") == "yes")


def test_params_as_nni_nests_them_are_flattened():
    nested = {"model.hidden": 32, "optimizer": {"_name": "SGD", "lr": 0.3, "nesterov": {"_name": "no"}}}
    assert OPTIMIZERS.misfits(dict(leaves(nested))) == []
