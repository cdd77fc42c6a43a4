"""Where experiments lie, and how Hydra reads them: experiments/*.yaml, as the group `experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf

import litune
from litune.documents import read, shown
from litune.errors import InputError, Problem, nearest

GROUP = "experiment"
DEFAULT = "digits_mlp"
SUFFIXES = (".yaml", ".yml")
_SPACES = "search_spaces"


def directories(config_dir: Path | None) -> list[Path]:
    """Return where experiments are looked for: the first that has one wins."""
    given = [config_dir / GROUP, config_dir / "experiments"] if config_dir else []
    return [*given, Path("experiments"), *_checkout("experiments")]


def _checkout(name: str) -> list[Path]:
    """Return that directory of the source checkout that litune was imported from, if it was."""
    root = Path(litune.__file__).parents[2]
    return [root / name] if (root / "pyproject.toml").is_file() else []


def known(config_dir: Path | None) -> dict[str, Path]:
    """Return every experiment's file by its name."""
    found: dict[str, Path] = {}
    for directory in directories(config_dir):
        if directory.is_dir():
            for path in sorted(directory.iterdir()):
                if path.suffix in SUFFIXES and path.is_file():
                    found.setdefault(path.stem, path)
    return found


def find(choice: str, config_dir: Path | None) -> Path:
    """Return the file of an experiment given by name or by path; raise InputError that lists the known ones."""
    if choice.endswith(SUFFIXES) or "/" in choice:
        return Path(choice)
    files = known(config_dir)
    if choice in files:
        return files[choice]
    looked = ", ".join(shown(directory) for directory in directories(config_dir))
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


def find_space(given: str | None, experiment: Path) -> str | None:
    """Return the path of the search space: as given from here, else from the experiment's project, else by its name."""
    homes = [Path(), experiment.parent.parent, experiment.parent]
    if given is not None:
        return next((str(home / given) for home in homes if (home / given).exists()), given)
    names = [f"{experiment.stem}{suffix}" for suffix in (".json", *SUFFIXES)]
    return next((str(home / _SPACES / n) for home in homes for n in names if (home / _SPACES / n).is_file()), None)


class ExperimentSource(ConfigSource):
    """Hydra's view of the experiments. `files` says what it serves; `contents` replaces what lies in a file."""

    files: dict[str, Path] = {}  # noqa: RUF012 - Hydra makes the instances, so what they serve is the class's
    contents: dict[str, dict[str, Any]] = {}  # noqa: RUF012

    @staticmethod
    def scheme() -> str:
        """Return the name that a search path gives this source."""
        return "experiments"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the experiment's config, to be laid over the whole config."""
        name = self._name(config_path)
        data = self.contents[name] if name in self.contents else dict(read(self.files[name]).data)
        return ConfigResult(
            config=OmegaConf.create(data), path="experiments://", provider=self.provider, header={"package": "_global_"}
        )

    def available(self) -> bool:
        """Say that the source exists."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Say whether this is the one group that is served here."""
        return config_path == GROUP

    def is_config(self, config_path: str) -> bool:
        """Say whether there is such an experiment."""
        return config_path.startswith(f"{GROUP}/") and self._name(config_path) in self.files

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return what lies under the path, for help and completion."""
        if config_path == "" and results_filter in (None, ObjectType.GROUP):
            return [GROUP]
        if config_path == GROUP and results_filter in (None, ObjectType.CONFIG):
            return sorted(self.files)
        return []

    @staticmethod
    def _name(config_path: str) -> str:
        name = config_path.removeprefix(f"{GROUP}/")
        return name.removesuffix(".yaml").removesuffix(".yml")
