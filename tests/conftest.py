from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from litune import cli
from litune.targets import locate
from tests.faults import postgres

# where the tests run in the background (`&`, nohup) these are ignored, and so they would be by every search they start
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

NET = """\
import pytorch_lightning as pl
import torch


class Net(pl.LightningModule):
    def __init__(self, hidden: int, lr: float = 1e-3, act: str = "relu"):
        super().__init__()
"""

EXPERIMENT = """\
model:
  _target_: my_net.Net
  hidden: 64
optimizer:
  _target_: torch.optim.Adam
  lr: 0.001
objective:
  metric: val_acc
"""

SPACE = '{"model.lr": {"_type": "loguniform", "_value": [0.0001, 0.1]}}\n'


@dataclass
class Project:
    """A user's directory with one good experiment; `run` gives (exit code, stdout, stderr)."""

    root: Path
    capture: pytest.CaptureFixture[str]
    before: set[str] = field(default_factory=set)

    def write(self, path: str, text: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if "__pycache__" not in path.parts}

    def search(self, *argv: str) -> tuple[int, str, str]:
        return self._run(cli.search_main, argv)

    def train(self, *argv: str) -> tuple[int, str, str]:
        return self._run(cli.train_main, argv)

    def litune(self, *argv: str) -> tuple[int, str, str]:
        return self._run(cli.main, argv)

    def _run(self, main: Callable[[list[str]], int], argv: tuple[str, ...]) -> tuple[int, str, str]:
        self.before = self.files()
        code = main(list(argv))
        out, err = self.capture.readouterr()
        return code, out, err

    def assert_refused(self, result: tuple[int, str, str], *said: str) -> None:
        code, _, err = result
        assert code == 2
        for text in said:
            assert text in err
        assert "Traceback" not in err
        assert self.files() == self.before  # no run directory, no ledger, no log


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    made = Project(root=tmp_path, capture=capsys)
    made.write("my_net.py", NET)
    made.write("experiments/mine.yaml", EXPERIMENT)
    made.write("search_spaces/mine.json", SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(locate, "_trusted", set())  # what the configs of other tests allowed
    modules = set(sys.modules)
    yield made
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{tmp_path}{os.sep}"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("psycopg")
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(postgres.server(tmp_path_factory.mktemp("postgresql")))
        except postgres.Absent as absent:
            pytest.skip(str(absent))
        yield url
