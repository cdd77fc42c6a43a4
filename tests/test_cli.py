"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from litune import checks, cli
from litune.commands import doctor_install
from litune.config.compose import compose
from litune.config.config import snapshot

ROOT = Path(__file__).parents[1]


def command(*words, cwd=ROOT, **environment):
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_help_lists_every_field_with_its_meaning_and_imports_nothing_heavy():
    code, out, err = command("-X", "importtime", "search.py", "--help")
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines() if line.startswith("import time:")}
    assert code == 0
    assert not imported & {"torch", "optuna", "ray", "nni", "hydra", "numpy"}
    for row in ("search.trials=20 ", "objective.metric=(required)", "seed=42 ", "model.KEY ", "trainer.max_epochs=10 "):
        assert row in out
    for choice in ("digits_mlp", "local, nni, optuna, ray", "backend.num_cpus=null"):
        assert choice in out


def test_the_helps_own_example_is_a_search(tmp_path, monkeypatch, capsys):
    assert cli.search_main(["--help"]) == 0
    example = next(line for line in capsys.readouterr().out.splitlines() if "backend=optuna experiment=" in line)
    words = example.split()[-4:]
    assert words[0] == "backend=optuna"
    monkeypatch.chdir(tmp_path)
    assert cli.search_main(["backend=local", words[1], "search.trials=1", *words[3:]]) == 0


def test_a_config_is_shown_and_nothing_is_written(tmp_path):
    code, out, _ = command(
        str(ROOT / "search.py"), "--cfg", "job", "search.trials=7", "model.brand_new=3", cwd=tmp_path
    )
    shown = OmegaConf.create(out)
    assert code == 0
    assert shown.search.trials == 7
    assert shown.model.brand_new == 3
    assert shown.experiment == "digits_mlp"
    assert shown.backend.name == "optuna"
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_the_config_is_shown(capsys):
    assert cli.search_main(["--cfg", "job", "-p", "search", "search.trials=7"]) == 0
    assert OmegaConf.create(capsys.readouterr().out).trials == 7
    assert cli.search_main(["--cfg", "job", "-p", "search.storage"]) == 0
    assert OmegaConf.create(capsys.readouterr().out) == {"search.storage": None}


def test_hydras_own_config_is_shown(capsys):
    assert cli.search_main(["--cfg", "hydra"]) == 0
    assert "hydra" in OmegaConf.create(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python search.py search.tr", {"search.trials=", "search.trial_timeout="}),
        ("python search.py backend=r", {"backend=ray"}),
        ("python search.py experiment=digits_m", {"experiment=digits_mlp"}),
        ("python search.py model.hidden=3 trainer.max_ep", {"trainer.max_epochs="}),
    ],
)
def test_the_shell_completes_keys_and_choices(line, expected, monkeypatch, capsys):
    monkeypatch.setenv("COMP_LINE", line)
    assert cli.search_main(["-sc", "query=bash"]) == 0
    assert expected <= set(capsys.readouterr().out.split())


def test_the_shell_completes_the_litune_command_too(monkeypatch, capsys):
    monkeypatch.setenv("COMP_LINE", "litune search backend=op")
    assert cli.main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == ["backend=optuna"]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


MINE = "model: {_target_: my.Net, hidden: 1}\nobjective: {metric: m}\n"


def test_without_a_name_the_only_experiment_of_a_config_directory_is_meant_and_of_two_neither(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    text = Path("experiments/digits_mlp.yaml").read_text()
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    words = ["--config-dir", str(tmp_path), "--cfg", "job"]
    assert cli.train_main(words) == 0
    assert "experiment: mine" in capsys.readouterr().out
    (tmp_path / "experiment" / "other.yaml").write_text(text)
    assert cli.train_main(words) == 2
    assert "experiment: got nothing; expected one of " in capsys.readouterr().err


def test_an_experiment_lies_in_the_config_directory_here_or_in_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "experiments/here.yaml", MINE)
    write(tmp_path / "conf/experiment/mine.yaml", MINE.replace("1", "2"))
    write(tmp_path / "conf/search_spaces/mine.json", "{}")
    write(tmp_path / "conf/experiment/here.yaml", "# @package _global_\n" + MINE.replace("1", "3"))
    conf = Path("conf")
    assert compose(["experiment=here"]).config.model.hidden == 1
    assert compose(["experiment=here"], config_dir=conf).config.model.hidden == 3
    mine = compose(["experiment=mine"], config_dir=conf).config
    assert (mine.model.hidden, mine.experiment, mine.search.space) == (2, "mine", "conf/search_spaces/mine.json")
    assert compose(["experiment=conf/experiment/mine.yaml"]).config.model.hidden == 2
    assert compose(["experiment=digits_mlp"]).config.experiment == "digits_mlp"


