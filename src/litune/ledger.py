"""The study on disk: an Optuna storage, so that Optuna's dashboard, plots and load_study work on every run.

Optuna's own classes make the schema and the study. Trials are written into its tables here, because its storage commits
each param and each report in a transaction of its own (docs/decisions/ledger.md): here one transaction holds all that
the driver learnt in one turn of its loop. What Optuna has no column for lies in the trial's user attribute `litune`,
with a fingerprint that tells a damaged row.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import signal
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - Optuna would load it at the first storage, when nothing else is left to wait for
import optuna
import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from litune import attribute
from litune.errors import LedgerDamaged, LedgerUnwritable
from litune.space import Space
from litune.suggest import shown
from litune.table import TrialRow
from litune.trial import Outcome, TrialState

FILE = "ledger.db"
ATTRIBUTE = "litune"
_OPENING = 0x6C6974756E65  # the number of the lock in PostgreSQL: "litune"

_trials: Any = models.TrialModel.__table__
_params: Any = models.TrialParamModel.__table__
_attributes: Any = models.TrialUserAttributeModel.__table__
_values: Any = models.TrialValueModel.__table__
_reports: Any = models.TrialIntermediateValueModel.__table__


def storage_url(directory: Path, storage: str | None) -> str:
    """Return the SQLAlchemy URL of a run's ledger: SQLite in its directory unless `storage` names another."""
    return storage or f"sqlite:///{directory.absolute() / FILE}"


