"""`litune space`: a search space to edit, proposed from the arguments' names, types and defaults."""

from __future__ import annotations

import enum
import inspect
import json
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union

from litune.errors import InputError, Problem
from litune.targets.locate import locate
from litune.targets.signatures import Argument, signature

Spec = dict[str, Any]
_SECTIONS = {"LightningModule": "model", "LightningDataModule": "data", "Optimizer": "optimizer"}
_FIXED = re.compile(
    r"^(in|out)_|class|label|vocab|input|output|seed|worker|channels_in|n_features|num_features|pin_"
    r"|^(maximize|differentiable|fused|foreach|capturable)$"  # of torch's optimizers: what they do, and how fast
)
_RATE = re.compile(r"^(lr|.*_lr|.*learning_rate)$")
_DECAY = re.compile(r"weight_decay|^wd$|^l2")
_SHARE = re.compile(r"drop|smoothing")
_MOMENTUM = re.compile(r"momentum|^beta")
_SIZE = re.compile(r"hidden|unit|dim|width|size|channel|feature|filter|embed|head|neuron|rank")
_DEPTH = re.compile(r"layer|depth|block|stage")


def show_space(paths: Sequence[str]) -> int:
    """Print a search space for the classes (`package.module:Class`) as JSON; what is left out goes to stderr."""
    space: dict[str, Spec] = {}
    left: list[str] = []
    for path in paths:
        section, found, out = propose(locate(path.replace(":", ".", 1)), path)
        space |= {f"{section}.{name}": spec for name, spec in found.items()}
        left += [f"{section}.{name}" for name in out]
    rows = (f"  {json.dumps(key)}: {json.dumps(spec)}" for key, spec in space.items())
    print("{\n" + ",\n".join(rows) + "\n}")
    if left:
        print(f"left out, as a name and a default do not tell their range: {', '.join(left)}", file=sys.stderr)
    return 0


def propose(target: Callable[..., Any], path: str) -> tuple[str, Mapping[str, Spec], list[str]]:
    """Return the config's section for the class, a parameter for each argument that can have one, and the others."""
    names = [base.__name__ for base in getattr(target, "__mro__", ())]
    section = next((_SECTIONS[name] for name in names if name in _SECTIONS), None)
    if section is None:
        raise InputError(Problem(got=path, expected=f"a subclass of {', '.join(_SECTIONS)}"))
    found: dict[str, Spec] = {}
    left = []
    for name, argument in signature(target).arguments.items():
        if spec := _parameter(argument):
            found[name] = spec
        else:
            left.append(name)
    if not found:
        raise InputError(Problem(got=path, expected="a class with an argument to search over"))
    return section, found, left


def _parameter(argument: Argument) -> Spec | None:
    default = None if argument.required else argument.default
    kind = _kind(argument.annotation, default)
    if typing.get_origin(kind) is Literal:
        return _choice(typing.get_args(kind))
    if not inspect.isclass(kind) or _FIXED.search(argument.name):
        return None
    if issubclass(kind, enum.Enum):
        return _choice(list(kind.__members__))
    if kind is bool:
        return _choice([False, True])
    if kind is int and not isinstance(default, float):
        return _whole(argument.name, default)
    return _real(argument.name, default) if kind in (float, int) else None


def _kind(annotation: Any, default: Any) -> Any:
    """Return the type of an argument: of a union its first that is not None; without annotation that of the default."""
    if annotation is Any:
        return type(default)
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in typing.get_args(annotation) if part is not type(None))
    return annotation


def _whole(name: str, default: int | None) -> Spec | None:
    if _DEPTH.search(name):
        return {"_type": "randint", "_value": [1, 2 * (default or 2) + 1]}
    if not _SIZE.search(name):
        return None
    middle = round(math.log2(default)) if default and default > 0 else 6
    return _choice([2**power for power in range(max(0, middle - 2), middle + 3)])


def _real(name: str, default: float | None) -> Spec | None:
    if _RATE.search(name):
        return _log(default / 10, default * 10) if default else _log(1e-4, 1e-1)
    if _DECAY.search(name):
        return _log(default / 100, default * 10) if default else _log(1e-6, 1e-2)
    if _SHARE.search(name):
        return {"_type": "uniform", "_value": [0.0, max(0.5, default or 0.0)]}
    if _MOMENTUM.search(name):
        return {"_type": "uniform", "_value": [0.5, max(0.99, default or 0.0)]}
    return _log(default / 10, default * 10) if default and default > 0 else None


def _log(low: float, high: float) -> Spec:
    return {"_type": "loguniform", "_value": [float(f"{low:.3g}"), float(f"{high:.3g}")]}


def _choice(values: Sequence[Any]) -> Spec:
    return {"_type": "choice", "_value": list(values)}