def test_a_group_of_the_users_own_may_build_on_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "conf/experiment/mine.yaml", MINE)
    write(tmp_path / "conf/backend/cluster.yaml", "defaults: [ray, _self_]\nnum_cpus: 7\n")
    backend = compose(["experiment=mine", "backend=cluster"], config_dir=Path("conf")).config.backend
    assert (backend.name, backend.num_cpus) == ("ray", 7)


def test_an_experiment_may_choose_its_backend_and_the_command_line_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "experiments/mine.yaml", MINE + "backend: {name: ray, num_cpus: 3}\n")
    assert compose(["experiment=mine"]).config.backend.num_cpus == 3
    write(tmp_path / "experiments/mine.yaml", MINE + "backend: local\n")
    assert compose(["experiment=mine"]).config.backend.name == "local"
    assert compose(["experiment=mine", "backend=optuna"]).config.backend.name == "optuna"
    write(tmp_path / "experiments/mine.yaml", MINE + "backend: {name: ray, num_cpus: 3}\n")
    assert compose(["experiment=mine", "backend=ray", "backend.num_gpus=1"]).config.backend.num_cpus == 3
    for other in (compose(["experiment=mine", "backend=nni"]), compose(["experiment=mine", "backend=local"])):
        assert not checks.check(other.config, None)
        assert "num_cpus" not in other.config.backend


@pytest.mark.parametrize(
    ("backend", "field", "value"),
    [
        ("ray", "scheduler", {"name": "asha", "grace_period": 1}),
        ("ray", "resources_per_trial", {"cpu": 1, "gpu": 0.5}),
        ("nni", "tuner", {"name": "TPE", "classArgs": {"optimize_mode": "maximize"}}),
    ],
)
def test_an_experiment_may_give_a_part_of_a_backend_its_arguments(tmp_path, monkeypatch, backend, field, value):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "experiments/mine.yaml", f"{MINE}backend: {{name: {backend}, {field}: {json.dumps(value)}}}\n")
    composed = compose(["experiment=mine"])
    assert not composed.problems
    assert composed.config.backend[field] == value
    write(tmp_path / "config.yaml", snapshot(composed.config))
    assert compose([], config_file=Path("config.yaml")).config == composed.config
    changed = compose(["experiment=mine", f"+backend.{field}.x=2"])
    assert not changed.problems
    assert changed.config.backend[field] == {**value, "x": 2}


def test_overrides_add_replace_and_delete(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "experiments/mine.yaml", MINE + "optimizer: {_target_: torch.optim.Adam, lr: 1}\n")
    words = ["experiment=mine", "model.a.b=[1,2]", "+model.c=x", "++model.hidden=9", "~optimizer.lr", "logger.csv=null"]
    config = compose(words).config
    assert config.model == {"_target_": "my.Net", "hidden": 9, "a": {"b": [1, 2]}, "c": "x"}
    assert config.optimizer == {"_target_": "torch.optim.Adam"}
    assert config.logger.csv is None


ONE_BATCH = ("trainer.max_epochs=1", "model.hidden=8", "trainer.limit_train_batches=1")


def test_a_section_is_left_out_by_null_or_by_deleting_it():
    for words in (["optimizer=null", "callbacks=null"], ["~optimizer", "~callbacks"]):
        composed = compose(words)
        assert not composed.problems
        assert (composed.config.optimizer, composed.config.callbacks) == ({}, {})


@pytest.mark.parametrize(
    ("words", "section", "expected"),
    [
        (["~optimizer", "optimizer._target_=a.B"], "optimizer", {"_target_": "a.B"}),
        (["optimizer.lr=1", "~optimizer", "+optimizer._target_=a.B"], "optimizer", {"_target_": "a.B"}),
        (["optimizer=null", "optimizer={_target_: a.B, x: 1}", "~optimizer.x"], "optimizer", {"_target_": "a.B"}),
        (["~logger", "logger.mine._target_=a.B"], "logger", {"mine": {"_target_": "a.B"}}),
        (["~optimizer", "optimizer.lr=1", "~optimizer"], "optimizer", {}),
    ],
)
def test_what_follows_the_deletion_of_a_section_is_all_that_it_has(words, section, expected):
    composed = compose(words)
    assert not composed.problems
    assert composed.config[section] == expected


