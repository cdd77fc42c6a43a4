"""A real notebook: classes and functions of its cells, searched on every backend, with a live table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent / "project"
BACKENDS = [name for name in ("optuna", "local", "ray", "nni") if name in ("optuna", "local") or find_spec(name)]
pytestmark = pytest.mark.skipif(
    not (find_spec("nbclient") and find_spec("ipykernel")), reason="nbclient or ipykernel is not installed"
)

RUN = """\
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
try:
    nbclient.NotebookClient(notebook, timeout=200, kernel_name="python3").execute()
finally:
    nbformat.write(notebook, sys.argv[1])
"""

CLASSES = """\
import torch
from IPython.display import DisplayHandle
from my_forecast.models import Forecaster
from my_forecast.series import Waves

import litune

torch.set_num_threads(2)
torch.ones(400_000).exp().sum()  # by two threads, which no fork of this process has


class Wide(Forecaster):
    def __init__(self, learning_rate: float = 0.01) -> None:
        super().__init__(units=12, learning_rate=learning_rate)


class Scaled(Waves):
    def setup(self, stage: str) -> None:
        super().setup(stage)
        torch.ones(400_000).exp().sum()


def climb(params, trial):
    for step in range(1, 5):
        trial.report(step, params["slope"] * step)
    return params["slope"] * step


drawn = []
update = DisplayHandle.update


def noted(self, shown, **options):
    drawn.append(shown["text/plain"])
    update(self, shown, **options)


DisplayHandle.update = noted
"""

SEARCH = """\
def search(backend):
    return litune.search(
        model=Wide, data=Scaled, space={"model.learning_rate": litune.loguniform(1e-3, 1e-1)},
        metric="forecast/rmse", mode="min", trials=3, backend=backend, name=f"cell-{backend}",
        trainer={"max_epochs": 3, "accelerator": "cpu", "log_every_n_steps": 1}, parallel=1, threads=2,
    )

result = search("optuna")
"""

REST = """\
import json

found = {backend: search(backend).digest for backend in %s}
slopes = litune.search(climb, space={"slope": litune.uniform(0, 1)}, trials=3, threads=1)
print(json.dumps({
    "digests": found, "model": type(result.best.load()).__name__, "drawn": drawn,
    "scores": [row["score"] == 4 * row["slope"] for row in slopes.trials()],
}))
"""


def code(text: str) -> dict:
    return {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None}


def shown(cell: dict) -> list[dict]:
    return [output for output in cell["outputs"] if output["output_type"] == "display_data"]


def stream(cell: dict) -> str:
    return "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")


def test_a_notebook_searches_what_its_cells_define_and_shows_a_live_table(tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    cells = [code(text) for text in (CLASSES, SEARCH, REST % BACKENDS)]
    file = project / "notebook.ipynb"
    file.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    places = {name: str(tmp_path / name) for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, file.name], cwd=project, env={**os.environ, **places},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    _, search, rest = json.loads(file.read_text())["cells"]

    [table] = shown(search)
    assert "3 of 3 trials" in "".join(table["data"]["text/html"])
    said = stream(search)
    assert "best: runs/cell-optuna/best.yaml" in said
    assert "trial 0 COMPLETE" not in said

    assert len(shown(rest)) == len(BACKENDS) + 1  # a table for each search, and nothing of Ray's or NNI's
    [line] = [line for line in stream(rest).splitlines() if line.startswith('{"digests"')]
    found = json.loads(line)
    assert any(
        "trial  on     epoch   forecast/rmse" in shown and "model.learning_rate=" in shown for shown in found["drawn"]
    )
    assert len(set(found["digests"].values())) == 1
    assert found["model"] == "Wide"
    assert found["scores"] == [True] * 3
