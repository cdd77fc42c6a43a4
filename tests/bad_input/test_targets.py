"""Sections whose target or arguments cannot be: found before anything starts."""

from __future__ import annotations

import pytest

MODEL = {
    "not importable": ("my_nett.Net", ["there is no module my_nett", "did you mean my_net.Net?"]),
    "no such class": ("my_net.Nett", ["expected a class in my_net: Net", "did you mean my_net.Net?"]),
    "a colon": ("my_net:Net", ["got 'my_net:Net'", "did you mean my_net.Net?"]),
    "not a dotted name": ("Net", ["expected the dotted name of a class"]),
    "outside the allow-list": ("sklearn.svm.SVC", ["add it to the config: allow: [sklearn]"]),
    "a function that loads pickles": ("torch.load", ["expected a class that a training is made of"]),
    "a function that downloads code": ("torch.hub.load", ["expected a class that a training is made of"]),
    "the shell": ("os.system", ["expected a name in torch,"]),
    "the shell by way of a framework": ("torch.serialization.os.system", ["os is a module"]),
    "the shell by way of the user's module": ("my_net.torch.serialization.os.system", ["torch is a module"]),
    "a dunder": ("my_net.Net.__init__.__globals__", ["expected the dotted name of a class"]),
    "a module": ("torch.nn", ["nn is a module); expected a class in it: torch.nn.NAME"]),
    "another kind of class": ("torch.nn.Linear", ["got torch.nn.Linear; expected a subclass of LightningModule"]),
    "a function of the user's": ("my_net.make", ["add it to the config: allow: [my_net]"]),
}


@pytest.mark.parametrize("case", MODEL)
def test_a_target_that_cannot_be_is_refused(project, case):
    target, said = MODEL[case]
    project.write("my_net.py", (project.root / "my_net.py").read_text() + "\n\ndef make(): pass\n")
    result = project.train("experiment=mine", f"model._target_={target}")
    project.assert_refused(result, "command line: model._target_: ", *said)
    assert len(result[2].splitlines()) == 1


@pytest.mark.parametrize("allow", ["[]", "[laid_out]"])
def test_a_package_below_src_that_is_not_installed_is_told_how_it_is_found(project, allow):
    project.write("src/laid_out/__init__.py", "")
    project.write("src/laid_out/models.py", (project.root / "my_net.py").read_text())
    result = project.train("experiment=mine", "model._target_=laid_out.models.Net", f"allow={allow}")
    said = "there is no module laid_out outside src/; install your project (pip install -e .), or set PYTHONPATH=src"
    project.assert_refused(result, "command line: model._target_: got laid_out.models.Net; expected", said)


@pytest.mark.parametrize(
    ("section", "name", "meant"),
    [
        ("optimizer", "adam", "torch.optim.Adam"),
        ("lr_scheduler", "StepLr", "torch.optim.lr_scheduler.StepLR"),
        ("criterion", "CrossEntropyLoss", "torch.nn.CrossEntropyLoss"),
        ("callbacks.stop", "EarlyStopping", "pytorch_lightning.callbacks.EarlyStopping"),
    ],
)
def test_a_bare_name_is_looked_for_where_such_classes_mostly_are(project, section, name, meant):
    result = project.train("experiment=mine", f"{section}._target_={name}")
    project.assert_refused(result, f"command line: {section}._target_: got '{name}'", f"did you mean {meant}?")


def test_a_class_of_another_kind_is_refused(project):
    result = project.train("experiment=mine", "~optimizer.lr", "optimizer._target_=torch.nn.Identity")
    project.assert_refused(result, "optimizer._target_: got torch.nn.Identity; expected a subclass of Optimizer")


LOADERS = """\
import torch
from torch.utils.data import DataLoader, TensorDataset

class Rows(TensorDataset):
    pass

def loader():
    return DataLoader(Rows(torch.zeros(4)))
"""
THEIRS = "expected a subclass of LightningDataModule; write one whose train_dataloader() and val_dataloader() make the"


