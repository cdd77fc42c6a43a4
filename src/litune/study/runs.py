"""Run directories: finding one, reading it, writing its best. Their names: identity.py; to open one: opening.py.

runs/NAME/config.yaml      the config as given, interpolations unresolved
runs/NAME/space.json       the search space
runs/NAME/ledger.db        every trial (ledger.py)
runs/NAME/lock             held by the driver (lock.py)
runs/NAME/trials/0007/     config.yaml, log.txt, csv/, tensorboard/, checkpoints/
runs/NAME/best.yaml        the best trial's config, for train.py
runs/NAME/search.log       what a detached search prints
runs/NAME/report.html      by `litune report`; beside it confirm/ and replays/, by the commands of these names
runs/NAME/ray, nni         what these keep of their own; ray-page is the address of Ray's dashboard, while it is up
runs/NAME/outcome.json     in place of a ledger, for a single training: how it ended
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune.config import config as configs
from litune.errors import InputError, LedgerDamaged, Problem, nearest
from litune.space.space import Space
from litune.study import database, description
from litune.study import ledger as ledgers
from litune.study.ledger import Ledger
from litune.table import TrialRow
from litune.training import checkpoints
from litune.trial import TrialState

BEST = "best.yaml"
OUTCOME = "outcome.json"  # in the directory of a single training: how it ended
RAY_PAGE = "ray-page"


def find(run: str, root: Path = Path("runs")) -> Path:
    """Return the directory of a run given by its path, or by its name under `root`."""
    for directory in (Path(run), root / run):
        if (directory / "config.yaml").is_file():
            return directory.absolute()
    for directory in (Path(run), root / run):
        if is_search(directory):
            raise InputError(_lost(directory / "config.yaml"))
    known = sorted(path.parent.name for path in root.glob("*/config.yaml"))
    expected = "a run directory" + (
        f"; under {root}/ there are: {', '.join(known)}" if known else f"; {root}/ has none"
    )
    above = Path(run).parent
    around = str(above) if Path(run).is_file() and (above / "config.yaml").is_file() else None
    near = around or nearest(Path(run).name, known)
    raise InputError(Problem(key="run", got=repr(run), expected=expected, nearest=near))


def is_search(directory: Path) -> bool:
    """Say whether the directory is a search's, and not of a single training or trial."""
    return any((directory / name).exists() for name in ("space.json", ledgers.FILE))


def read(directory: Path) -> tuple[DictConfig, Space, Ledger]:
    """Return the config, space and ledger of a run."""
    if not (directory / "space.json").is_file():
        if (directory / ledgers.FILE).exists():
            raise InputError(_lost(directory / "space.json"))
        expected = "the directory of a search, which has a space.json"
        raise InputError(Problem(where=str(directory), got="a single training or trial", expected=expected))
    config, space = description.read(directory)
    url = ledgers.storage_url(directory, config.search.storage)
    if (file := database.file_of(url)) and not file.exists():
        raise _gone(file, directory)
    ledger = Ledger(url, directory.name)
    ledger.close()  # its rows are read; whoever asks it for more has it connect again
    if not ledger.about:
        raise LedgerDamaged(f"{directory}: it was killed before its first trial", "the search's own command begins it")
    return config, space, ledger


def _gone(file: Path, directory: Path) -> LedgerDamaged:
    what = f"{file}: there is no such file"
    if file == directory.absolute() / ledgers.FILE:
        return LedgerDamaged(what)
    return LedgerDamaged(what, f"bring it back, or say where it is now: search.storage in {directory / 'config.yaml'}")


def _lost(path: Path) -> Problem:
    return Problem(where=str(path), got="no such file", expected="it beside the ledger", cure=description.CURE)


def best_config(config: DictConfig, row: TrialRow, terms: Mapping[str, Any]) -> DictConfig:
    """Return the config that trains a trial again, to the same bits."""
    again = {"name": None, "seed": row.seed, "search.threads": terms["threads"]}
    again["search.algorithm"] = terms["algorithm"]  # `auto` would not say whether it was trained in legs
    return configs.merge(configs.merge(config, row.params), again)


def write_best(directory: Path, config: DictConfig, row: TrialRow, terms: Mapping[str, Any], note: str = "") -> Path:
    """Write best.yaml, with the note in its head, and return its path."""
    path = directory / BEST
    head = f"# trial {row.number} of {directory.name}: {config.objective.metric} = {row.score!r}\n"
    if row.schedule:
        head += (
            "# its params changed while it trained; with these, the last ones, from the start on it scores otherwise\n"
        )
        row = replace(row, params=row.schedule[-1]["params"])
    if row.state is TrialState.PRUNED:
        head += f"# after {len(row.history)} validations, where the search left it; this config trains it to its end\n"
    head += f"# {note}\n" if note else ""
    if checkpoint := checkpoints.of_trial(directory, row):
        inside = checkpoint.is_relative_to(directory)  # and stays so, wherever the directory is moved
        head += f"# its checkpoint: {checkpoint.relative_to(directory) if inside else checkpoint}\n"
    path.write_text(head + configs.snapshot(best_config(config, row, terms)))
    return path
