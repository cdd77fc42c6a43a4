"""What a search found, as Python sees it: read from the run directory, so that it can be had again at any time."""

from __future__ import annotations

import pickle
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from omegaconf import DictConfig

from litune import table
from litune.config import config as configs
from litune.errors import InputError, LituneError, Problem
from litune.study import confirmation, ledger, runs
from litune.table import TrialRow
from litune.targets import functions, targets
from litune.targets.locate import trust
from litune.targets.signatures import TARGET
from litune.training import checkpoints
from litune.trial import directory_in

if TYPE_CHECKING:
    import optuna
    import pandas as pd

_BEFORE, _AFTER = ("number", "state", "score"), ("seconds", "failure")  # the columns beside those of the params
_SAID = 300  # characters of what torch says, which may list every layer


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best trial: its params, its score, its checkpoint (None for a function, or if none was kept)."""

    number: int
    params: Mapping[str, Any]
    score: float
    checkpoint: Path | None
    directory: Path
    config: DictConfig = field(repr=False)

    def load(self) -> Any:
        """Return the model as it was at its best validation, in evaluation mode.

        Raise InputError without a checkpoint, and LituneError for one that could run code, or of a model that has its
        layers only where a Trainer calls it.
        """
        if self.checkpoint is None:
            cure = "search.keep_checkpoints says how many trials keep theirs"
            got = f"no checkpoint of trial {self.number}"
            raise InputError(Problem(where=str(self.directory), got=got, expected="one to load", cure=cure))
        from litune.training import stand_ins, training

        trust(self.config.allow)
        model = training.build_module(targets.typed(self.config))
        try:
            state = stand_ins.load(self.checkpoint, self.config)
        except pickle.UnpicklingError as error:
            raise checkpoints.refused(self.checkpoint, error) from error
        with _as_trained(self.checkpoint, model):
            model.configure_model()  # with what follows, as Lightning's load_from_checkpoint does it
        model.on_load_checkpoint(state)
        with _as_trained(self.checkpoint, model):
            model.load_state_dict(state["state_dict"], strict=model.strict_loading)
        return model.eval()


class SearchResult:
    """A search by its run directory. `rows` is the trial table."""

    def __init__(self, directory: str | Path) -> None:
        """Read the run in the directory, or of that name under runs/."""
        self.directory = runs.find(str(directory))
        self.config, self.space, book = runs.read(self.directory)
        self.rows: list[TrialRow] = [book.rows[number] for number in sorted(book.rows)]
        self._terms = book.about["terms"]

    @property
    def best(self) -> Best:
        """The best complete trial, the confirmed one if there is one; raise InputError where none was completed."""
        rows = {row.number: row for row in self.rows}
        row, _ = confirmation.chosen(self.directory, rows, configs.objective(self.config))
        if row is None:
            raise InputError(Problem(where=str(self.directory), got="no trial that was completed", expected="one"))
        assert row.score is not None
        return Best(
            number=row.number,
            params=self._params(row),
            score=row.score,
            checkpoint=checkpoints.of_trial(self.directory, row),
            directory=directory_in(self.directory, row.number),
            config=runs.best_config(self.config, row, self._terms),
        )

    @overload
    def trials(self, form: Literal["rows"] = "rows") -> list[dict[str, Any]]: ...
    @overload
    def trials(self, form: Literal["pandas"]) -> pd.DataFrame: ...
    def trials(self, form: str = "rows") -> Any:
        """Return a row a trial: number, state, score, its params, seconds, failure; as dicts, or as a DataFrame.

        A function's param that is called as one of these is there by its key in the config, as function.score.
        """
        names = {key: self._known_as(key) for key in self.space.names}
        names = {key: key if name in (*_BEFORE, *_AFTER) else name for key, name in names.items()}
        rows = [
            {
                "number": row.number,
                "state": row.state.value,
                "score": row.score,
                **{name: row.params[key] for key, name in names.items() if key in row.params},
                "seconds": row.seconds,
                "failure": row.failure.kind.value if row.failure else None,
            }
            for row in self.rows
        ]
        if form != "pandas":
            return rows
        import pandas as pd

        return pd.DataFrame(rows, columns=[*_BEFORE, *names.values(), *_AFTER]).set_index("number")

    @property
    def study(self) -> optuna.Study:
        """The run as Optuna's study, for its plots and its dashboard."""
        return ledger.load_study(self.directory, self.config.search.storage)

    @property
    def digest(self) -> str:
        """One hash of the whole trial table: equal digests, the same search."""
        return table.digest(self.rows)

    def report(self, form: Literal["html", "md"] = "html") -> Path:
        """Write what the search found as one page into the run directory and return its path."""
        from litune.report import page

        path = self.directory / f"report.{form}"
        page.write_report(str(self.directory), form, str(path))
        return path

    def __repr__(self) -> str:
        ended = sum(row.ended for row in self.rows)
        return f"<SearchResult {self.directory.name}: {ended} trials, digest {self.digest[:8]}>"

    def _params(self, row: TrialRow) -> dict[str, Any]:
        """Return a trial's params; those of a function by the names that it knows them by."""
        return {self._known_as(key): value for key, value in row.params.items()}

    def _known_as(self, key: str) -> str:
        return key.removeprefix(f"{functions.SECTION}.") if self.config.function.get(TARGET) else key


@contextmanager
def _as_trained(checkpoint: Path, model: Any) -> Iterator[None]:
    """Raise LituneError where, in the with statement, the model as it is made without a Trainer does not fit."""
    try:
        yield
    except RuntimeError as error:
        said = textwrap.shorten(str(error).rstrip(". "), _SAID)
        cause = "layers made in setup(), or from self.trainer, are there only where a Trainer has the model"
        cure = "make them in __init__() or configure_model(), or use `litune test` or `litune predict`, which have one"
        what = f"does not fit a new {type(model).__name__}"
        raise LituneError(f"{checkpoint}: {what}: {said}; {cause}: {cure}") from error