@pytest.mark.parametrize("target", ["torch.utils.data.DataLoader", "my_data.Rows"])
def test_a_loader_or_a_dataset_in_place_of_a_datamodule_is_told_with_the_cure_and_nothing_else(project, target):
    project.write("my_data.py", LOADERS)
    result = project.train("experiment=mine", f"+data._target_={target}")
    project.assert_refused(result, f"command line: data._target_: got {target}; {THEIRS}")
    assert len(result[2].splitlines()) == 1


LIGHTNING_DATA = """\
import lightning.pytorch as pl

class Data(pl.LightningDataModule):
    pass

class Net:
    pass
"""


def test_a_model_that_is_of_no_lightning_is_told_and_its_data_is_not_blamed(project):
    project.write("my_data.py", LIGHTNING_DATA)
    words = ("model._target_=my_data.Net", "+data._target_=my_data.Data")
    result = project.train("experiment=mine", *words)
    project.assert_refused(result, "model._target_: got my_data.Net; expected a subclass of LightningModule")
    assert len(result[2].splitlines()) == 1


def test_a_function_that_gives_a_loader_in_place_of_a_datamodule_is_told_before_any_trial(project):
    project.write("my_data.py", LOADERS)
    result = project.search("experiment=mine", "backend=local", "+data._target_=my_data.loader", "allow=[my_data]")
    project.assert_refused(result, f"data: got my_data.loader, which gives a DataLoader; {THEIRS}")


ARGUMENTS = {
    "unknown": ("model.hiden=3", ["command line: model.hiden: got an unknown argument", "did you mean model.hidden?"]),
    "wrong type": ("model.lr=high", ["command line: model.lr: got 'high'; expected float"]),
    "a fraction for an int": ("model.hidden=0.5", ["command line: model.hidden: got 0.5; expected int"]),
    "null": ("model.hidden=null", ["command line: model.hidden: got null; expected int"]),
    "unknown strategy": ("trainer.strategy=dpp", ["command line: trainer.strategy: got 'dpp'", "did you mean ddp?"]),
    "missing": ("~model.hidden", ["model.hidden: got nothing; expected a value, my_net.Net needs it"]),
    "of the optimizer": ("optimizer.momentun=0.9", ["command line: optimizer.momentun: got an unknown argument"]),
    "a loss that the model has no argument for": (
        "criterion._target_=torch.nn.MSELoss",
        ["criterion: got a section; expected no such section: my_net.Net has no argument criterion to take it"],
    ),
    "a callback without what it needs": (
        "callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping",
        ["callbacks.stop.monitor: got nothing"],
    ),
    "a target inside a value": ("model.act={_target_: os.system}", ["model.act._target_: got os.system"]),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_an_argument_that_does_not_fit_the_signature_is_refused(project, case):
    override, said = ARGUMENTS[case]
    project.assert_refused(project.train("experiment=mine", override), *said)


def test_an_annotation_that_is_no_type_counts_as_none(project):
    net = (project.root / "my_net.py").read_text()
    project.write("my_net.py", net.replace("hidden: int", 'hidden: "number of units"'))
    result = project.train("experiment=mine", "model.hidden=many", "model.lr=high")
    project.assert_refused(result, "command line: model.lr: got 'high'; expected float")
    assert len(result[2].splitlines()) == 1


def test_a_callback_that_writes_checkpoints_where_there_are_to_be_none_is_refused(project):
    callback = "callbacks.best={_target_: pytorch_lightning.callbacks.ModelCheckpoint, monitor: val_acc}"
    refused = project.train("experiment=mine", callback, "trainer.enable_checkpointing=false")
    said = "command line: trainer.enable_checkpointing: got false; expected true, as callbacks.best is pytorch_light"
    project.assert_refused(refused, said, "or leave callbacks.best out")


def test_a_progress_bar_where_none_is_shown_is_refused_before_any_trial(project):
    refused = project.search("experiment=mine", "callbacks.bar._target_=pytorch_lightning.callbacks.TQDMProgressBar")
    said = "trainer.enable_progress_bar: got false; expected true, as callbacks.bar is pytorch_lightning.callbacks.TQDM"
    project.assert_refused(refused, said, "or leave callbacks.bar out")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("callbacks.best.dirpath", "pytorch_lightning.callbacks.ModelCheckpoint"),
        ("logger.own.save_dir", "lightning.pytorch.loggers.CSVLogger"),
        ("logger.own.save_dir", "pytorch_lightning.loggers.TensorBoardLogger"),
    ],
)
def test_a_directory_that_all_trials_would_write_the_same_files_into_is_refused(project, key, kind):
    words = ["experiment=mine", "backend=local", f"{key.rpartition('.')[0]}._target_={kind}", f"{key}=shared"]
    said = f"command line: {key}: got a directory; expected nothing: the trials would write over one another's files"
    project.assert_refused(project.search(*words), said, "leave it out, and each trial has a directory of its own")
    single = project.train(*words[:1], *words[2:], "model.hiden=3")
    project.assert_refused(single, "model.hiden: got an unknown argument")
    assert key not in single[2]  # a single training has it to itself


