from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from litune import checks
from litune.config import compose
from litune.config import config as configs
from litune.errors import InputError
from litune.space.distributions import completed
from litune.space.space import Space, choice, loguniform, normal, qlognormal, quniform, randint, uniform
from litune.space.space_file import dump, parse

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "digits_mlp.yaml"

spaces = st.fixed_dictionaries(
    {},
    optional={
        "model.hidden": st.sampled_from([randint(8, 512), choice(32, 64), quniform(8, 512, 8)]),
        "model.dropout": st.sampled_from([uniform(0, 0.5), quniform(0, 0.5, 0.1), choice(0, 0.5)]),
        "model.new": st.sampled_from([choice(None, True, "x", [1, 2], 1.5), normal(0, 1)]),
        "optimizer.lr": st.sampled_from([loguniform(1e-5, 1), qlognormal(0, 1, 0.25)]),
        "trainer.max_epochs": st.sampled_from([randint(1, 50), quniform(1, 9, 1), choice(3)]),
        "trainer.gradient_clip_val": st.sampled_from([uniform(0, 1), choice(None, 0.5, 1)]),
        "trainer.precision": st.just(choice("32-true", "16-mixed")),
    },
)
NESTED = {
    "criterion": {
        "_type": "choice",
        "_value": [
            {"_name": "torch.nn.HuberLoss", "delta": {"_type": "loguniform", "_value": [0.1, 10]}},
            {
                "_name": "flat",
                "inner": {
                    "_type": "choice",
                    "_value": [{"_name": "a/b", "k": {"_type": "randint", "_value": [1, 5]}}, {"_name": "none"}],
                },
            },
        ],
    }
}


@given(spaces, st.booleans(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_a_space_samples_the_config_accepts_and_holds(parameters, nested, seed):
    config = configs.from_plain({"model": {"hidden": 16, "dropout": 0.0}, "optimizer": {"lr": 0.1}})
    space = parse(dump(Space.of(parameters)) | (NESTED if nested else {})) if parameters or nested else Space.of({})
    params = completed(space, {}, 0, seed)
    merged = configs.merge(config, params)
    for key, value in params.items():
        section, _, last = key.rpartition(".")
        if last == "_name" and "." in value:
            key = f"{section}._target_"
        assert OmegaConf.select(merged, key) == value
    assert configs.from_plain(configs.stored(merged)) == merged


pieces = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b": ", b",", b"\t", b"\n", b"\n  ", b"&a ", b"*a ", b"? ", b"- ", b'"', b"#", b"|"),
        *(b"${", b"${oc.env:NO_SUCH}", b"${model}", b"???", b"!!python/object:os.system ", b"<<: *a", b"_target_: "),
        *(
            b"\xff",
            b"\x00",
            b"null",
            b".nan",
            b"1e999",
            b"true",
            b"-1",
            b"os.system",
            b"defaults: [x]",
            b"backend: ray",
        ),
    ]
)


@st.composite
def mutated(draw):
    content = EXPERIMENT.read_bytes()
    for _ in range(draw(st.integers(1, 5))):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 8))
        content = content[:at] + draw(pieces) + content[at + length :]
    return content


contents = mutated() | st.binary(max_size=60) | st.lists(pieces, max_size=12).map(b"".join)


@given(contents)
@settings(max_examples=30, deadline=None)  # Hydra takes a quarter of a second to compose
def test_any_bytes_are_an_experiment_or_an_input_error(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(content)
    try:
        composed = compose.compose([], config_file=file)
        if composed.resolvable:
            checks.check(composed.config, None)
    except InputError as error:
        str(error).encode()


@given(contents)
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_the_config_of_a_run_or_an_input_error(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "config.yaml"
    file.write_bytes(content)
    try:
        configs.snapshot(configs.load(file))
    except InputError as error:
        str(error).encode()
