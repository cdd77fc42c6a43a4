"""Finding experiments (experiments/NAME.yaml) and search spaces (search_spaces/NAME.json) by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import litune
from litune.config.documents import display_path, read
from litune.errors import InputError, Problem, nearest

GROUP = "experiment"
DEFAULT = "digits_mlp"
SUFFIXES = (".yaml", ".yml")
_SPACES = "search_spaces"
_LONGEST = 71  # of the 80 characters that a run's name may have; a dash and a digest follow


def directories(config_dir: Path | None) -> list[Path]:
    """Return where experiments are looked for: the first that has one wins."""
    here = Path("experiments")
    return [*_given(config_dir), here, *(place for place in _checkout("experiments") if place != here.absolute())]


def _given(config_dir: Path | None) -> list[Path]:
    return [config_dir / GROUP, config_dir / "experiments"] if config_dir else []


def _checkout(name: str) -> list[Path]:
    """Return that directory of the source checkout that litune was imported from, if it was."""
    root = Path(litune.__file__).parents[2]
    return [root / name] if (root / "pyproject.toml").is_file() else []


def default(config_dir: Path | None) -> str:
    """Return the experiment where none is named: of a config directory that has some the only one, or "", for none."""
    own = _files(_given(config_dir))
    if not own or DEFAULT in own:
        return DEFAULT
    return next(iter(own)) if len(own) == 1 else ""


def known(config_dir: Path | None) -> dict[str, Path]:
    """Return every experiment's file by its name."""
    return _files(directories(config_dir))


def _files(places: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for directory in places:
        if directory.is_dir():
            for path in sorted(directory.iterdir()):
                if path.suffix in SUFFIXES and path.is_file():
                    found.setdefault(path.stem, path)
    return found


def find(choice: str, config_dir: Path | None) -> Path:
    """Return the file of an experiment given by name or by path; raise InputError that lists the known ones."""
    files = known(config_dir)
    if (choice.endswith(SUFFIXES) or "/" in choice) and (Path(choice).exists() or Path(choice).stem not in files):
        return Path(choice)
    if choice in files:
        return files[choice]
    looked = ", ".join(display_path(directory) for directory in directories(config_dir))
    expected = f"one of {', '.join(sorted(files))}" if files else "the name of an experiment or the path of its YAML"
    raise InputError(
        Problem(
            key=GROUP,
            got=choice or "nothing",
            expected=expected,
            nearest=nearest(choice, files),
            cure=f"looked in {looked}",
        )
    )


def in_a_name(experiment: str) -> str:
    """Return the experiment's name as a run's name has it: each of its parts that has no place there becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", experiment)[:_LONGEST]


def find_space(given: str | None, experiment: Path) -> str | None:
    """Return the path of the search space: as given, or by its name, the experiment's by default.

    It is looked for here, in the experiment's project, and beside the experiment. A run's config.yaml has the
    space.json beside it, unless another one is given than it names: that file may be gone, or not as it was.
    """
    own = experiment.with_name("space.json")
    if experiment.name == "config.yaml" and own.is_file() and given in (None, _named_in(experiment)):
        return str(own)
    homes = _homes(experiment)
    names = [f"{given or experiment.stem}{suffix}" for suffix in (".json", *SUFFIXES)]
    named = [home / _SPACES / name for home in homes for name in names]
    typed = [home / given for home in homes] if given is not None else []
    found = next((path for path in [*typed, *named] if path.is_file()), None) or next(filter(Path.exists, typed), None)
    return str(found) if found else given


def own_space(experiment: Path) -> Path:
    """Return where the search space of an experiment's name belongs."""
    return experiment.parent.parent / _SPACES / f"{experiment.stem}.json"


def _named_in(file: Path) -> str | None:
    """Return the space that a config's own file names."""
    search = read(file).data.get("search")
    return search.get("space") if isinstance(search, Mapping) else None


def spaces(experiment: Path) -> dict[str, Path]:
    """Return the search space files that find_space knows by name."""
    found: dict[str, Path] = {}
    for home in _homes(experiment):
        for path in sorted((home / _SPACES).glob("*.*")):
            found.setdefault(path.stem, path)
    return found


def _homes(experiment: Path) -> list[Path]:
    return [Path(), experiment.parent.parent, experiment.parent]
