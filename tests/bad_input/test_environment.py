"""What lies around a search and is not as it should be: directories, ledgers, packages, data, the user's own code."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3

import pytest

from litune import checks, environment
from litune.config import compose
from litune.study import opening
from litune.umask import private

NET = """\
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

class Net(pl.LightningModule):
    def __init__(self, hidden: int, lr: float = 1e-3, act: str = "relu"):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, _index):
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch, _index):
        self.log("val_acc", {logged})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Data(pl.LightningDataModule):
    def __init__(self, root: str = "."):
        super().__init__()
        self.root = root

    def setup(self, stage):
        open(self.root + "/train.csv").close()

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=2, num_workers=0)

    val_dataloader = train_dataloader
"""
WORDS = ("experiment=mine", "backend=local", "name=it", "search.trials=1", "trainer.max_epochs=1")
OUR_OWN = (
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "logger.tensorboard=null",
    "search.algorithm=random",
)


@pytest.fixture
def begun(project):
    """Return the ledger of a run that has a trial."""
    config = compose.compose(WORDS).config
    with private(), opening.opened(config, checks.load_space(config)) as study:
        assert study.ask()
        (study.directory / "trials" / "0000").mkdir()
    return project.root / "runs" / "it" / "ledger.db"


def test_a_directory_that_cannot_be_written_to_is_refused(project, monkeypatch):
    (project.root / "sealed").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "sealed" not in str(path) and access(path, mode))
    result = project.search("experiment=mine", "search.runs=sealed/runs")
    project.assert_refused(result, "command line: search.runs: got ", "expected a writable directory")


def test_a_file_that_is_no_ledger_is_refused(project, begun):
    begun.write_bytes(b"this is no database" * 1000)
    project.assert_refused(project.search(*WORDS), f"{begun}: cannot be used as a ledger: file is not a database")


def test_a_ledger_that_cannot_be_opened_where_nothing_can_be_written_is_to_be_copied(project, begun, monkeypatch):
    begun.unlink()
    begun.mkdir()
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    project.assert_refused(project.litune("trials", "it"), f"{begun}: cannot be used as a ledger", "copy the run to a")


@pytest.mark.parametrize("lost", ["ledger.db", "config.yaml", "space.json"])
def test_a_run_that_lacks_a_file_is_refused_and_none_is_made(project, begun, lost):
    (begun.parent / lost).unlink()
    code, _, err = project.litune("trials", "it")
    assert code == 2
    assert lost in err
    assert "no such file" in err
    assert not (begun.parent / lost).exists()


def test_a_ledger_that_was_cut_is_refused(project, begun):
    begun.write_bytes(begun.read_bytes()[:4096])
    code, _, err = project.search(*WORDS)
    assert code == 2
    assert err.startswith(f"{begun}: ")
    assert len(err.splitlines()) == 1


def test_a_ledger_of_a_newer_optuna_is_refused(project, begun):
    with sqlite3.connect(begun) as ledger:
        ledger.execute("update version_info set schema_version = schema_version + 1")
        ledger.execute("update alembic_version set version_num = 'v99.0.0'")
    project.assert_refused(project.search(*WORDS), f"{begun}: ", "newer")


@pytest.mark.parametrize("name", ["ray", "nni"])
def test_a_backend_that_is_not_installed_is_refused_with_the_line_that_installs_it(project, monkeypatch, name):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == name else found(module))
    result = project.search("experiment=mine", f"backend={name}")
    project.assert_refused(result, f"command line: backend: got {name}, which", f"pip install 'litune[{name}]'")


def test_a_trials_own_directory_is_not_taken_for_a_run(project, begun):
    project.write("runs/it/trials/0000/config.yaml", "seed: 1\n")
    result = project.litune("digest", "runs/it/trials/0000")
    project.assert_refused(result, "trials/0000: got a single training or trial; expected the directory of a search")


def test_a_network_file_system_is_warned_of(project, monkeypatch):
    monkeypatch.setattr(environment, "_file_system", lambda _path: "nfs4")
    config = compose.compose(["experiment=mine"]).config
    assert any("search.runs: runs is on a network file system (nfs4)" in text for text in checks.warnings(config))


@pytest.mark.parametrize("backend", ["optuna", "local"])
def test_data_that_is_not_there_is_told_once_before_any_trial(project, backend, monkeypatch):
    installed = ".venv/lib/python3/site-packages"
    project.write(f"{installed}/a_reader.py", "def read(path):\n    open(path).close()\n")
    monkeypatch.syspath_prepend(str(project.root / installed))
    net = NET.replace('open(self.root + "/train.csv").close()', '__import__("a_reader").read(self.root + "/train.csv")')
    project.write("my_net.py", net.replace("{logged}", "1.0"))
    words = ("experiment=mine", f"backend={backend}", "data={_target_: my_net.Data, root: nowhere}")
    result = project.search(*words)
    project.assert_refused(result, "my_net.py:25: data: got FileNotFoundError: ", "'nowhere/train.csv'")
    assert len(result[2].splitlines()) == 1


def test_what_data_say_of_themselves_is_told_however_long_it_is(project):
    net = NET.replace('open(self.root + "/train.csv").close()', 'raise KeyError("x" * 2**21 + "y")')
    project.write("my_net.py", net.replace("{logged}", "1.0"))
    result = project.search("experiment=mine", "backend=optuna", "data={_target_: my_net.Data}")
    project.assert_refused(result, f"my_net.py:25: data: got KeyError: '{'x' * 2**21}y'; expected data that loads")


@pytest.mark.parametrize("backend", ["optuna", "local"])
def test_data_that_lacks_what_only_a_trial_has_is_no_mistake(project, backend):
    net = (
        NET.replace("{logged}", "1.0").replace('root: str = "."', "size: int, root: str").replace("=2,", "=self.size,")
    )
    net = net.replace("self.root = root", "self.root, self.size = root, size")
    net = net.replace('open(self.root + "/train.csv").close()', "assert self.size == 4 * self.trainer.world_size")
    project.write("my_net.py", net)
    project.write("search_spaces/mine.json", json.dumps({"data.size": {"_type": "choice", "_value": [4]}}))
    words = ("data={_target_: my_net.Data, root: here}", "optimizer=null")
    code, out, err = project.search(*WORDS, *OUR_OWN, *words, f"backend={backend}")
    assert code == 0, out + err
    assert "trial 0 COMPLETE" in out


LOGGED = {
    "text": ('"high"', "ValueError"),
    "many values": ("torch.ones(3)", "ValueError"),
}


@pytest.mark.parametrize("case", LOGGED)
def test_a_metric_that_is_no_number_ends_the_search_with_the_cause(project, case):
    logged, said = LOGGED[case]
    project.write("my_net.py", NET.replace("{logged}", logged))
    project.write("train.csv", "")
    words = (*WORDS, *OUR_OWN, "data={_target_: my_net.Data}", "search.stop_after_equal_failures=1", "optimizer=null")
    code, out, err = project.search(*words)
    assert code == 1, out + err
    assert said in out
    assert "val_acc" in out