def create(url: str, name: str, *, metric: str, maximize: bool, about: Mapping[str, Any]) -> Ledger:
    """Open the study `name`, made if it is not there; `about` (JSON) says what it is a function of, and never changes.

    A kill may come between the two steps, so either may be done already.
    """
    with _translated(url), _alone(url):
        storage = _storage(url)
        try:
            study = storage.get_study_id_from_name(name)
        except KeyError:
            direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
            study = storage.create_new_study([direction], name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                optuna.load_study(study_name=name, storage=storage).set_metric_names([metric])
        if ATTRIBUTE not in storage.get_study_user_attrs(study):
            storage.set_study_user_attr(study, ATTRIBUTE, attribute.of_study(about))
        return Ledger(url, name, storage)


class Ledger:
    """The trials of one study. Changes gather until commit(), which makes them durable in one transaction.

    `rows` is the table in memory, by trial number. One process writes at a time (study.py holds the lock).
    """

    def __init__(self, url: str, name: str, storage: RDBStorage | None = None) -> None:
        """Open the study `name`; KeyError where there is none."""
        self._url = url
        with _translated(url):
            self._engine: sa.Engine = (storage or _opened(url)).engine
            with self._engine.connect() as connection:
                self._study, self.about = _find_study(connection, name)
                try:
                    self._ids, self.rows = _read(connection, self._study)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise LedgerDamaged(f"{_place(url)}: a trial in it cannot be read: {error!r}") from error
        self._pending: list[tuple[Any, int, list[dict[str, Any]]]] = []  # statement, trial, values
        self._new: dict[int, TrialRow] = {}
        self._attributes: set[int] = set()

    def start(self, row: TrialRow, space: Space) -> None:
        """Record a trial as running: a new one, or a further attempt at one that was interrupted."""
        known = row.number in self.rows
        self.rows[row.number] = row
        self._attributes.add(row.number)
        if not known:
            self._new[row.number] = row
            self._params_of(row, space)

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
        self._pending.append((_reports.insert(), number, [columns]))

    def finish(self, number: int, outcome: Outcome) -> None:
        """Record how a trial, or a leg of it, ended."""
        for step in self.rows[number].history.keys() - outcome.history.keys():
            self._unreport(number, step)  # an earlier attempt got further than the one that counts
        for step, value in outcome.history.items():
            self.report(number, step, value)
        if self.rows[number].score is not None:  # it had ended once, and was continued as the search was given more
            same = _values.c.trial_id == sa.bindparam("key")
            self._pending.append((_values.delete().where(same), number, [{}]))
        ending = {
            name: getattr(outcome, name) for name in ("state", "score", "failure", "where", "checkpoint", "schedule")
        }
        row = replace(self.rows[number], history=dict(outcome.history), **ending)
        resting = outcome.state is TrialState.PAUSED
        seconds, restoring = row.seconds + outcome.seconds, row.restoring + outcome.restoring
        row = replace(row, seconds=seconds, restoring=restoring, resting=resting)
        self.rows[number] = row
        self._attributes.add(number)
        if row.ended:
            columns = {"state": attribute.OPTUNA_STATE[row.state], "datetime_complete": _utc(time.time())}
            self._pending.append((_trials.update().where(_trials.c.trial_id == sa.bindparam("key")), number, [columns]))
            if row.score is not None:
                stored, kind = models.TrialValueModel.value_to_stored_repr(row.score)
                columns = {"objective": 0, "value": stored, "value_type": kind}
                self._pending.append((_values.insert(), number, [columns]))

    def _unreport(self, number: int, step: int) -> None:
        same = (_reports.c.trial_id == sa.bindparam("key")) & (_reports.c.step == sa.bindparam("at"))
        self._pending.append((_reports.delete().where(same), number, [{"at": step}]))

    def commit(self) -> None:
        """Make everything recorded so far durable."""
        if not (self._new or self._pending or self._attributes):
            return
        with _uninterrupted():
            try:
                self._write()
            except sa.exc.SQLAlchemyError as error:
                cure = "what was recorded before is safe; make room, or the database reachable, and run it again"
                raise LedgerUnwritable(f"{_place(self._url)}: cannot be written: {_cause(error)}; {cure}") from error

    def _write(self) -> None:
        with self._engine.begin() as connection:
            for number, row in self._new.items():
                columns = {"number": number, "study_id": self._study, "state": OptunaState.RUNNING}
                insert = _trials.insert().values(**columns, datetime_start=_utc(row.started))
                self._ids[number] = connection.execute(insert.returning(_trials.c.trial_id)).scalar_one()
            for statement, number, rows in self._pending:
                key = "trial_id" if statement.is_insert else "key"
                connection.execute(statement, [{**row, key: self._ids[number]} for row in rows])
            touched = [self._ids[number] for number in self._attributes]
            connection.execute(_attributes.delete().where(_attributes.c.trial_id.in_(touched)))
            texts = [(self._ids[number], attribute.of_row(self.rows[number])) for number in sorted(self._attributes)]
            if texts:
                rows = [{"trial_id": key, "key": ATTRIBUTE, "value_json": text} for key, text in texts]
                connection.execute(_attributes.insert(), rows)
        self._new.clear()
        self._pending.clear()
        self._attributes.clear()

    def close(self) -> None:
        """Commit and let go of the database."""
        self.commit()
        self._engine.dispose()

    def _params_of(self, row: TrialRow, space: Space) -> None:
        rows = []
        for name, (distribution, value) in shown(space, row.params).items():
            columns = {"param_name": name, "param_value": distribution.to_internal_repr(value)}
            rows.append({**columns, "distribution_json": distribution_to_json(distribution)})
        if rows:
            self._pending.append((_params.insert(), row.number, rows))


def load_study(url: str, name: str) -> optuna.Study:
    """Return the study as Optuna sees it."""
    with _translated(url):
        return optuna.load_study(study_name=name, storage=_opened(url))


def _opened(url: str) -> RDBStorage:
    with _alone(url):
        return _storage(url)


def _storage(url: str) -> RDBStorage:
    storage = RDBStorage(url)
    if storage.engine.name == "sqlite":
        sa.event.listen(storage.engine, "connect", _durable)
        storage.engine.dispose()  # connections made from here on are durable
    return storage


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Have Ctrl-C wait: between a transaction and the note that it was made, it would have it made twice."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _alone(url: str) -> Iterator[None]:
    """Keep other processes from opening the database meanwhile: whoever opens a new one makes its tables."""
    with contextlib.ExitStack() as stack:
        if url.startswith("sqlite:///"):
            directory = os.open(Path(url.removeprefix("sqlite:///")).parent, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            fcntl.flock(directory, fcntl.LOCK_EX)
        elif sa.engine.make_url(url).get_backend_name() == "postgresql":
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            connection = stack.enter_context(engine.connect())  # the lock ends with it
            connection.execute(sa.select(sa.func.pg_advisory_lock(_OPENING)))
        yield


def _durable(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (sa.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise LedgerDamaged(f"{_place(url)}: cannot be used as a ledger: {_cause(error)}") from error


def _place(url: str) -> str:
    """Return the file of a SQLite ledger, else its URL without the password."""
    parsed = sa.engine.make_url(url)
    return parsed.database or "" if parsed.get_backend_name() == "sqlite" else parsed.render_as_string()


def _cause(error: Exception) -> str:
    """Return what the database said, without the statement that it was said to."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(getattr(error, "orig", None) or error).strip()


def _find_study(connection: sa.Connection, name: str) -> tuple[int, dict[str, Any]]:
    studies: Any = models.StudyModel.__table__
    attributes: Any = models.StudyUserAttributeModel.__table__
    study = connection.scalar(sa.select(studies.c.study_id).where(studies.c.study_name == name))
    if study is None:
        raise KeyError(name)
    mine = (attributes.c.study_id == study) & (attributes.c.key == ATTRIBUTE)
    about = connection.scalar(sa.select(attributes.c.value_json).where(mine))
    return study, attribute.study_of(about) if about else {}


def _read(connection: sa.Connection, study: int) -> tuple[dict[int, int], dict[int, TrialRow]]:
    mine = _trials.c.study_id == study
    joined = _trials.outerjoin(_values, _values.c.trial_id == _trials.c.trial_id)
    columns = (_trials.c.trial_id, _trials.c.number, _trials.c.state, _values.c.value)
    found = connection.execute(sa.select(*columns).select_from(joined).where(mine).order_by(_trials.c.number)).all()
    history: dict[int, dict[int, float]] = defaultdict(dict)
    reported = (_reports.c.trial_id, _reports.c.step, _reports.c.intermediate_value, _reports.c.intermediate_value_type)
    joined = _reports.join(_trials, _trials.c.trial_id == _reports.c.trial_id)
    to_value = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    for key, step, value, kind in connection.execute(sa.select(*reported).select_from(joined).where(mine)):
        history[key][step] = to_value(value, kind)
    joined = _attributes.join(_trials, _trials.c.trial_id == _attributes.c.trial_id)
    query = sa.select(_attributes.c.trial_id, _attributes.c.value_json).select_from(joined)
    attributes: dict[int, str] = dict(connection.execute(query.where(mine & (_attributes.c.key == ATTRIBUTE))).all())
    ids, rows = {}, {}
    for key, number, state, value in found:
        row = attribute.row_of(attributes.get(key), number, state, value, dict(sorted(history[key].items())))
        ids[number], rows[number] = key, row
    if sorted(rows) != list(range(len(rows))):
        raise LedgerDamaged(f"the ledger lacks trial {min(set(range(len(rows))) - set(rows))}")
    return ids, rows


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)
