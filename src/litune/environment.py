"""What a search needs of the machine: packages, a place to write to, devices, a database."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune.config import config as configs
from litune.config.documents import display_path
from litune.errors import InputError, Problem, nearest
from litune.targets.signatures import TARGET
from litune.workers import resources

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "gpfs", "ceph", "beegfs", "afs", "9p"}
_EXTRAS = ("ray", "nni")  # backends that are called like the extra and the package that they need
_DRIVERS = {"MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary"}  # module -> package, where they differ
_LOGGER_PACKAGES = {
    "WandbLogger": "wandb", "MLFlowLogger": "mlflow", "CometLogger": "comet_ml", "NeptuneLogger": "neptune",
    "TensorBoardLogger": "tensorboard",
}  # fmt: skip


def packages(plain: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the packages that the chosen backend and loggers need and that are not installed."""
    extra = str(plain["backend"]["name"])
    if extra in _EXTRAS and importlib.util.find_spec(extra) is None:
        cure = f"install it with: pip install 'litune[{extra}]'"
        yield Problem(key="backend", got=f"{extra}, which is not installed", expected="an installed backend", cure=cure)
    for name, section in (plain["logger"] or {}).items():
        kind = str(section.get(TARGET, "")).rpartition(".")[2] if isinstance(section, Mapping) else ""
        package = _LOGGER_PACKAGES.get(kind)
        if package and importlib.util.find_spec(package) is None:
            cure = f"install it with: pip install {package}"
            yield Problem(key=f"logger.{name}", got=kind, expected=f"the package {package}", cure=cure)


def directory(runs: str) -> Iterator[Problem]:
    """Yield why run directories cannot be made there."""
    existing = _existing(Path(runs).absolute())
    if not runs:
        yield Problem(key="search.runs", got="''", expected="a directory")
    elif not existing.is_dir():
        yield Problem(key="search.runs", got=runs, expected=f"a directory ({display_path(existing)} is a file)")
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield Problem(key="search.runs", got=runs, expected=f"a writable directory ({existing} is not)")


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds the path, "" where that cannot be known."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return ""
    rows = [line.split() for line in mounts.read_text().splitlines()]
    holding = [(len(row[1]), row[2]) for row in rows if path.resolve().is_relative_to(row[1].replace("\\040", " "))]
    return max(holding)[1] if holding else ""


def accelerator(config: DictConfig) -> Iterator[Problem]:
    """Yield what is wrong with trainer.accelerator and trainer.devices."""
    wanted = str(config.trainer.accelerator)
    devices = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, and either of them under WSL
    if wanted in ("gpu", "cuda") and sys.platform == "linux" and not any(Path(device).exists() for device in devices):
        cure = "trainer.accelerator=cpu or auto runs here"
        yield Problem(key="trainer.accelerator", got=wanted, expected="a GPU, and this machine has none", cure=cure)

    devices = configs.plain(config.trainer)["devices"]
    parts = devices if isinstance(devices, list) else [devices]
    counts = r"-1|[1-9][0-9]*" if parts is not devices else r"[0-9]+"
    if devices != "auto" and not (parts and all(re.fullmatch(counts, str(part)) for part in parts)):
        expected = "a number, a list of indices, or auto"
        yield Problem(key="trainer.devices", got=repr(devices), expected=expected)
    elif parts is devices and wanted != "cpu" and (here := len(resources.gpus())) and max(map(int, parts)) >= here:
        expected = f"indices of the GPUs that may be used, 0 to {here - 1}"
        yield Problem(key="trainer.devices", got=repr(devices), expected=expected)


def strategy(config: DictConfig) -> Iterator[Problem]:
    """Yield that Lightning knows no such strategy."""
    from litune.targets import lightning_packages

    try:
        known = ["auto", *lightning_packages.strategies(str(config.model.get(TARGET)))]
    except InputError:  # told already
        return
    wanted = str(config.trainer.strategy)
    if wanted not in known:
        expected = f"one of {', '.join(known)}"
        yield Problem(key="trainer.strategy", got=repr(wanted), expected=expected, nearest=nearest(wanted, known))


def storage(config: DictConfig) -> Iterator[Problem]:
    """Yield what is wrong with the storage's URL or its driver. The URL is not shown: it may hold a password."""
    if not config.search.storage:
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(config.search.storage)
        url.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError):
        expected = "an SQLAlchemy URL, such as sqlite:///runs/all.db or postgresql+psycopg://host/database"
        yield Problem(key="search.storage", got="something else", expected=expected)
    except ImportError as error:
        cure = f"pip install {_DRIVERS.get(str(error.name), error.name)}"
        yield Problem(
            key="search.storage",
            got=f"a driver that is absent ({error.name})",
            expected="one that is",
            cure=cure,
        )
    else:
        holder = Path(url.database or "").absolute().parent
        if url.get_backend_name() == "sqlite" and url.database and not holder.is_dir():
            yield Problem(
                key="search.storage", got=url.database, expected=f"a file in a directory that exists ({holder})"
            )
        if url.password and "${" not in configs.stored(config)["search"]["storage"]:
            expected = "${oc.env:NAME}, and the URL in that variable: it would be readable in files and process lists"
            yield Problem(key="search.storage", got="a URL with a password in it", expected=expected)


def network(runs: Path) -> str:
    """Return the kind of the network file system that the directory is on, "" for none."""
    kind = _file_system(_existing(runs.absolute()))
    return kind if kind in _NETWORK else ""