def test_a_multirun_trains_each_combination_in_a_directory_of_its_own(tmp_path):
    code, out, err = command(str(ROOT / "train.py"), "-m", "seed=1,2", *ONE_BATCH, cwd=tmp_path)
    assert code == 0, err
    assert "# seed=1 trainer.max_epochs=1" in out
    assert "# seed=2 trainer.max_epochs=1" in out
    assert sum(path.is_dir() for path in (tmp_path / "runs").iterdir()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_key_that_is_a_number_reaches_the_class_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    batches = (
        "callbacks.batches={_target_: pytorch_lightning.callbacks.GradientAccumulationScheduler, scheduling: {0: 2}}"
    )
    assert cli.train_main(["name=a", batches, *ONE_BATCH, "trainer.log_every_n_steps=1"]) == 0
    assert cli.train_main(["--config-file", "runs/a/config.yaml", "name=b"]) == 0
    assert "'0': 2" in Path("runs/b/config.yaml").read_text()


def test_the_config_of_a_run_is_an_experiment_like_any_other(tmp_path, monkeypatch):
    code, _, err = command(str(ROOT / "train.py"), "name=a", *ONE_BATCH, cwd=tmp_path)
    assert code == 0, err
    monkeypatch.chdir(tmp_path)
    again = compose(["seed=3"], config_file=Path("runs/a/config.yaml"))
    assert (again.config.model.hidden, again.config.seed, again.config.experiment) == (8, 3, "digits_mlp")
    assert not again.problems


def test_the_doctor_finds_this_installation_well(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("torch", "cores", "GPUs", "extra ray", "all is well"):
        assert word in out


@pytest.mark.parametrize(
    ("found", "needed", "cure"),
    [
        ({"torch": "2.13.0", "torchvision": "0.29.2"}, "torch>=2.14.0", "torch==2.15.0 torchvision==0.29.2"),
        ({"torch": "2.14.0+cpu", "torchvision": "0.28.0"}, "torch==2.13.0", "torch==2.15.0 torchvision==0.29.2"),
        ({"torch": None}, "", "pip install torch"),
        ({"pytorch-lightning": "2.6.2"}, "", "pytorch-lightning!=2.6.2,!=2.6.3"),
        ({"lightning": "2.6.3"}, "", "lightning!=2.6.2,!=2.6.3"),
        ({"nni": "3.0", "setuptools": "81.0.0"}, "", "setuptools<81"),
    ],
)
def test_the_doctor_knows_bad_pairs_and_their_cure(found, needed, cure):
    [ailment] = doctor_install.diagnose(found, needed)
    assert cure in ailment.cure


def test_the_doctor_leaves_good_pairs_alone():
    found = {"torch": "2.13.0+cu130", "torchvision": "0.28.0", "setuptools": "82.0", "nni": None}
    assert list(doctor_install.diagnose(found, "torch==2.13.0")) == []


def test_a_lag_that_comes_from_the_number_of_workers_is_told_where_the_run_is_made(tmp_path, capsys):
    words = ["search.trials=1", "trainer.max_epochs=1", f"search.runs={tmp_path}", "backend=local"]
    assert cli.search_main([*words, "search.parallel=6", "name=it"]) == 0
    assert "search.lag is 6, as search.parallel is 6: " in capsys.readouterr().out
    assert cli.search_main([*words, "search.parallel=36", "search.algorithm=asha", "name=legs"]) == 0
    said = capsys.readouterr().out
    assert "search.lag is 144 (216 for a trial's first leg), as search.parallel is 36: " in said
    for parallel in (2, 6):
        assert cli.search_main([*words, f"search.parallel={parallel}", "name=other"]) == 0
        assert "search.lag" not in "".join(capsys.readouterr())


def test_that_the_lag_of_thaw_comes_from_search_parallel_is_told_and_that_more_trials_later_wait(tmp_path, capsys):
    words = ["search.algorithm=thaw", "trainer.max_epochs=4", f"search.runs={tmp_path}", "backend=local"]
    assert cli.search_main([*words, "search.trials=1", "search.parallel=4", "name=four"]) == 0
    assert "search.lag is 4, as search.parallel is 4: a search that is begun with another" in capsys.readouterr().out
    assert cli.search_main([*words, "search.trials=1", "search.parallel=2", "search.lag=4", "name=given"]) == 0
    assert "search.lag" not in capsys.readouterr().out
    assert cli.search_main([*words, "search.trials=1", "search.parallel=1", "name=it"]) == 0
    assert "search.lag is 1, as search.parallel is 1: " in capsys.readouterr().out
    assert cli.search_main([*words, "search.trials=1", "search.parallel=3", "name=it"]) == 0
    assert "search.lag" not in capsys.readouterr().out  # nothing is left to do
    assert cli.search_main([*words, "search.trials=2", "search.parallel=3", "name=it"]) == 0
    assert "search.lag is 1, as this run was begun with: of 3 trials at once some may wait" in capsys.readouterr().out
    assert cli.search_main([*words, "search.trials=3", "search.parallel=1", "name=it"]) == 0
    assert "search.lag" not in capsys.readouterr().out


def test_an_option_of_a_search_is_not_offered_to_a_training(capsys):
    assert cli.train_main(["--detach"]) == 2
    said = capsys.readouterr().err
    assert "got --detach" in said
    assert "did you mean --detach?" not in said
