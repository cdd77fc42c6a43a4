"""Command lines with mistakes in them."""

from __future__ import annotations

import pytest

SEARCH = {
    "misspelt key": (["search.trails=3"], ["command line: search.trails: ", "did you mean search.trials?"]),
    "misspelt section": (["serach.trials=3"], ["command line: serach.trials: ", "did you mean search.trials?"]),
    "key of another section": (["search.seed=3"], ["command line: search.seed: ", "did you mean seed?"]),
    "time with a unit": (["search.timeout=1h"], ["search.timeout: got '1h'; expected float or null (seconds the"]),
    "value of what is searched": (["model.lr=1"], ["model.lr: got a value; expected no value: ", "mine.json has"]),
    "key that is like no other of its section": (["search.direction=max"], ["memory_gb, runs of search\n"]),
    "an argument without its section": (
        ["batch_size=3"], ["; for an argument of a class: model.batch_size or optimizer.batch_size"]),
    "key at the wrong level": (["trials=3"], ["command line: trials: ", "did you mean search.trials?"]),
    "added key": (["++search.foo=1"], ["command line: search.foo: got an unknown key"]),
    "deleted key that is not there": (["~model.nope"], ["command line: model.nope: got an unknown key"]),
    "wrong type": (["seed=x"], ["command line: seed: got 'x'; expected int"]),
    "no trials": (["search.trials=0"], ["command line: search.trials: got 0; expected at least 1"]),
    "no workers": (["search.parallel=0"], ["command line: search.parallel: got 0; expected at least 1"]),
    "no time": (["search.timeout=0"], ["command line: search.timeout: got 0.0; expected more than 0"]),
    "direction": (["objective.mode=maximum"], ["command line: objective.mode: ", "did you mean max?"]),
    "other word": (["objective.mode=minimize"], ["objective.mode: got 'minimize'", "did you mean min?"]),
    "algorithm": (["search.algorithm=tpee"], ["command line: search.algorithm: ", "did you mean tpe?"]),
    "precision": (["trainer.precision=bf16-mixd"], ["command line: trainer.precision: ", "did you mean bf16-mixed?"]),
    "unknown backend": (["backend=opuna"], ["command line: backend: got opuna", "did you mean optuna?"]),
    "backend by its name": (["backend.name=ray"], ["backend.name: got 'ray'", "choose it by backend=ray"]),
    "key of another backend": (["backend.num_cpus=2"], ["command line: backend.num_cpus: got a key of backend=ray"]),
    "a class for a section": (["model=my_net.Net"], ["command line: model: got 'my_net", "{_target_: my_net.Net}"]),
    "argument of a class given here": (
        ["lr_scheduler._target_=torch.optim.lr_scheduler.StepLR"], ["command line: lr_scheduler.step_size: got no"]),
    "unknown experiment": (["experiment=mien"], ["command line: experiment: got mien", "did you mean mine?"]),
    "experiment with its suffix": (["experiment=mine.yml"], ["experiment: got mine.yml; ", "did you mean mine?"]),
    "letters beyond ASCII": (["experiment=übung"], ["quote it for the shell and for Hydra: 'experiment=\"übung\"'"]),
    "two values": (["search.trials=3,4"], ["command line: search.trials: got 3,4; expected one value", "add -m"]),
    "no value": (["hello world"], ["command line: got 'hello world'; expected KEY=VALUE"]),
    "unclosed brace": (["name={a"], ["command line: name: got 'name={a'"]),
    "dashes": (["--trials=3"], ["command line: got --trials=3", "did you mean search.trials=...?"]),
    "misspelt option": (["--multrun"], ["command line: got --multrun", "did you mean --multirun?"]),
    "conflicting options": (["-m", "--cfg", "job"], ["got --cfg and --multirun together"]),
    "two experiments": (["--config-file", "experiments/mine.yaml"], ["got --config-file and experiment= together"]),
    "option without its value": (["--config-dir"], ["command line: got argument --config-dir/-cd: expected one"]),
    "no such directory": (["--config-dir", "nope"], ["--config-dir: got nope; expected a directory"]),
    "one name for two runs": (["-m", "name=a", "seed=1,2"], ["command line: name: got a for 2 runs"]),
    "space that is not there": (["search.space=nope.json"], ["nope.json: search.space: got no such file"]),
    "GPU that is not there": (["trainer.accelerator=gpu"], ["trainer.accelerator: got gpu"]),
    "several machines": (["trainer.num_nodes=2"], ["trainer.num_nodes: got 2; expected 1", "trainer.devices gives it"]),
    "unknown accelerator": (["trainer.accelerator=tpuu"], ["trainer.accelerator: got 'tpuu'", "did you mean tpu?"]),
    "devices": (["trainer.devices=all"], ["trainer.devices: got 'all'; expected a number, a list of indices, or auto"]),
    "storage that is no URL": (["search.storage=foo"], ["search.storage: got something else; expected an SQLAlchemy"]),
    "storage nowhere": (["search.storage=sqlite:////no/x.db"], ["search.storage: got /no/x.db; expected a file in a"]),
    "no epoch": (["trainer.max_epochs=0"], ["command line: trainer.max_epochs: got 0; expected at least 1"]),
    "run as a word": (["runs/a/best.yaml"], ["command line: got 'runs/a/best.yaml'; expected KEY=VALUE"]),
    "unit in a number": (["search.memory_gb=4GB"], ["command line: search.memory_gb: got '4GB'; expected float"]),
    "spaces around =": (["seed = 5"], ["command line: seed : got 'seed = 5'"]),
    "backend in capitals": (["backend=Ray"], ["command line: backend: got Ray", "did you mean ray?"]),
    "seed below 0": (["seed=-1"], ["command line: seed: got -1; expected at least 0"]),
    "null for a metric": (["objective.metric=null"], ["command line: objective.metric: got null; expected str"]),
    "null for a backend": (["backend=null"], ["command line: backend: got null; expected one of"]),
    "package": (["backend@x=ray"], ["command line: backend@x: got a package"]),
    "deleted section": (["~trainer"], ["command line: trainer: got ~trainer; expected a value"]),
    "deleted value": (["~search.trials"], ["command line: search.trials: got ~search.trials; expected a value"]),
    "key in a section that is not": (["optimizer=null", "optimizer.lr=1"], ["command line: optimizer.lr: got 1"]),
    "epochs without end": (
        ["search.budget.epochs=9", "trainer.max_epochs=-1"],
        ["command line: search.budget.epochs: got 9; expected null beside trainer.max_epochs=-1; search.trials or "],
    ),
    "epochs of a function": (
        ["search.budget.epochs=9", "function._target_=my_net.f"],
        ["command line: search.budget.epochs: got 9; expected null beside a function, which has no epochs"],
    ),
    "no runs": (["search.runs="], ["search.runs: got ''; expected a directory"]),
    "runs where none can be": (["search.runs=/proc/x"], ["search.runs: got /proc/x; expected a directory that can"]),
    "runs in a file": (["search.runs=my_net.py"], ["search.runs: got my_net.py; expected a directory"]),
    "a mapping for a section": (["search={trials: 3}"], ["search: got {'trials': 3}; expected its keys one by one"]),
    "a value for a list": (["search.enqueue=3"], ["command line: search.enqueue: got 3; expected a list"]),
    "a word for a list": (["allow=torch"], ["command line: allow: got 'torch'; expected a list"]),
    "a key that is added again": (["+search.trials=3"], ["got +search.trials=3; expected search.trials=3"]),
    "a key of Hydra's": (["hydra.foo=x"], ["command line: hydra.foo: got "]),
    "no backend": (["backend="], ["command line: backend: got nothing; expected one of"]),
    "infinite time": (["search.timeout=inf"], ["command line: search.timeout: got inf; expected a finite number"]),
    "no batches": (["trainer.limit_train_batches=0"], ["trainer.limit_train_batches: got 0; expected more than 0"]),
    "more than all batches": (["trainer.limit_val_batches=2.5"], ["limit_val_batches: got 2.5; expected a whole"]),
    "no device": (["trainer.devices=0"], ["command line: trainer.devices: got 0; expected a number"]),
    "devices of legs": (["search.algorithm=asha", "trainer.devices=two"], ["trainer.devices: got 'two'; expected a "]),
    "null for devices": (["search.algorithm=asha", "trainer.devices=null"], ["trainer.devices: got None; expected"]),
    "a word for compile": (
        ["trainer.compile=max-autotun"],
        ["trainer.compile: got 'max-autotun'; expected one of false, true, default, ", "did you mean max-autotune?"],
    ),
    "a word for deterministic": (
        ["trainer.deterministic=warm"],
        ["trainer.deterministic: got 'warm'; expected one of false, true, warn; did you mean warn?"],
    ),
    "a training without a validation": (
        ["trainer.max_epochs=1", "trainer.check_val_every_n_epoch=2"],
        ["command line: trainer.check_val_every_n_epoch: got 2; expected at most trainer.max_epochs=1"],
    ),
    "how to compile": (["trainer.compile=[1]"], ["trainer.compile: got [1]; expected compile the model's forward by"]),
    "scheduler": (["backend=ray", "backend.scheduler=true"], ["backend.scheduler: got True; expected a scheduler"]),
    "searcher": (["backend=ray", "backend.searcher=[it]"], ["backend.searcher: got ['it']; expected a searcher of"]),
    "resources": (["backend=ray", "backend.resources_per_trial=2"], ["resources_per_trial: got 2; expected what a"]),
    "tuner": (["backend=nni", "backend.tuner=[TPE]"], ["backend.tuner: got ['TPE']; expected a tuner of NNI's: its"]),
    "assessor": (["backend=nni", "backend.assessor=true"], ["backend.assessor: got True; expected an assessor of N"]),
    "no devices": (["trainer.devices=[]"], ["command line: trainer.devices: got []; expected a number, a list of"]),
    "grid over a range": (["search.algorithm=grid"], ["mine.json:1: model.lr: got a continuous parameter in a grid"]),
}  # fmt: skip


