"""Experiments with mistakes in them: each is refused with its file, line and key, and the nearest right name."""

from __future__ import annotations

import pytest

FILE = "experiments/mine.yaml"

# id: (what is appended to a good experiment, what must be said)
APPENDED = {
    "unknown section": ("modle: {hidden: 3}\n", [f"{FILE}:9: modle.hidden: ", "did you mean model.hidden?"]),
    "unknown key": ("trainer:\n  max_epoch: 5\n", [f"{FILE}:10: trainer.max_epoch: ", "trainer.max_epochs?"]),
    "key at the wrong level": ("trials: 7\n", [f"{FILE}:9: trials: ", "did you mean search.trials?"]),
    "wrong type": ("seed: many\n", [f"{FILE}:9: seed: got 'many'; expected int"]),
    "fraction for a whole number": ("seed: 1.5\n", [f"{FILE}:9: seed: got 1.5; expected int"]),
    "bool for a number": ("search: {trials: true}\n", [f"{FILE}:9: search.trials: got True; expected int"]),
    "null for a value": ("search:\n  trials: null\n", [f"{FILE}:10: search.trials: got null; expected int"]),
    "callbacks without a name": (
        "callbacks: {_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val_loss}\n",
        ["callbacks: got _target_=pytorch", "give it a name: callbacks: {NAME: {_target_: "]),
    "a logger without a name": (
        "logger: {_target_: pytorch_lightning.loggers.CSVLogger, save_dir: x}\n",
        ["logger: got _target_=pytorch", "give it a name: logger: {NAME: {_target_: "]),
    "callbacks as a list": (
        "callbacks: [{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val_loss}]\n",
        [f"{FILE}:9: callbacks: got [", "give each a name: callbacks: {NAME: {_target_: ...}}"]),
    "LightningCLI's seed": ("seed_everything: 3\n", [f"{FILE}:9: seed_everything: ", "did you mean seed?"]),
    "a callback's name for its section": (
        "callbacks: {stop: pytorch_lightning.callbacks.EarlyStopping}\n",
        ["callbacks.stop: got 'pytorch", "callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping"]),
    "a value for a section": ("callbacks: 3\n", [f"{FILE}:9: callbacks: got 3; expected a section"]),
    "a section for a value": ("seed: {a: 1}\n", [f"{FILE}:9: seed.a: ", "no key below seed"]),
    "too small": ("search: {trials: 0}\n", [f"{FILE}:9: search.trials: got 0; expected at least 1"]),
    "not one of the choices": ("search: {pruner: medain}\n", [f"{FILE}:9: search.pruner: ", "did you mean median?"]),
    "unknown backend": ("backend: raay\n", [f"{FILE}:9: backend: got raay", "did you mean ray?"]),
    "unknown backend by name": ("backend: {name: optun}\n", [f"{FILE}:9: backend: ", "did you mean optuna?"]),
    "tab": ("trainer:\n\tmax_epochs: 3\n", [f"{FILE}:10: ", "spaces, not tabs"]),
    "unclosed bracket": ("allow: [a, b\n", [f"{FILE}:10: ", "expected valid YAML"]),
    "duplicate key": ("model: {}\n", [f"{FILE}:9: model: got the key again; expected it once (it is on line 1)"]),
    "python tag": ("name: !!python/name:os.system\n", [f"{FILE}:9: name: got the tag !!python/name:os.system"]),
    "python object": ("name: !!python/object/apply:os.system [true]\n", [f"{FILE}:9: name: got the tag !!python"]),
    "key that YAML reads as a bool": ("data: {on: 1}\n", [f"{FILE}:9: data: got the key on", "quote it"]),
    "missing reference": ("criterion: {a: '${nope.x}'}\n", [f"{FILE}:9: criterion.a: ", "'nope.x' not found"]),
    "a group that is another": (
        "callbacks: {stop: {_target_: torch.nn.ReLU}}\nlogger: ${callbacks}\n",
        [f"{FILE}:10: logger.stop._target_: got torch.nn.ReLU; expected a subclass of Logger"]),
    "a group that is a number": ("callbacks: ${seed}\n", [f"{FILE}:9: callbacks: got ${{seed}}; expected a section"]),
    "circular reference": ("data: {a: '${.b}', b: '${.a}'}\n", [f"{FILE}:9: data.a: ", "lead back to itself"]),
    "unset variable": ("data: {a: '${oc.env:NO_SUCH_X}'}\n", [f"{FILE}:9: data.a: ", "'NO_SUCH_X' not found"]),
    "a list for a backend": ("backend: [ray]\n", [f"{FILE}:9: backend: got ['ray']", "did you mean ray?"]),
    "a word for a section": ("search: fast\n", [f"{FILE}:9: search: got 'fast'; expected its keys one by one"]),
    "a time in words": ("trainer: {max_time: 5 minutes}\n", [f"{FILE}:9: trainer.max_time: ", "DD:HH:MM:SS"]),
    "defaults of Hydra's": ("defaults: [nope]\n", [f"{FILE}: got In 'experiment/mine'", "nope"]),
    "scheduler without optimizer": (
        "lr_scheduler: {_target_: torch.optim.lr_scheduler.StepLR, step_size: 1}\noptimizer: null\n",
        [f"{FILE}:10: optimizer: got the key again"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", APPENDED)
def test_a_mistake_in_an_experiment_is_told_with_its_place(project, case):
    text, said = APPENDED[case]
    project.write(FILE, (project.root / FILE).read_text() + text)
    project.assert_refused(project.search("experiment=mine"), *said)


def test_a_key_that_nobody_typed_is_not_said_to_be_of_the_command_line(project):
    (project.root / "search_spaces" / "mine.json").unlink()
    cure = "litune space my_net:Net > search_spaces/mine.json proposes one"
    said = (f"{FILE}: search.space: got nothing", f"there is no search_spaces/mine.json; {cure}")
    project.assert_refused(project.search("experiment=mine", "search.trials=5"), *said)


def test_a_param_of_a_model_beside_a_function_is_refused(project):
    project.write("my_net.py", "def train(params, trial): return 1.0\n")
    project.write(FILE, "allow: [my_net]\nfunction: {_target_: my_net.train}\nobjective: {metric: a}\n")
    project.assert_refused(project.search("experiment=mine"), "search_spaces/mine.json:1: model.lr: got a parameter")


def test_one_mistake_is_one_line(project):
    good = (project.root / FILE).read_text()
    project.write(FILE, good + "model: {_target_: my_net.Net, hidden: 1}\n")
    assert len(project.search("experiment=mine")[2].splitlines()) == 1
    project.write(FILE, "model: my_net.Net\nobjective: {metric: a}\n")
    assert len(project.search("experiment=mine")[2].splitlines()) == 1
    lacking = "criterion: {_target_: torch.nn.CrossEntropyLoss, label_smoothing: '???'}\n"
    project.write(FILE, f"{good}{lacking}trainer: {{max_steps: '${{criterion.label_smoothing}}'}}\n")
    said = f"{FILE}:9: criterion.label_smoothing: got nothing; expected a value\n"
    assert project.search("experiment=mine")[2] == said


WHOLE = {
    "empty": (b"", [f"{FILE}: got an empty file"]),
    "only a comment": (b"# nothing\n", [f"{FILE}: got an empty file"]),
    "a list": (b"- a\n- b\n", [f"{FILE}:1: got a sequence; expected keys and values"]),
    "a word": (b"hello\n", [f"{FILE}:1: got a scalar; expected keys and values"]),
    "not UTF-8": (b"name: a\nmodel: \xff\n", [f"{FILE}:2: got a byte that is not UTF-8 (0xff)"]),
    "binary": (b"\x00\x01\x02", [f"{FILE}", "expected valid YAML"]),
    "no metric": (b"model: {_target_: my_net.Net, hidden: 1}\n", ["objective.metric: got nothing"]),
    "a typo in _target_": (
        b"model: {_traget_: my_net.Net}\nobjective: {metric: a}\n",
        ["model: got a section without _target_", "_traget_ should be"],
    ),
    "a section of LightningCLI": (
        b"model: {class_path: my_net.Net, init_args: {hidden: 1}}\nobjective: {metric: a}\n",
        ["model: got a section without _target_", "_target_ in place of class_path"],
    ),
    "no model": (b"objective: {metric: a}\n", ["model: got nothing; expected a section with _target_"]),
}


@pytest.mark.parametrize("case", WHOLE)
def test_an_experiment_that_is_none_is_refused(project, case):
    text, said = WHOLE[case]
    project.write(FILE, text)
    project.assert_refused(project.search("experiment=mine"), *said)


def test_all_mistakes_of_a_file_come_at_once(project):
    project.write(
        FILE,
        "model: {_target_: my_net.Net, hiden: 3, act: 1}\nobjective: {metric: a, mode: up}\n"
        "trainer: {max_epoch: 1}\nsearch: {trials: -1}\n",
    )
    result = project.search("experiment=mine", "search.trails=3")
    project.assert_refused(
        result,
        f"{FILE}:1: model.hiden: got an unknown argument",
        "did you mean model.hidden?",
        f"{FILE}:1: model.act: got 1; expected str",
        f"{FILE}:1: model.hidden: got nothing",
        f"{FILE}:2: objective.mode: got 'up'; expected one of max, min",
        f"{FILE}:3: trainer.max_epoch: ",
        f"{FILE}:4: search.trials: got -1; expected at least 1",
        "command line: search.trails: ",
    )
    assert len(result[2].splitlines()) == 7


def test_a_file_that_is_not_there_says_where_it_was_looked_for(project):
    where = project.root / "nowhere.yaml"
    project.assert_refused(project.search("experiment=nowhere.yaml"), "got no such file", f"looked for {where}")
    project.assert_refused(project.train("--config-file", "nowhere.yaml"), "got no such file", f"looked for {where}")


def test_a_directory_is_no_experiment(project):
    project.assert_refused(project.train("--config-file", "experiments"), "experiments: got a directory")
