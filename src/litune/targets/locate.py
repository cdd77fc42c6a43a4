"""Which dotted names may be imported and called; importing.py then imports them.

A config may come from somebody else, so it must not be able to run just anything. Allowed are
  - of the frameworks (torch, torchvision, torchmetrics, pytorch_lightning, lightning) and litune.tasks: classes of the
    kinds that a training is made of, and torchvision's model functions; torch.load and torch.hub.load are neither;
  - classes of modules that lie in the current directory;
  - whatever is defined in a module that the config lists under `allow`.
Python's own name for the script or notebook that was started, `__main__`, is none of a file's: see named().
What counts is where a thing is defined: a name that leads out of its own package (my_pkg.os.system) is refused.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from litune.errors import InputError, Problem, nearest
from litune.targets.importing import imported, is_own_file, missing

MAIN = "__main__"
FRAMEWORKS = ("torch", "torchvision", "torchmetrics", "pytorch_lightning", "lightning", "litune")
_NAME = re.compile(r"(?!\d)\w+(\.(?!\d)\w+)+", re.ASCII)
_FUNCTIONS = ("torchvision.models.", "litune.tasks.")
_CLASSES = (
    *_FUNCTIONS, "torchvision.transforms.",
    *(f"{lightning}.{part}." for lightning in ("pytorch_lightning", "lightning.pytorch")
      for part in ("callbacks", "loggers", "strategies", "profilers", "plugins")),
)  # fmt: skip
_LIGHTNING = ("pytorch_lightning.", "lightning.pytorch.")
_KINDS = {  # base class -> where those of the frameworks are defined that do nothing but what they are for
    "torch.nn.modules.module.Module": ("torch.nn.", "torchvision.", "torchmetrics.", *_LIGHTNING),
    "torch.optim.optimizer.Optimizer": ("torch.optim.",),
    "torch.optim.lr_scheduler.LRScheduler": ("torch.optim.",),
    "torch.utils.data.dataset.Dataset": ("torch.utils.data.dataset.", "torchvision.datasets."),
    "torch.utils.data.sampler.Sampler": ("torch.utils.data.",),
    "torch.utils.data.dataloader.DataLoader": ("torch.utils.data.dataloader.",),
    "pytorch_lightning.core.datamodule.LightningDataModule": _LIGHTNING,
    "lightning.pytorch.core.datamodule.LightningDataModule": _LIGHTNING,
}
_UNPICKLING = ("torchvision.datasets.lsun.",)  # read whatever lies in a directory by pickle

_trusted: set[str] = set()


def trust(modules: Iterable[str]) -> None:
    """Allow, in this process from now on, the modules that a config lists under `allow`."""
    _trusted.update(modules)


def locate(path: str) -> Callable[..., Any]:
    """Return the class or function of that dotted name; raise InputError if it cannot or may not be had."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a console script starts without it
    trusted = frozenset(_trusted)
    found = _in_main(path, trusted) if path.startswith(f"{MAIN}.") else _located(path, trusted, here)
    if isinstance(found, Problem):
        raise InputError(found)
    assert callable(found)
    return found


def named(target: Any) -> str:
    """Return the dotted name by which locate() finds a class or function again; raise InputError where none does.

    What a script defines goes by the script's own module name, so that another process can import it. What a notebook's
    cell or an interactive session defines has no file: only forks of this process can find it.
    """
    module = target.__module__
    if module == MAIN and (script := _script()):
        module = script
        sys.modules.setdefault(script, sys.modules[MAIN])  # else it would be run again to be imported
    name = f"{module}.{target.__qualname__}"
    trust([name])
    for _ in range(2):
        if "<" not in name and locate(name) is target:
            return name
        _located.cache_clear()  # its module was loaded again since
    cure = "define it at the top level of a module, and import it from there"
    raise InputError(Problem(got=name, expected="a class or function that its own name leads to", cure=cure))


