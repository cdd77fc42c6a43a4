"""Checkpoints that hold dataclasses and enums, arguments of the model's, are read without any code of theirs.

self.save_hyperparameters() has Lightning pickle them. To torch.load(weights_only=True) a type is safe or not, and one
that is it calls with whatever the file says. So none of the user's is: a stand-in is read in its place, which keeps
nothing. That is enough for what Lightning put under the hyperparameters, as a model is made from its config
(docs/decisions/checkpoints.md).
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import pickle
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from omegaconf import DictConfig

from litune.targets.locate import MAIN, locate, trust
from litune.targets.signatures import TARGET, signature

_HYPERPARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters")  # where Lightning puts them


class StandIn:
    """Whatever a checkpoint says of it, it is this."""

    def __init__(self, *_arguments: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: a checkpoint's hyperparameters are not read as they were; self.hparams has them")


@contextlib.contextmanager
def readable(checkpoint: str | Path | None, config: DictConfig) -> Iterator[contextlib.ExitStack]:
    """Let torch.load(weights_only=True) read, in a with statement, the checkpoint of the config's model; None: nothing.

    What is given ends that before, by close(). Raise UnpicklingError where a type of the model's is anywhere but under
    the hyperparameters.
    """
    kinds = _kinds(config) if checkpoint else set()
    names = sorted(f"{module}.{kind.__qualname__}" for kind in kinds for module in {kind.__module__, MAIN})
    with contextlib.ExitStack() as reading:
        reading.enter_context(torch.serialization.safe_globals([(StandIn, name) for name in names]))
        if checkpoint and names:
            held = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
            if _has_one({key: value for key, value in held.items() if key not in _HYPERPARAMETERS}):
                types = ", ".join(sorted(kind.__qualname__ for kind in kinds))
                cure = "on_save_checkpoint and state_dict are to give plain values"
                raise pickle.UnpicklingError(f"it holds one of {types} beside the hyperparameters; {cure}")
        yield reading


class Restored:
    """End what readable() gave once a training has its checkpoint. Mixed with Lightning's Callback."""

    def __init__(self, reading: contextlib.ExitStack) -> None:
        self._reading = reading

    def on_train_start(self, _trainer: Any, _module: Any) -> None:
        """Leave torch.load to the user's own code."""
        self._reading.close()


def load(checkpoint: Path, config: DictConfig) -> Any:
    """Return what the checkpoint holds; raise UnpicklingError as readable() does, and for what may run code."""
    with readable(checkpoint, config):
        return torch.load(checkpoint, map_location="cpu", weights_only=True)


def _kinds(config: DictConfig) -> set[type]:
    """Return the dataclasses and enums that the signatures of the model and data module name.

    Those that the user's code has told torch to be safe are left to it.
    """
    trust(config.allow)
    found: set[type] = set()
    for section in (config.model, config.data):
        if section:
            _gather(_annotations(locate(section[TARGET])), found)
    return found.difference(torch.serialization.get_safe_globals())


def _gather(annotations: Iterable[Any], found: set[type]) -> None:
    for annotation in annotations:
        kind = typing.get_origin(annotation) or annotation
        _gather(typing.get_args(annotation), found)
        if isinstance(kind, type) and kind not in found:
            if dataclasses.is_dataclass(kind):
                found.add(kind)
                _gather(_annotations(kind), found)
            elif issubclass(kind, enum.Enum):
                found.add(kind)


def _annotations(target: Any) -> list[Any]:
    return [argument.annotation for argument in signature(target).arguments.values()]


def _has_one(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _has_one([*value, *value.values()])
    if isinstance(value, (list, tuple, set)):
        return any(map(_has_one, value))
    return isinstance(value, StandIn)
