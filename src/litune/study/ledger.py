"""The study on disk: an Optuna storage, so that Optuna's dashboard, plots and load_study work on every run.

Optuna's own classes make the schema and the study. Trials are written into its tables here, because its storage commits
each param and each report in a transaction of its own (docs/decisions/ledger.md): here one transaction holds all that
the driver learnt in one turn of its loop. What Optuna has no column for lies in the trial's user attribute `litune`,
with a fingerprint that tells a damaged row.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - Optuna would load it at the first storage, when nothing else is left to wait for
import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from litune import interrupts
from litune.errors import LedgerDamaged, LedgerUnwritable, SearchAbsent
from litune.space.space import Space
from litune.study import database, encoding, optuna_tables
from litune.study.encoding import ATTRIBUTE
from litune.study.optuna_tables import ATTRIBUTES, PARAMS, REPORTS, SCORES, TRIALS
from litune.table import Span, TrialRow
from litune.trial import Outcome, TrialState

FILE = "ledger.db"

# each statement is one object, as SQLAlchemy compiles it once, and changes by the same one in a row go together
_DRAW, _REPORT, _SCORE, _TELL = PARAMS.insert(), REPORTS.insert(), SCORES.insert(), ATTRIBUTES.insert()
_KEY: Any = sa.bindparam("key")  # the trial's, in a statement that changes or deletes
_END = TRIALS.update().where(TRIALS.c.trial_id == _KEY)
_UNREPORT = REPORTS.delete().where(REPORTS.c.trial_id == _KEY, REPORTS.c.step == sa.bindparam("at"))
_UNSCORE = SCORES.delete().where(SCORES.c.trial_id == _KEY)
_FORGET = ATTRIBUTES.delete().where(ATTRIBUTES.c.trial_id == _KEY, ATTRIBUTES.c.key == ATTRIBUTE)


def storage_url(directory: Path, storage: str | None) -> str:
    """Return the SQLAlchemy URL of a run's ledger: SQLite in its directory unless `storage` names another."""
    return storage or database.url_of(str(directory.absolute() / FILE))


