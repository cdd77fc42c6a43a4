"""`litune doctor`: the installation's versions, processors, extras, and packages that do not work together."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from litune.commands.finding import Finding
from litune.workers import resources

CORE = (
    "litune", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "optuna", "hydra-core", "omegaconf", "numpy",
    "scikit-learn", "tensorboard", "rich",
)  # fmt: skip
EXTRAS = {"ray": "ray", "nni": "nni", "dashboard": "optuna-dashboard", "plots": "matplotlib", "wandb": "wandb"}
_MALICIOUS_LIGHTNING = ("2.6.2", "2.6.3")
_TESTED_PAIR = "torch==2.15.0 torchvision==0.29.2"


def main() -> int:
    """Print what is installed, and what is wrong with it; return 1 if something is."""
    found = {name: _version(name) for name in (*CORE, *EXTRAS.values(), "setuptools", "lightning")}
    rows = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "cores": f"{resources.cores()} of {os.cpu_count()}",
        "GPUs": "; ".join(_gpus()) or "none",
        **{name: found[name] or "MISSING" for name in CORE},
        **{f"extra {extra}": found[name] or f"no; pip install 'litune[{extra}]'" for extra, name in EXTRAS.items()},
    }
    for name, text in rows.items():
        print(f"{name:<18} {text}", flush=True)
    ailments = [*diagnose(found, _torch_of_torchvision()), *_imports()]
    for ailment in ailments:
        print(f"\nBAD: {ailment.what}\n     cure: {ailment.cure}")
    if not ailments:
        print("\nall is well")
    return 1 if ailments else 0


def diagnose(found: Mapping[str, str | None], needed: str = "") -> Iterator[Finding]:
    """Yield what is wrong with these versions (package -> version, None where it is absent).

    `needed` is the torch that the torchvision asks for, as in `torch==2.13.0`.
    """
    for name in CORE:
        if name in found and found[name] is None:
            yield Finding(what=f"{name} is not installed", cure=f"pip install {name}")
    torch, vision = found.get("torch"), found.get("torchvision")
    if torch and vision and needed and not Requirement(needed).specifier.contains(torch, prereleases=True):
        what = f"torchvision {vision} is built for {needed}, not for torch {torch}: importing it, and Lightning, fails"
        yield Finding(what=what, cure=f"pip install {_TESTED_PAIR}")
    for name in ("pytorch-lightning", "lightning"):
        if found.get(name) in _MALICIOUS_LIGHTNING:
            what = f"{name} {found[name]} was a malicious release: treat this machine's credentials as stolen"
            yield Finding(what=what, cure=f"pip install '{name}!=2.6.2,!=2.6.3'")
    setuptools = found.get("setuptools")
    if found.get("nni") and setuptools and _numbers(setuptools)[0] >= 81:
        what = f"setuptools {setuptools} has no pkg_resources, which nnictl imports"
        yield Finding(what=what, cure="pip install 'setuptools<81'")


def _imports() -> Iterator[Finding]:
    """Yield what cannot be imported, such as a torchvision that was built for another torch of the same version."""
    command = [sys.executable, "-c", "import torchvision, pytorch_lightning"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words, no shell
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        cure = f"pip install --force-reinstall {_TESTED_PAIR}, both from one index"
        yield Finding(what=f"torchvision and pytorch_lightning cannot be imported: {said}", cure=cure)


def _torch_of_torchvision() -> str:
    try:
        lines = requires("torchvision") or []
    except PackageNotFoundError:
        return ""
    return next((line for line in lines if Requirement(line).name == "torch"), "")


def _gpus() -> list[str]:
    """Return the GPUs as nvidia-smi names them; torch is not asked, since it may be what is broken."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [f"GPU {index}" for index in resources.gpus()]
    query = [program, "--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603 - no shell
    except (OSError, subprocess.SubprocessError) as error:
        return [f"nvidia-smi fails: {error}"]
    return done.stdout.strip().splitlines()


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.partition("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal()) or (0,)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
