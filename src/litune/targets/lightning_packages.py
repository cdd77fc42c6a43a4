"""The two packages that Lightning comes as, and which of them a training is made of: that of its model.

Lightning knows its own by isinstance, so Trainer, data, callbacks and loggers must be of the model's package. Where a
config names a class of the other one, its counterpart is meant.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from litune.errors import InputError, Problem
from litune.targets.locate import locate
from litune.targets.signatures import TARGET

PACKAGES = ("pytorch_lightning", "lightning.pytorch")
_MIXED = ("data", "callbacks", "logger")


def package_of(target: Any) -> str | None:
    """Return which of the packages a class descends from, if from one."""
    homes = [base.__module__ for base in getattr(target, "__mro__", ())]
    return next((package for home in homes for package in PACKAGES if home.startswith(f"{package}.")), None)


def of_model(path: str) -> str:
    """Return the package that the model of this dotted name is made of."""
    return package_of(locate(path)) or PACKAGES[0]


def strategies(path: str) -> list[str]:
    """Return the strategies that the Trainer of this model knows by name."""
    registry = importlib.import_module(f"{of_model(path)}.strategies").StrategyRegistry
    return list(registry.available_strategies())


def in_package(path: str, package: str) -> str:
    """Return the name, in this package where it is one of the other's."""
    found = next((other for other in PACKAGES if path.startswith(f"{other}.")), package)
    return package + path.removeprefix(found) if path.startswith(f"{found}.") else path


def misfits(sections: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[Problem]:
    """Yield the (key, section) whose own class descends from the other package than the model does."""
    found = dict(sections)
    if "model" not in found:
        return
    try:
        package = package_of(locate(str(found["model"][TARGET])))
        if package is None:  # not a LightningModule, which is told
            return
        others = {
            key: package_of(locate(in_package(str(section[TARGET]), package)))
            for key, section in found.items()
            if key.partition(".")[0] in _MIXED
        }
    except (InputError, KeyError):  # told already
        return
    for key, other in others.items():
        if other not in (None, package):
            path = str(found[key][TARGET])
            expected = f"a class made of {package}, as the model is"
            cure = f"import {package} where it is defined"
            yield Problem(key=f"{key}.{TARGET}", got=f"{path}, made of {other}", expected=expected, cure=cure)
