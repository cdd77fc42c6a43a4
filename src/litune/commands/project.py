"""`litune init`: a project with a model, its data, an experiment and a space, all to be replaced by one's own."""

from __future__ import annotations

import keyword
import re
import sys
from importlib import resources
from pathlib import Path
from string import Template

from litune.arguments import WHERE
from litune.errors import InputError, Problem

_FILES = {  # where it goes in the project, and its template
    "search.py": "search.py",
    "experiments/$package.yaml": "experiment.yaml",
    "search_spaces/$package.json": "search_space.json",
    "nni_config.yml": "nni_config.yml",
    "$package/__init__.py": "package.py",
    "$package/model.py": "model.py",
    "$package/data.py": "data.py",
    "tests/test_search.py": "test_search.py",
}
_TAKEN = {"experiments", "search_spaces", "search", "tests", "runs", "litune"}


def create(directory: Path, package: str | None, model: str, data: str) -> int:
    """Write the project and say what to run; raise InputError for a name that Python or the project cannot have."""
    package = package or re.sub(r"\W", "_", directory.absolute().name.lower(), flags=re.ASCII)
    names = {"package": package, "model": model, "data": data}
    problems = [
        Problem(where=WHERE, key=f"--{key}", got=repr(name), expected=expected)
        for key, name in names.items()
        if (expected := _misnamed(key, name))
    ]
    texts = {directory / Template(path).substitute(names): _text(template, names) for path, template in _FILES.items()}
    problems += [
        Problem(where=WHERE, got=f"{path}, which is there already", expected="a directory without it")
        for path in texts
        if path.exists()
    ]
    if problems:
        raise InputError(problems)
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(path)
    except OSError as error:
        expected, cure = "a directory that can be made and written to", f"{error.strerror}: {error.filename}"
        raise InputError(Problem(where=WHERE, got=str(directory), expected=expected, cure=cure)) from error
    print(f"\ncd {directory}\npython search.py\npython -m pytest")
    return 0


def _misnamed(key: str, name: str) -> str:
    """Return what a name should be; "" for a good one."""
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        return "a Python name: letters, digits and _"
    if key == "package" and (name in _TAKEN or name in sys.stdlib_module_names):
        return "a name that no other module has"
    return ""


def _text(template: str, names: dict[str, str]) -> str:
    text = (resources.files("litune") / "templates" / f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(names)