@pytest.mark.parametrize("case", SEARCH)
def test_a_mistake_on_the_command_line_is_refused(project, case, monkeypatch):
    from pathlib import Path

    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: not str(path).startswith("/dev/") and exists(path))
    argv, said = SEARCH[case]
    project.assert_refused(project.search("experiment=mine", *argv), *said)


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("trainer.gpus=1", "trainer.accelerator=gpu with trainer.devices=..."),
        ("gpus=1", "trainer.accelerator=gpu with trainer.devices=..."),
        ("trainer.checkpoint_callback=false", "trainer.enable_checkpointing"),
        ("trainer.progress_bar_refresh_rate=0", "trainer.enable_progress_bar"),
        ("trainer.auto_lr_find=true", "callbacks.NAME._target_=pytorch_lightning.callbacks.LearningRateFinder"),
        ("trainer.epochs=3", "trainer.max_epochs"),
    ],
)
def test_an_option_that_lightning_has_given_up_is_told_with_its_successor(project, former, now):
    project.assert_refused(project.search("experiment=mine", former), f"did you mean {now}?")


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "/etc", "../x", "a b", "a\tb", "é", "a" * 81, "a;rm", "$(id)", "a*", "~", "a:b", "-\n"]
)
def test_a_name_that_could_leave_the_run_directory_is_refused(project, name):
    quoted = "'" + name.replace("\\", "\\\\") + "'"
    project.assert_refused(project.search("experiment=mine", f"name={quoted}"), "command line: name: got ", "letters")