BROKEN = {
    "syntax error": ("x = 1\ndef f(:\n", ["my_net.py:2: SyntaxError"]),
    "raises": ("import os\nraise RuntimeError('no data')\n", ["my_net.py:2: RuntimeError: no data"]),
    "exits": ("import sys\nsys.exit(0)\n", ["my_net.py:2: SystemExit: 0"]),
    "imports what is not there": ("import torch\nimport no_such_thing\n", ["my_net.py:2: ModuleNotFoundError"]),
    "imports from what is no package": ("import torch\nimport my_net.part\n", ["my_net.py:2: ModuleNotFoundError"]),
    "imports from a module of Python's": ("import torch\nimport time.sleep\n", ["my_net.py:2: ModuleNotFoundError"]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_module_that_cannot_be_imported_is_told_once_with_its_line(project, case):
    text, said = BROKEN[case]
    project.write("my_net.py", text)
    result = project.train("experiment=mine")
    project.assert_refused(result, *said)
    assert len(result[2].splitlines()) == 1


def test_a_file_that_hides_a_library_is_to_be_renamed(project):
    project.write("xmlrpc.py", "")
    project.write("my_net.py", "import xmlrpc.client\n")
    project.assert_refused(project.train("experiment=mine"), "rename xmlrpc.py, which hides a library")


DATA = """\
from pathlib import Path
import pytorch_lightning as pl

class Data(pl.LightningDataModule):
    def prepare_data(self):
        Path("loaded").touch()
"""


def test_a_mistaken_argument_is_told_and_no_data_are_loaded(project):
    project.write("my_data.py", DATA)
    words = ["experiment=mine", "+data._target_=my_data.Data", "search.space=search_spaces/mine.json"]
    result = project.search(*words, "model.hiden=3")
    project.assert_refused(result, "command line: model.hiden: got an unknown argument")


PARTS = """\
from collections.abc import Callable

import my_net
from torch import nn

class Whole(my_net.Net):
    def __init__(self, hidden: int, act: str = "relu", body: nn.Module | None = None, make: Callable | None = None):
        super().__init__(hidden)
"""
CURE_OF_CLI = "_target_ in place of class_path, and what is under init_args beside it"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("body: {class_path: torch.nn.Tanh}", f"a section without _target_; expected Module or null; {CURE_OF_CLI}"),
        ("make: {class_path: torch.optim.Adam, init_args: {lr: 0.1}}", CURE_OF_CLI),
        ("make: {lr: 0.1}", "model.make: got {'lr': 0.1}; expected"),
        ("make: {_target_: torch.optim.Adam}", "_partial_: true beside _target_, where the model gives it"),
    ],
)
def test_a_part_of_the_model_as_lightning_cli_has_it_is_told_with_the_cure(project, section, said):
    project.write("my_whole.py", PARTS)
    experiment = (project.root / "experiments/mine.yaml").read_text()
    project.write("experiments/mine.yaml", experiment.replace("my_net.Net", f"my_whole.Whole\n  {section}"))
    result = project.train("experiment=mine")
    project.assert_refused(result, "experiments/mine.yaml:", said)
    assert len(result[2].splitlines()) == 1
