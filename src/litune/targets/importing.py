"""Importing what a dotted name leads to, and what is said where it leads nowhere or into a broken module.

locate.py calls it, for names that may be imported.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from litune.config.documents import display_path
from litune.errors import Problem, nearest

_LISTED = 12  # a longer list of names would hide the rest of the message
_importing: list[str] = []


def importing() -> str:
    """Return the module that is imported here now; "" if none."""
    return _importing[-1] if _importing else ""


def is_own_file(path: Path, here: Path | None = None) -> bool:
    """Say whether a file lies below `here` (the current directory), and not in a library that is installed there."""
    installed = {Path(library) for name, library in sysconfig.get_paths().items() if name != "data"}
    return (
        path.is_relative_to(here or Path.cwd())
        and not any(path.is_relative_to(library) for library in installed)
        and not {"site-packages", "dist-packages"} & set(path.parts)
    )


def own_frame(frames: Sequence[traceback.FrameSummary]) -> traceback.FrameSummary:
    """Return the last of the frames that lies in the user's own code; the last of all where none does."""
    own = [frame for frame in frames if is_own_file(Path(frame.filename))]
    return (own or frames)[-1]


def missing(root: str) -> str:
    """Return that there is no such module, and how one is found that lies in src/."""
    in_src = any(Path("src", name).exists() for name in (root, f"{root}.py"))
    cure = " outside src/; install your project (pip install -e .), or set PYTHONPATH=src" if in_src else ""
    return f"there is no module {root}{cure}"


def imported(path: str) -> Any:
    """Return what the name stands for, or the Problem with it."""
    parts = path.split(".")
    module: ModuleType | None = None
    depth = 0
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        try:
            with _noted(name):
                module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                return _broken(path, error)
            depth -= 1
            break
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
            return _broken(path, error)
    if module is None:
        return Problem(got=path, expected="an installed package", cure=missing(parts[0]))
    found: Any = module
    for part in parts[depth:]:
        if not hasattr(found, part) or isinstance(getattr(found, part), ModuleType):
            return _absent(path, found, part)
        found = getattr(found, part)
    return found


@contextlib.contextmanager
def _noted(name: str) -> Iterator[None]:
    _importing.append(name)
    try:
        yield
    finally:
        _importing.pop()


def _absent(path: str, owner: Any, part: str) -> Problem:
    """Return the problem of a name that its module or class does not have, or that is a module."""
    home = getattr(owner, "__name__", str(owner))
    below = [module.name for module in pkgutil.iter_modules(getattr(owner, "__path__", []))]
    if path == f"{home}.{part}" and part in below:
        return Problem(got=f"{path} ({part} is a module)", expected=f"a class in it: {path}.NAME")
    if isinstance(getattr(owner, part, None), ModuleType):
        return Problem(got=f"{path} ({part} is a module)", expected=f"a class defined in {home}")
    classes = [name for name, value in vars(owner).items() if isinstance(value, type) and not name.startswith("_")]
    others = [name for name in dir(owner) if not name.startswith("_")]
    alike = nearest(part, classes) or nearest(part, [*others, *below])
    known = f": {', '.join(classes)}" if 0 < len(classes) <= _LISTED else ""
    return Problem(got=path, expected=f"a class in {home}{known}", nearest=f"{home}.{alike}" if alike else None)


def _broken(path: str, error: BaseException) -> Problem:
    """Return the problem of a module that raises while it is imported: its own file and line."""
    said = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
        frame = own_frame(frames) if frames else None
        file, line = (frame.filename, frame.lineno) if frame else (path, None)
    place = f"{display_path(Path(file))}:{line}" if line else file
    hider = _hider(error)
    cure = f"rename {hider}, which hides a library" if hider else f"{place}: {said}"
    return Problem(got=path, expected="a module that can be imported", cure=cure)


def _hider(error: BaseException) -> str:
    """Return the user's file that was found in place of a library that the import wanted; "" if none."""
    package, dot, _ = (getattr(error, "name", None) or "").partition(".")
    file = Path(getattr(sys.modules.get(package), "__file__", None) or "")
    if not (isinstance(error, ModuleNotFoundError) and dot and file == Path.cwd() / f"{package}.py"):
        return ""
    known = package in sys.stdlib_module_names or package in importlib.metadata.packages_distributions()
    return display_path(file) if known else ""