def create(
    url: str, name: str, *, metric: str, maximize: bool, about: Mapping[str, Any], begun: bool = False
) -> Ledger:
    """Open the study `name`, made if it is not there; `about` (JSON) says what it is a function of, and never changes.

    A kill may come between the two steps, so either may be done already. `begun`: a trial of it was started before, so
    that it is an error if it is not there.
    """
    with database.translated(url), database.alone(url):
        storage = database.storage(url)
        try:
            study = storage.get_study_id_from_name(name)
        except KeyError:
            if begun:
                names = [known.study_name for known in storage.get_all_studies()]
                raise database.absent(url, name, names) from None
            direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
            study = storage.create_new_study([direction], name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                optuna.load_study(study_name=name, storage=storage).set_metric_names([metric])
        if ATTRIBUTE not in storage.get_study_user_attrs(study):
            storage.set_study_user_attr(study, ATTRIBUTE, encoding.encode_study(about))
        return Ledger(url, name, storage)


class Ledger:
    """The trials of one study. Changes gather until commit(), which makes them durable in one transaction.

    None of them is left half done by Ctrl-C: what is in memory, what is durable and what is pending belong together.
    `rows` is the table in memory, by trial number. One process writes at a time (study.py holds the lock).
    """

    def __init__(self, url: str, name: str, storage: RDBStorage | None = None) -> None:
        """Open the study `name`; LedgerDamaged where there is none."""
        self._url = url
        with database.translated(url):
            self._engine: sa.Engine = (storage or database.opened(url)).engine
            with database.at_one_moment(self._engine) as connection:
                try:
                    self._study, self.about = optuna_tables.find_study(connection, url, name)
                    self._ids, self.rows, self._apart = optuna_tables.read(connection, self._study)
                except SearchAbsent:
                    raise
                except LedgerDamaged as error:
                    raise LedgerDamaged(f"{database.place(url)}: {error.what}") from error
                except (ValueError, TypeError, LookupError, AttributeError) as error:
                    raise LedgerDamaged(f"{database.place(url)}: a trial in it cannot be read: {error!r}") from error
        self._pending: list[tuple[Any, int, list[dict[str, Any]]]] = []  # statement, trial, values
        self._new: dict[int, TrialRow] = {}
        self._attributes: set[int] = set()

    @interrupts.held_back()
    def record(self, row: TrialRow, space: Space) -> None:
        """Record how a trial that has not ended stands: new, running again, or set aside."""
        known = row.number in self.rows
        self.rows[row.number] = row
        self._attributes.add(row.number)
        if not known:
            self._new[row.number] = row
            rows, self._apart[row.number] = optuna_tables.param_rows(row.params, space)
            if rows:
                self._pending.append((_DRAW, row.number, rows))

    @interrupts.held_back()
    def report(self, number: int, step: int, value: float) -> None:
        """Record the objective's value of one validation."""
        row = self.rows[number]
        previous = row.history.get(step)
        if previous == value:
            return
        self.rows[number] = replace(row, history={**row.history, step: value})
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        if previous is not None:
            self._unreport(number, step)
        columns = {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}
        self._pending.append((_REPORT, number, [columns]))

    @interrupts.held_back()
    def finish(self, number: int, outcome: Outcome) -> None:
        """Record how a trial, or a leg of it, ended."""
        for step in self.rows[number].history.keys() - outcome.history.keys():
            self._unreport(number, step)  # an earlier attempt got further than the one that counts
        for step, value in outcome.history.items():
            self.report(number, step, value)
        if self.rows[number].score is not None:  # it had ended once, and was continued as the search was given more
            self._pending.append((_UNSCORE, number, [{}]))
        ending = {
            name: getattr(outcome, name) for name in ("state", "score", "failure", "where", "checkpoint", "schedule")
        }
        row = replace(self.rows[number], history=dict(outcome.history), **ending)
        resting = outcome.state is TrialState.PAUSED
        seconds, restoring = row.seconds + outcome.seconds, row.restoring + outcome.restoring
        spans = (*row.spans, Span(row.started, outcome.seconds)) if outcome.seconds else row.spans
        row = replace(row, seconds=seconds, restoring=restoring, resting=resting, spans=spans)
        self.rows[number] = row
        self._attributes.add(number)
        if row.ended:
            columns = {"state": encoding.OPTUNA_STATE[row.state], "datetime_complete": optuna_tables.utc(time.time())}
            self._pending.append((_END, number, [columns]))
            if row.score is not None:
                stored, kind = models.TrialValueModel.value_to_stored_repr(row.score)
                columns = {"objective": 0, "value": stored, "value_type": kind}
                self._pending.append((_SCORE, number, [columns]))

    def _unreport(self, number: int, step: int) -> None:
        self._pending.append((_UNREPORT, number, [{"at": step}]))

    @interrupts.held_back()
    def commit(self) -> None:
        """Make everything recorded so far durable."""
        if not (self._new or self._pending or self._attributes):
            return
        try:
            self._write()
        except sa.exc.SQLAlchemyError as error:
            cure = "what was recorded before is safe; make room, or the database reachable, and run it again"
            raise LedgerUnwritable(
                f"{database.place(self._url)}: cannot be written: {database.cause(error)}; {cure}"
            ) from error

    def _write(self) -> None:
        with self._engine.begin() as connection:
            for number, row in self._new.items():
                columns = {"number": number, "study_id": self._study, "state": OptunaState.RUNNING}
                insert = TRIALS.insert().values(**columns, datetime_start=optuna_tables.utc(row.started))
                self._ids[number] = connection.execute(insert.returning(TRIALS.c.trial_id)).scalar_one()
            for statement, changes in itertools.groupby(self._pending, key=lambda change: change[0]):
                key = "trial_id" if statement.is_insert else "key"
                rows = [{**row, key: self._ids[number]} for _, number, rows in changes for row in rows]
                connection.execute(statement, rows)
            if self._attributes:
                numbers = sorted(self._attributes)
                connection.execute(_FORGET, [{"key": self._ids[number]} for number in numbers])
                texts = [{"trial_id": self._ids[number], "value_json": self._text(number)} for number in numbers]
                connection.execute(_TELL, [{**text, "key": ATTRIBUTE} for text in texts])
        self._new.clear()
        self._pending.clear()
        self._attributes.clear()

    def _text(self, number: int) -> str:
        return encoding.encode_row(self.rows[number], self._apart.get(number, {}))

    def close(self) -> None:
        """Commit and let go of the database."""
        self.commit()
        self._engine.dispose()


def load_study(directory: Path, storage: str | None) -> optuna.Study:
    """Return a run's study as Optuna sees it; `storage` as for storage_url."""
    url = storage_url(directory, storage)
    with database.translated(url):
        return optuna.load_study(study_name=directory.name, storage=database.opened(url))