@pytest.mark.parametrize("words", [["search.trials=1e3"], ["trainer.max_epochs=1e3"], ["seed=1000.0"]])
def test_a_whole_number_may_be_written_as_a_float(project, words):
    project.write(
        "experiments/mine.yaml", (project.root / "experiments/mine.yaml").read_text() + "search: {lag: 1e1}\n"
    )
    code, out, err = project.search("experiment=mine", "--cfg", "job", *words)
    assert (code, err) == (0, "")
    assert f"{words[0].partition('=')[0].rpartition('.')[2]}: 1000\n" in out
    assert "lag: 10\n" in out


def test_devices_named_by_a_variable_are_what_it_holds(project, monkeypatch):
    monkeypatch.setenv("HOW_MANY", "1")
    words = ["experiment=mine", "trainer.devices=${oc.env:HOW_MANY}", "search.trials=0"]
    project.assert_refused(result := project.search(*words), "search.trials: ")
    assert "trainer.devices" not in result[2]
    monkeypatch.setenv("HOW_MANY", "two")
    project.assert_refused(project.search(*words), "search.trials: ", "trainer.devices: got 'two'")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("search.trials", "0", "at least 1"),
        ("search.pruner", "medain", "did you mean median?"),
        ("seed", "-5", "at least 0"),
        ("objective.mode", "maximize", "one of max, min"),
        ("trainer.max_epochs", "0", "at least 1"),
        ("name", "a/b", "1 to 80 letters"),
    ],
)
def test_a_value_from_a_variable_is_held_to_the_limits_and_not_shown(project, monkeypatch, key, value, said):
    monkeypatch.setenv("GIVEN", value)
    result = project.search("experiment=mine", f"{key}=${{oc.env:GIVEN}}")
    project.assert_refused(result, f"command line: {key}: got ${{oc.env:GIVEN}}; expected ", said)


def test_a_space_over_a_section_that_is_not_there_is_told_once(project):
    project.write("search_spaces/mine.json", '{"data.batch_size": {"_type": "choice", "_value": [32, 64, 128]}}\n')
    result = project.search("experiment=mine", "data=null")
    project.assert_refused(
        result, "search_spaces/mine.json:1: data.batch_size: got a parameter; expected a section data"
    )
    assert len(result[2].splitlines()) == 1


