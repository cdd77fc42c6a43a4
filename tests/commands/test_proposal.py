from __future__ import annotations

import enum
import json
from typing import Literal

import pytest
import pytorch_lightning as pl

from litune import cli
from litune.commands.proposal import propose
from litune.space import space_file


class Norm(enum.Enum):
    BATCH = "batch"
    LAYER = "layer"


class Net(pl.LightningModule):
    def __init__(
        self,
        num_classes: int,
        hidden: int = 64,
        layers: int | None = 3,
        lr: float = 1e-3,
        weight_decay=0.0,
        dropout: float = 0.1,
        temperature: float = 2.0,
        residual: bool = True,
        act: Literal["relu", "gelu"] = "relu",
        norm: Norm = Norm.BATCH,
        name: str = "net",
    ) -> None:
        super().__init__()


def test_each_argument_gets_the_range_that_its_name_type_and_default_suggest():
    section, found, left = propose(Net, "Net")
    assert section == "model"
    assert {name: (spec["_type"], spec["_value"]) for name, spec in found.items()} == {
        "hidden": ("choice", [16, 32, 64, 128, 256]),
        "layers": ("randint", [1, 7]),
        "lr": ("loguniform", [1e-4, 1e-2]),
        "weight_decay": ("loguniform", [1e-6, 1e-2]),
        "dropout": ("uniform", [0.0, 0.5]),
        "temperature": ("loguniform", [0.2, 20.0]),
        "residual": ("choice", [False, True]),
        "act": ("choice", ["relu", "gelu"]),
        "norm": ("choice", ["BATCH", "LAYER"]),
    }
    assert left == ["num_classes", "name"]


def test_the_command_prints_a_space_that_a_search_accepts(tmp_path, capsys):
    assert cli.main(["space", "litune.tasks.digits:MLP", "litune.tasks.digits.Digits"]) == 0
    path = tmp_path / "space.json"
    path.write_text(capsys.readouterr().out)
    assert {"model.hidden", "model.dropout", "data.batch_size"} <= set(space_file.load(path).names)
    assert json.loads(path.read_text())["data.batch_size"]["_value"] == [16, 32, 64, 128, 256]


def test_what_an_optimizer_does_and_how_fast_is_not_searched(capsys):
    assert cli.main(["space", "torch.optim:Adam"]) == 0
    out, err = capsys.readouterr()
    assert set(json.loads(out)) >= {"optimizer.lr", "optimizer.weight_decay", "optimizer.amsgrad"}
    for name in ("maximize", "differentiable", "fused", "foreach", "capturable"):
        assert f"optimizer.{name}" not in out
        assert f"optimizer.{name}" in err


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("litune.tasks.digits:MPL", "did you mean litune.tasks.digits.MLP?"),
        ("torch.nn:Linear", "expected a subclass of LightningModule, LightningDataModule, Optimizer"),
    ],
)
def test_what_has_no_space_is_refused(path, words, capsys):
    assert cli.main(["space", path]) == 2
    assert words in capsys.readouterr().err
