"""Hydra, knowing our schema, backends and experiments; it writes nothing and stays in the current directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf, open_dict

from litune import backends
from litune.config import config as configs
from litune.config import experiments
from litune.config.documents import read
from litune.config.experiments import GROUP
from litune.config.schema import BACKENDS

DEFAULT_BACKEND = "optuna"
PRIMARY = "litune"


@contextmanager
def opened(config_dir: Path | None, backend: str = DEFAULT_BACKEND) -> Iterator[Hydra]:
    """Give a Hydra that knows our schema, backends and experiments; it writes nothing and stays where it is."""
    version.setbase("1.3")
    store = ConfigStore.instance()
    defaults = ["_self_", {"backend": DEFAULT_BACKEND}, {experiments.GROUP: experiments.DEFAULT}]
    schema = configs.schema()
    with open_dict(schema):
        schema.defaults = defaults
        schema.hydra = {"run": {"dir": "."}, "sweep": {"dir": ".", "subdir": "."}, "output_subdir": None}
    store.store(PRIMARY, schema)
    for name in BACKENDS if backend in BACKENDS else backends.names():
        store.store(name, configs.backend_schema(name), group="backend")
    Plugins.instance().register(ExperimentSource)
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    path.append("experiments", f"{ExperimentSource.scheme()}://")
    if config_dir:
        path.append("command-line", f"file://{config_dir.absolute()}")
    path.append("schema", "structured://")
    ExperimentSource.files = experiments.known(config_dir)
    ExperimentSource.contents = {}
    try:
        yield Hydra.create_main_hydra2(task_name="litune", config_search_path=path)
    finally:
        GlobalHydra.instance().clear()


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