def _script() -> str:
    """Return the module name of the script that was started; "" for a notebook, an interactive session, `python -c`."""
    file = getattr(sys.modules[MAIN], "__file__", None)
    if file is None or not Path(file).is_file() or "get_ipython" in vars(sys.modules[MAIN]):
        return ""
    spec = sys.modules[MAIN].__spec__
    if spec is not None:  # python -m package.module
        return spec.name
    stem = Path(file).stem
    return stem if stem.isidentifier() and stem not in sys.stdlib_module_names else ""


def _in_main(path: str, trusted: frozenset[str]) -> object:
    """Return what this process's own script, cell or session defines under the name, or the Problem with it."""
    found: Any = sys.modules[MAIN]
    for part in path.split(".")[1:]:
        found = getattr(found, part, None)
    if path in trusted and callable(found):
        return found
    cure = "put it into a module (a file, such as my_model.py), and import it from there"
    expected = "a class or function in a module: this one was defined in a notebook or an interactive session"
    return Problem(got=path, expected=expected, cure=cure)


@functools.cache
def _located(path: str, trusted: frozenset[str], here: str) -> object:
    """Return the target, or the Problem with it: a broken module is imported, and shown, once."""
    if not _NAME.fullmatch(path) or "__" in path:
        dotted = path.replace(":", ".")
        alike = dotted if dotted != path and _NAME.fullmatch(dotted) else None
        return Problem(got=repr(path), expected="the dotted name of a class, such as my_module.MyModel", nearest=alike)
    root = path.partition(".")[0]
    if root not in FRAMEWORKS and not _is_trusted(path, trusted) and not _is_own(root, here):
        return _stranger(path, root, trusted, here)
    found = imported(path)
    return found if isinstance(found, Problem) else _refused(path, found, trusted, here) or found


def _stranger(path: str, root: str, trusted: frozenset[str], here: str) -> Problem:
    known = [*FRAMEWORKS[:-1], *sorted(trusted)]
    expected = f"a name in {', '.join(known)}, or a module in the current directory"
    if _spec(root) is None:
        own = [module.name for module in pkgutil.iter_modules([here])]
        alike = nearest(root, [*known, *own])
        near = alike and path.replace(root, alike, 1)
        return Problem(got=path, expected=expected, nearest=near, cure=missing(root))
    return Problem(got=path, expected=expected, cure=_allowing(root))


def _allowing(root: str) -> str:
    """Return how to allow a package; nothing for those that no training is made of."""
    if root in FRAMEWORKS or root in sys.stdlib_module_names:
        return ""
    return f"if you trust it, add it to the config: allow: [{root}]"


def _is_trusted(path: str, trusted: frozenset[str]) -> bool:
    return any(path == module or path.startswith(f"{module}.") for module in trusted)


def _is_own(root: str, here: str) -> bool:
    """Say whether the top-level module lies below the current directory, and is not an installed one."""
    spec = _spec(root)
    places = [spec.origin] if spec and spec.origin else list(spec.submodule_search_locations or ()) if spec else []
    return bool(places) and all(is_own_file(Path(place), Path(here)) for place in places)


def _spec(root: str) -> Any:
    try:
        return importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return None


def _refused(path: str, target: Any, trusted: frozenset[str], here: str) -> Problem | None:
    """Return why the target may not be called, judged by where it is defined."""
    if not isinstance(target, type) and not inspect.isroutine(target):
        return Problem(got=f"{path} ({type(target).__name__})", expected="a class")
    home = f"{target.__module__}.{target.__qualname__}"
    if target.__module__ == MAIN and (script := _script()):
        home = f"{script}.{target.__qualname__}"
    root = home.partition(".")[0]
    if _is_trusted(home, trusted):
        return None
    if isinstance(target, type):
        bases = [f"{base.__module__}.{base.__qualname__}" for base in target.__mro__]
        homes = (*_CLASSES, *(place for base in bases for place in _KINDS.get(base, ())))
        if home.startswith(homes) and not home.startswith(_UNPICKLING):
            return None
        if root not in FRAMEWORKS and _is_own(root, here):
            return None
    elif home.startswith(_FUNCTIONS):
        return None
    expected = "a class" if root not in FRAMEWORKS and _is_own(root, here) else "a class that a training is made of"
    return Problem(got=f"{path} ({home})" if path != home else path, expected=expected, cure=_allowing(root))
