"""The tasks: recorded learning curves of TaskSet, and YAHPO Gym's surrogate of LCBench.

The directory of the tables has them as these two publish them, and they are not part of litune:

lcbench/       model.onnx and encoding.json of YAHPO Gym's `lcb` (Pfisterer et al. 2022, github.com/slds-lmu/yahpo_data)
taskset6.npz   of TaskSet (Metz et al. 2020, arXiv:2002.11887) 6 tasks, 1,000 Adam configurations each: the arrays tasks
               (6), hp_names (8), hp (1000, 8; all positive), valid (6, 1000, 51; the losses, NaN where it diverged)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime

from litune.space.space import Space, loguniform, qloguniform, randint, uniform

LCBENCH = ("3945", "7593", "34539", "126026", "167168", "168330", "189873", "189906")
LCBENCH_TUNED = ("126025", "126029", "146212", "167104", "167149", "167152", "167161", "167181")
LCBENCH_COLUMNS = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")


class Task(Protocol):
    """A training that is looked up. Values are larger-is-better; step 1 is the first trained evaluation."""

    name: str
    space: Space
    steps: int
    candidates: list[dict[str, Any]] | None

    def admit(self, params: Mapping[str, Any], _taken: list[Mapping[str, Any]], /) -> Mapping[str, Any]:
        """Return the params that are trained when these are asked for and those are taken."""

    def curve(self, params: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return (value, seconds so far) at steps 1 .. steps."""


@dataclass(kw_only=True)
class LCBench:
    """One OpenML task of the surrogate: validation accuracy in percent. Epoch 1, the untrained network, is left out."""

    name: str
    session: onnxruntime.InferenceSession
    code: int
    steps: int = 51
    candidates: None = None
    space: Space = field(
        default_factory=lambda: Space.of(
            {
                "batch_size": qloguniform(16, 512, 1),
                "learning_rate": loguniform(1e-4, 0.1),
                "momentum": uniform(0.1, 0.99),
                "weight_decay": uniform(1e-5, 0.1),
                "num_layers": randint(1, 6),
                "max_units": qloguniform(64, 1024, 1),
                "max_dropout": uniform(0.0, 1.0),
            }
        )
    )

    def admit(self, params: Mapping[str, Any], _taken: list[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return the params: the surrogate takes any."""
        return params

    def curve(self, params: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Ask the surrogate."""
        rows = np.empty((self.steps, 8), dtype=np.float32)
        rows[:, 0] = np.arange(2, self.steps + 2)
        rows[:, 1:] = [params[name] for name in LCBENCH_COLUMNS]
        out = self.session.run(None, {"x_cat": np.full((self.steps, 1), self.code, dtype=np.int32), "x_cont": rows})[0]
        return out[:, 1].astype(float), np.maximum.accumulate(np.maximum(out[:, 0].astype(float), 1e-3))


@dataclass(kw_only=True)
class TaskSet:
    """One recorded task: minus the validation loss. The evaluation before training is left out."""

    name: str
    values: np.ndarray
    candidates: list[dict[str, Any]]
    units: np.ndarray
    space: Space
    steps: int = 50
    _places: dict[float, int] = field(default_factory=dict)

    def admit(self, params: Mapping[str, Any], taken: list[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return the nearest recorded params that are not taken."""
        distance = ((self.units - self._unit(params)) ** 2).sum(1)
        distance[[self._index(other) for other in taken]] = np.inf
        return self.candidates[int(np.argmin(distance))]

    def curve(self, params: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Look the record up; a step takes one unit of time."""
        return self.values[self._index(params)], np.arange(1.0, self.steps + 1)

    def _unit(self, params: Mapping[str, Any]) -> np.ndarray:
        pairs = [(self.space.parameters[key], params[key]) for key in self.space.parameters]
        return np.array([np.log(value / at.low) / np.log(at.high / at.low) for at, value in pairs])

    def _index(self, params: Mapping[str, Any]) -> int:
        if not self._places:
            self._places.update({row["learning_rate"]: place for place, row in enumerate(self.candidates)})
        return self._places[params["learning_rate"]]


def lcbench(tables: Path, names: tuple[str, ...] = LCBENCH) -> list[Task]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(tables / "lcbench" / "model.onnx", options)
    codes = json.loads((tables / "lcbench" / "encoding.json").read_text())["OpenML_task_id"]
    return [LCBench(name=f"lcbench-{name}", session=session, code=codes[name]) for name in names]


def taskset(tables: Path) -> list[Task]:
    table = np.load(tables / "taskset6.npz", allow_pickle=False)
    names = [str(name) for name in table["hp_names"]]
    hp = table["hp"].copy()
    for place, name in enumerate(names):
        if name.startswith("beta"):  # what matters of a decay rate is how far from 1 it stays
            hp[:, place], names[place] = 1 - hp[:, place], f"one_minus_{name}"
    low, high = hp.min(0), hp.max(0)
    space = Space.of({name: loguniform(*ends) for name, *ends in zip(names, low, high, strict=True)})
    units = np.log(hp / low) / np.log(high / low)
    candidates = [dict(zip(names, map(float, row), strict=True)) for row in hp]
    return [
        TaskSet(
            name=f"taskset-{str(name).removeprefix('FixedTextRNNClassification_imdb_')}",
            values=-table["valid"][place, :, 1:].astype(float),
            candidates=candidates,
            units=units,
            space=space,
        )
        for place, name in enumerate(table["tasks"])
    ]
