from __future__ import annotations

import numpy as np
import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from litune.config import config as configs
from litune.config import schema
from litune.errors import InputError


def make(**sections):
    base = {
        "model": {"_target_": "my.Net", "hidden": 64, "lr": 1e-3, "deep": {"wide": 1}},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1, "betas": [0.9, 0.99]},
        "objective": {"metric": "val_acc"},
        "backend": {"name": "local"},
    }
    return configs.from_plain({**base, **sections})


def test_dotted_keys_nest():
    merged = configs.merge(make(), {"model.deep.wide": 3, "model.new.a.b": 4, "trainer.max_epochs": 5})
    assert merged.model.deep.wide == 3
    assert merged.model.new.a.b == 4
    assert merged.trainer.max_epochs == 5


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("trainer.max_epochs", 64.0, 64),
        ("trainer.max_epochs", np.int64(7), 7),
        ("trainer.max_epochs", np.float64(7.0), 7),
        ("trainer.max_epochs", "7", 7),
        ("trainer.inference_mode", np.bool_(False), False),
        ("trainer.gradient_clip_val", 1, 1.0),
        ("trainer.gradient_clip_val", np.float32(0.5), 0.5),
        ("trainer.limit_val_batches", 1.0, 1.0),
        ("trainer.limit_val_batches", 1, 1),
        ("trainer.precision", 32, "32"),
        ("search.timeout", "1e-3", 0.001),
        ("model.hidden", 32.0, 32),
        ("model.hidden", np.float64(32), 32),
        ("model.hidden", 0.5, 0.5),
        ("model.lr", 1, 1.0),
        ("model.unheard_of", np.float64(0.25), 0.25),
        ("optimizer.betas", [0.5, 0.6], [0.5, 0.6]),
    ],
)
def test_a_value_is_cast_to_the_type_of_its_field(key, value, expected):
    found = OmegaConf.select(configs.merge(make(), {key: value}), key)
    assert found == expected
    assert type(found) is type(expected) or OmegaConf.is_list(found)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.max_epochs", 0.5),
        ("trainer.max_epochs", float("nan")),
        ("trainer.max_epochs", True),
        ("trainer.max_epochs", "many"),
        ("trainer.max_steps", None),
        ("trainer.gradient_clip_val", "high"),
        ("trainer.limit_val_batches", "all"),
        ("trainer", 3),
        ("objective.metrics", "x"),
        ("nope", 1),
        ("seed.x", 1),
    ],
)
def test_a_value_that_its_field_rejects_is_an_error(key, value):
    with pytest.raises(InputError) as error:
        configs.merge(make(), {key: value})
    assert [problem.key for problem in error.value.problems] == [key]


def test_all_misfits_are_told_at_once():
    with pytest.raises(InputError) as error:
        configs.merge(make(), {"seed": 0.5, "trainer.max_epoch": 1, "model.hidden": 3, "search.trials": "x"})
    assert [problem.key for problem in error.value.problems] == ["seed", "trainer.max_epoch", "search.trials"]


def test_merging_leaves_its_input_alone_and_gives_a_read_only_config():
    config = make()
    before = configs.plain(config)
    merged = configs.merge(config, {"model.deep.wide": 3, "optimizer._name": "torch.optim.SGD"})
    assert configs.plain(config) == before
    for section in (merged.model, merged.model.deep, merged.optimizer, merged.callbacks):
        with pytest.raises(ReadonlyConfigError):
            section.added = 4
    with pytest.raises(ReadonlyConfigError):
        merged.trainer.max_epochs = 4


def test_a_nested_choice_of_a_class_replaces_the_section():
    params = {"optimizer.momentum": 0.9, "optimizer._name": "torch.optim.SGD"}
    assert configs.merge(make(), params).optimizer == {"_target_": "torch.optim.SGD", "momentum": 0.9}


def test_a_nested_choice_of_the_class_that_the_config_names_keeps_its_other_arguments():
    own = make(optimizer={"_target_": "torch.optim.SGD", "lr": 0.1, "weight_decay": 0.5})
    merged = configs.merge(own, {"optimizer.lr": 0.2, "optimizer._name": "torch.optim.SGD"})
    assert merged.optimizer == {"_target_": "torch.optim.SGD", "lr": 0.2, "weight_decay": 0.5}
    merged = configs.merge(own, {"optimizer.lr": 0.2, "optimizer._name": "torch.optim.Adam"})
    assert merged.optimizer == {"_target_": "torch.optim.Adam", "lr": 0.2}


def test_a_nested_choice_of_a_word_is_handed_over_as_nni_does():
    params = {"model.act._name": "leaky", "model.act.slope": 0.1}
    assert configs.merge(make(), params).model.act == {"_name": "leaky", "slope": 0.1}


def test_choices_within_choices_are_made_from_the_outside_in():
    params = {"model.deep.block._name": "my.Conv", "model.deep._name": "my.Deep", "model.deep.block.size": 3}
    block = {"_target_": "my.Conv", "size": 3}
    assert configs.merge(make(), params).model.deep == {"_target_": "my.Deep", "block": block}


def test_plain_values_and_back_give_the_same_config():
    config = make(backend={"name": "ray", "num_cpus": 3}, trainer={"max_epochs": 3})
    assert configs.from_plain(configs.plain(config)) == config


def test_a_snapshot_is_what_omegaconf_writes_and_reads():
    odd = ["1e5", "yes", "012", "", "~", "null", "1_000", "no: x\n y", "\u00fc" * 90, "a b " * 60, "${oc.env:X}"]
    config = OmegaConf.create(
        {"texts": odd, "low": 1e-5, "none": None, "endless": float("inf"), "many": {"a": [1, True]}}
    )
    assert configs.snapshot(config) == OmegaConf.to_yaml(config)
    assert OmegaConf.create(configs.snapshot(config)) == config


def test_a_snapshot_keeps_the_environment_out_and_can_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    config = make(data={"_target_": "my.Data", "token": "${oc.env:MY_TOKEN}"})
    text = configs.snapshot(config)
    assert "s3cret" not in text
    assert configs.plain(config)["data"]["token"] == "s3cret"  # noqa: S105
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert configs.load(file) == config


def test_yaml_reads_numbers_as_numbers(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("model: {_target_: my.Net, lr: 1e-3}\nsearch: {timeout: 1e3}\nbackend: {name: local}\n")
    config = configs.load(file)
    assert config.model.lr == 0.001
    assert config.search.timeout == 1000.0


def test_the_trainer_section_has_only_options_of_lightnings_trainer():
    import inspect

    from pytorch_lightning import Trainer

    ours = {"compile"}  # torch.compile of the module
    assert set(schema.TrainerConfig.__dataclass_fields__) - ours <= set(inspect.signature(Trainer).parameters)
