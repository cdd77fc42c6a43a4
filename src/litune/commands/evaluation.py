"""`litune test` and `litune predict`: a trial's checkpoint on the test data, after the search."""

from __future__ import annotations

import csv
import json
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from litune.arguments import WHERE
from litune.config import config as configs
from litune.config.documents import display_path
from litune.errors import InputError, LituneError, Problem
from litune.study import confirmation, runs
from litune.table import leaderboard
from litune.targets import targets
from litune.training import checkpoints, loggers, stand_ins, training
from litune.trial import DirectTrial, Outcome
from litune.umask import private
from litune.workers import resources

METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
_TWICE = re.compile(r"more than one `__init__` argument can be passed to its parent's `(?P<name>\w+)=")
# one device: with several, a row may be counted twice, and predictions come out of order
_PLAIN = {
    "trainer.devices": 1, "trainer.num_nodes": 1, "trainer.strategy": "auto", "trainer.fast_dev_run": False,
    "trainer.enable_checkpointing": False, "trainer.compile": False,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A checkpoint, what it was trained with, and the directory that its results go into."""

    title: str
    config: DictConfig
    params: Mapping[str, Any]
    checkpoint: Path
    directory: Path


def test(run: str, number: int | None) -> int:
    """Test a trial's checkpoint (the best trial's), write and print its metrics; return the exit code."""
    trained = _chosen(run, number)
    place = trained.directory / "test"
    results = _evaluate("test", trained, place)
    metrics = {name: value for result in results for name, value in result.items()}  # a result a dataloader
    (place / METRICS).write_text(json.dumps(metrics, indent=1) + "\n")
    print(trained.title)
    for name, value in metrics.items():
        print(f"{name}: {value:.6g}")
    print(f"in {display_path(place)}: {', '.join(sorted(path.name for path in place.iterdir()))}")
    return 0


def predict(run: str, number: int | None, out: str | None) -> int:
    """Write what a trial's checkpoint (the best trial's) predicts as CSV, a row an example; return the exit code."""
    trained = _chosen(run, number)
    file = Path(out) if out else trained.directory / PREDICTIONS
    if not file.absolute().parent.is_dir():
        expected = f"a file in a directory that exists; {file.parent} does not"
        raise InputError(Problem(where=WHERE, key="--out", got=str(file), expected=expected))
    batches = _evaluate("predict", trained, trained.directory / "predict")
    columns: dict[str, list[Any]] = {}
    for batch in batches:
        for name, values in _columns("prediction", batch):
            columns.setdefault(name, []).extend(values)
    if not columns or len({len(values) for values in columns.values()}) > 1:
        expected = "a tensor, a list, or a tuple or mapping of them, with an entry for each example"
        got = ", ".join(sorted({type(batch).__name__ for batch in batches})) or "nothing"
        raise InputError(Problem(key="predict_step", got=got, expected=expected))
    with file.open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["row", *columns])
        table.writerows([index, *values] for index, values in enumerate(zip(*columns.values(), strict=True)))
    print(f"{trained.title}: {len(next(iter(columns.values())))} rows in {display_path(file)}")
    return 0


def _chosen(run: str, number: int | None) -> _Trained:
    """Return the trial of that number, or the best one, confirmed if one is; of a single training, itself."""
    directory = runs.find(run)
    if (directory / runs.OUTCOME).is_file():
        return _single(directory)
    config, _, ledger = runs.read(directory)
    rows, terms = ledger.rows, ledger.about["terms"]
    objective = configs.objective(config)
    row = confirmation.chosen(directory, rows, objective)[0] if number is None else rows.get(number)
    if row is None and number is None:
        raise LituneError(f"{directory}: no trial was completed")
    if row is None:
        expected = f"0 to {len(rows) - 1}"
        raise InputError(Problem(where=str(directory), key="--trial", got=str(number), expected=expected))
    checkpoint = checkpoints.of_trial(directory, row)
    if not checkpoint:
        board = leaderboard(rows.values(), maximize=objective.maximize)
        kept = [str(other.number) for other in board if checkpoints.of_trial(directory, other)]
        expected = f"one of those that keep it: {', '.join(kept)}" if kept else "a trial with a checkpoint"
        cure = "search.keep_checkpoints says how many of the best keep theirs"
        got = f"trial {row.number}, which has no checkpoint"
        raise InputError(Problem(where=str(directory), key="--trial", got=got, expected=expected, cure=cure))
    return _Trained(
        title=f"trial {row.number} of {directory.name}",
        config=configs.replaced(runs.best_config(config, row, terms), _PLAIN),
        params=row.params,
        checkpoint=checkpoint,
        directory=checkpoints.place(directory, row),
    )


def _single(directory: Path) -> _Trained:
    outcome = Outcome.from_json(json.loads((directory / runs.OUTCOME).read_text()))
    checkpoint = checkpoints.below(directory, outcome.checkpoint)
    if not checkpoint:
        raise LituneError(f"{directory}: the training has no checkpoint")
    config = configs.replaced(configs.load(directory / "config.yaml"), _PLAIN)
    return _Trained(title=directory.name, config=config, params={}, checkpoint=checkpoint, directory=directory)


def _evaluate(stage: str, trained: _Trained, place: Path) -> Any:
    """Return what trainer.test or trainer.predict returns for the checkpoint; what is written goes into `place`."""
    resources.use_threads(trained.config.search.threads or resources.cores())
    config = targets.typed(trained.config)
    lightning = training.lightning_of(config)
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    module = training.build_module(config)
    data = training.build_data(config)
    _require(stage, lightning, module, data, config)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    built = [targets.instantiate(section) for section in config.callbacks.values() if section]
    callbacks = [callback for callback in built if not isinstance(callback, lightning.callbacks.Checkpoint)]
    trial = DirectTrial(place, trained.params)
    with private(), ExitStack() as stack, warnings.catch_warnings():
        opened = stack.enter_context(loggers.opened(config, trial)) if stage == "test" else []
        warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks")
        trainer = training.build_trainer(config, lightning, place, opened, callbacks)
        how = {"datamodule": data, "ckpt_path": str(trained.checkpoint), "weights_only": True}
        try:
            with stand_ins.readable(trained.checkpoint, config), _told(stage, lightning, module, data):
                if stage == "test":
                    return trainer.test(module, **how, verbose=False)
                batches = trainer.predict(module, **how)
        except pickle.UnpicklingError as error:
            raise checkpoints.refused(trained.checkpoint, error) from error
        several = len(trainer.num_predict_batches) > 1
        return [batch for loader in batches for batch in loader] if several else batches


def _require(stage: str, lightning: Any, module: Any, data: Any, config: DictConfig) -> None:
    """Raise InputError unless model and data have what the stage runs."""
    problems = []
    step, loader = f"{stage}_step", f"{stage}_dataloader"
    if stage == "test" and not _has(module, step, lightning.LightningModule):
        expected = f"a LightningModule with {step}"
        problems.append(Problem(key="model._target_", got=str(config.model._target_), expected=expected))
    if not _has(module, loader, lightning.LightningModule) and not (
        data is not None and _has(data, loader, lightning.LightningDataModule)
    ):
        got = str(config.data._target_) if config.data else "nothing"
        expected = f"a LightningDataModule with {loader}"
        problems.append(Problem(key="data._target_", got=got, expected=expected))
    if problems:
        raise InputError(problems)


@contextmanager
def _told(stage: str, lightning: Any, module: Any, data: Any) -> Iterator[None]:
    """Raise InputError for what Lightning refuses, in the with statement, of the user's model or data.

    For predictions it makes each DataLoader anew, and knows of one only what it was given by name.
    """
    loads = data if data is not None and _has(data, f"{stage}_dataloader", lightning.LightningDataModule) else module
    try:
        yield
    except lightning.utilities.exceptions.MisconfigurationException as error:
        place, said = f"{type(loads).__name__}.{stage}_dataloader", str(error)
        if again := _TWICE.search(said):
            got = f"a DataLoader with its {again['name']} by position, or twice"
            cure = f"DataLoader(dataset, {again['name']}=...)"
            problem = Problem(key=place, got=got, expected=f"its {again['name']} by name", cure=cure)
            raise InputError(problem) from error
        raise LituneError(f"{stage}: {said.splitlines()[0]}") from error
    except (TypeError, ValueError, AttributeError) as error:
        if stage == "test" or _has(module, "predict_step", lightning.LightningModule):
            raise
        name = type(module).__name__
        got = f"none; {name}.forward, which then is given each batch as it is loaded, raised {type(error).__name__}"
        cure = f"give {name} a predict_step(self, batch, batch_idx)"
        problem = Problem(key="predict_step", got=f"{got}: {error}", expected="one that takes the batch", cure=cure)
        raise InputError(problem) from error


def _has(made: Any, name: str, kind: type) -> bool:
    return getattr(type(made), name, None) is not getattr(kind, name)


def _columns(name: str, output: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield (name, an entry for each example) of what predict_step returned for a batch."""
    if isinstance(output, torch.Tensor):
        values = output.detach().cpu()
        if values.dim() < 2:
            yield name, values.reshape(-1).tolist()
            return
        flat = values.reshape(len(values), -1)
        for column in range(flat.shape[1]):
            yield f"{name}_{column}", flat[:, column].tolist()
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from _columns(str(key), value)
    elif isinstance(output, tuple):
        for index, value in enumerate(output):
            yield from _columns(f"{name}_{index}", value)
    elif isinstance(output, list):
        yield name, output