def test_all_mistakes_of_a_command_line_come_at_once(project):
    result = project.search(
        "experiment=mine", "seed=x", "search.trails=1", "search.parallel=0", "backend=opuna", "foo bar"
    )
    project.assert_refused(result, "seed: ", "search.trails: ", "search.parallel: ", "backend: ", "'foo bar'")
    assert len(result[2].splitlines()) == 5


def test_an_experiment_may_have_a_name_of_any_letters(project):
    project.write("experiments/meine übung.yaml", (project.root / "experiments/mine.yaml").read_text())
    project.write("search_spaces/meine übung.json", (project.root / "search_spaces/mine.json").read_text())
    code, out, err = project.search('experiment="meine übung"', "--cfg", "job")
    assert (code, err) == (0, "")
    assert "search_spaces/meine übung.json" in out


SPACE_KEYS = {
    "an argument without its section": ("lr", "did you mean model.lr or optimizer.lr?"),
    "an argument that the config does not give": ("weight_decay", "did you mean optimizer.weight_decay?"),
    "an argument of a misspelt section": ("modle.act", "did you mean model.act?"),
    "an argument that no class declares": ("depth", "for an argument of a class: model.depth or optimizer.depth"),
    "unknown trainer option": ("trainer.max_epoch", "did you mean trainer.max_epochs?"),
    "unknown section": ("modle.lr", "expected a key below model, data"),
    "what the search itself is made of": ("search.trials", "expected a key below model, data"),
    "an empty section": ("lr_scheduler.gamma", "expected a section lr_scheduler in the config"),
}


@pytest.mark.parametrize("case", SPACE_KEYS)
def test_a_parameter_that_the_config_lacks_is_told_with_its_line(project, case):
    key, said = SPACE_KEYS[case]
    project.write("search_spaces/mine.json", f'{{\n"{key}": {{"_type": "uniform", "_value": [0, 1]}}}}\n')
    project.assert_refused(project.search("experiment=mine"), f"search_spaces/mine.json:2: {key}: ", said)


def test_a_section_of_that_name_is_not_offered_for_an_argument(project):
    project.write("search_spaces/mine.json", '{"lr": {"_type": "uniform", "_value": [0, 1]}}\n')
    monitor = "callbacks.lr._target_=pytorch_lightning.callbacks.LearningRateMonitor"
    result = project.search("experiment=mine", monitor)
    project.assert_refused(result, "did you mean model.lr or optimizer.lr?")


def test_a_choice_that_the_type_rejects_is_told_with_its_line(project):
    space = '{\n"trainer.max_epochs": {"_type": "choice", "_value": [1, "many"]},\n'
    space += '"model.hidden": {"_type": "choice", "_value": [1, "wide"]}}\n'
    project.write("search_spaces/mine.json", space)
    project.assert_refused(
        project.search("experiment=mine"),
        "search_spaces/mine.json:2: trainer.max_epochs: got 'many'; expected int",
        "search_spaces/mine.json:3: model.hidden: got 'wide'; expected int",
    )


REPLAY = {
    "no trial": (["replay=runs/a"], ["command line: trial: got nothing"]),
    "no run": (["trial=3"], ["command line: replay: got nothing"]),
    "not a number": (["replay=runs/a", "trial=x"], ["command line: trial: got 'x'"]),
    "overrides": (["replay=runs/a", "trial=1", "seed=3"], ["command line: got seed=3"]),
    "unknown run": (["replay=runs/a", "trial=1"], ["'runs/a'"]),
}


@pytest.mark.parametrize("case", REPLAY)
def test_a_replay_of_what_is_not_there_is_refused(project, case):
    argv, said = REPLAY[case]
    project.assert_refused(project.train(*argv), *said)


LITUNE = {
    "misspelt command": (["serach"], ["command line: got serach", "did you mean search?"]),
    "no run given": (["best"], ["command line: run: got nothing; expected a value; see litune best --help"]),
    "unknown run": (["best", "nope"], ["'nope'"]),
    "unknown format": (
        ["trials", "nope", "--format", "cvs"],
        ["--format: got 'cvs'; expected one of table, csv", "mean csv?"],
    ),
    "no number": (["confirm", "nope", "--top", "a"], ["command line: --top: got 'a'; expected int"]),
    "no such directory": (["list", "nope"], ["command line: got nope; expected the directory of the run directories"]),
    "superfluous word": (["list", "here", "now"], ["command line: got now; expected nothing more"]),
}


@pytest.mark.parametrize("case", LITUNE)
def test_a_mistake_in_the_litune_command_is_refused(project, case):
    argv, said = LITUNE[case]
    project.assert_refused(project.litune(*argv), *said)
