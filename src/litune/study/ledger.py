"""The study on disk: an Optuna storage, so that Optuna's dashboard, plots and load_study work on every run.

Optuna's own classes make the schema and the study. Trials are written into its tables here, because its storage commits
each param and each report in a transaction of its own (docs/decisions/ledger.md): here one transaction holds all that
the driver learnt in one turn of its loop. What Optuna has no column for lies in the trial's user attribute `litune`,
with a fingerprint that tells a damaged row.
"""

from __future__ import annotations

import datetime
import functools
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - Optuna would load it at the first storage, when nothing else is left to wait for
import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, IntDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from litune import interrupts
from litune.errors import LedgerDamaged, LedgerUnwritable, SearchAbsent
from litune.space.distributions import optuna_params
from litune.space.space import Space
from litune.study import database, encoding
from litune.table import Span, TrialRow
from litune.trial import Outcome, TrialState

FILE = "ledger.db"
ATTRIBUTE = "litune"
_SHORT = 10**6  # whole bounds below it are written without their .0

_trials: Any = models.TrialModel.__table__
_params: Any = models.TrialParamModel.__table__
_attributes: Any = models.TrialUserAttributeModel.__table__
_values: Any = models.TrialValueModel.__table__
_reports: Any = models.TrialIntermediateValueModel.__table__


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
                    self._study, self.about = _find_study(connection, url, name)
                    self._ids, self.rows, self._apart = _read(connection, self._study)
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
            self._params_of(row, space)

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
        self._pending.append((_reports.insert(), number, [columns]))

    @interrupts.held_back()
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
        ran = outcome.seconds and row.reused is None
        spans = (*row.spans, Span(row.started, outcome.seconds)) if ran else row.spans
        row = replace(row, seconds=seconds, restoring=restoring, resting=resting, spans=spans)
        self.rows[number] = row
        self._attributes.add(number)
        if row.ended:
            columns = {"state": encoding.OPTUNA_STATE[row.state], "datetime_complete": _utc(time.time())}
            self._pending.append((_trials.update().where(_trials.c.trial_id == sa.bindparam("key")), number, [columns]))
            if row.score is not None:
                stored, kind = models.TrialValueModel.value_to_stored_repr(row.score)
                columns = {"objective": 0, "value": stored, "value_type": kind}
                self._pending.append((_values.insert(), number, [columns]))

    def _unreport(self, number: int, step: int) -> None:
        same = (_reports.c.trial_id == sa.bindparam("key")) & (_reports.c.step == sa.bindparam("at"))
        self._pending.append((_reports.delete().where(same), number, [{"at": step}]))

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
                insert = _trials.insert().values(**columns, datetime_start=_utc(row.started))
                self._ids[number] = connection.execute(insert.returning(_trials.c.trial_id)).scalar_one()
            for statement, number, rows in self._pending:
                key = "trial_id" if statement.is_insert else "key"
                connection.execute(statement, [{**row, key: self._ids[number]} for row in rows])
            touched = [self._ids[number] for number in self._attributes]
            ours = _attributes.c.trial_id.in_(touched) & (_attributes.c.key == ATTRIBUTE)
            connection.execute(_attributes.delete().where(ours))
            texts = [(self._ids[number], self._text(number)) for number in sorted(self._attributes)]
            if texts:
                rows = [{"trial_id": key, "key": ATTRIBUTE, "value_json": text} for key, text in texts]
                connection.execute(_attributes.insert(), rows)
        self._new.clear()
        self._pending.clear()
        self._attributes.clear()

    def _text(self, number: int) -> str:
        return encoding.encode_row(self.rows[number], self._apart.get(number, {}))

    def close(self) -> None:
        """Commit and let go of the database."""
        self.commit()
        self._engine.dispose()

    def _params_of(self, row: TrialRow, space: Space) -> None:
        rows, given_back = [], {}
        for name, (distribution, value) in optuna_params(space, row.params).items():
            given_back[name] = distribution.to_external_repr(distribution.to_internal_repr(value))
            columns = {"param_name": name, "param_value": distribution.to_internal_repr(value)}
            rows.append({**columns, "distribution_json": _as_text(repr(distribution), distribution)})
        self._apart[row.number] = _changed(row.params, given_back)
        if rows:
            self._pending.append((_params.insert(), row.number, rows))


@functools.lru_cache(maxsize=1000)
def _as_text(_shown: str, distribution: BaseDistribution) -> str:
    """Return the distribution as Optuna reads it, and short, as it is kept with each param: without its defaults.

    It is remembered by what it shows as, too: choices of 0 and 1 equal those of false and true.
    """
    plain = json.loads(distribution_to_json(distribution))
    by_default = {"log": False, "step": 1 if isinstance(distribution, IntDistribution) else None}
    given = {name: value for name, value in plain["attributes"].items() if value != by_default.get(name, ...)}
    floats = {name: value for name, value in given.items() if isinstance(value, float) and abs(value) < _SHORT}
    whole = {name: int(value) for name, value in floats.items() if value.is_integer()}
    return json.dumps({**plain, "attributes": {**given, **whole}}, separators=(",", ":"))


_of_text = functools.lru_cache(maxsize=1000)(json_to_distribution)


def _changed(params: Mapping[str, Any], given_back: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return those of the params that come back otherwise, in value or type, from Optuna's columns."""
    same = {name for name, value in given_back.items() if _is(params.get(name), value)}
    return {name: value for name, value in params.items() if name not in same}


def _is(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def load_study(url: str, name: str) -> optuna.Study:
    """Return the study as Optuna sees it."""
    with database.translated(url):
        return optuna.load_study(study_name=name, storage=database.opened(url))


def _find_study(connection: sa.Connection, url: str, name: str) -> tuple[int, dict[str, Any]]:
    studies: Any = models.StudyModel.__table__
    attributes: Any = models.StudyUserAttributeModel.__table__
    study = connection.scalar(sa.select(studies.c.study_id).where(studies.c.study_name == name))
    if study is None:
        raise database.absent(url, name, list(connection.scalars(sa.select(studies.c.study_name))))
    mine = (attributes.c.study_id == study) & (attributes.c.key == ATTRIBUTE)
    about = connection.scalar(sa.select(attributes.c.value_json).where(mine))
    return study, encoding.decode_study(about) if about else {}


_Rows = dict[int, TrialRow]


def _read(connection: sa.Connection, study: int) -> tuple[dict[int, int], _Rows, dict[int, Mapping[str, Any]]]:
    """Return, by number, the trials' keys, the trials, and what their attribute must hold of their params."""
    mine = _trials.c.study_id == study
    joined = _trials.outerjoin(_values, _values.c.trial_id == _trials.c.trial_id)
    columns = (_trials.c.trial_id, _trials.c.number, _trials.c.state, _trials.c.datetime_start, _values.c.value)
    found = connection.execute(sa.select(*columns).select_from(joined).where(mine).order_by(_trials.c.number)).all()
    history: dict[int, dict[int, float]] = defaultdict(dict)
    reported = (_reports.c.trial_id, _reports.c.step, _reports.c.intermediate_value, _reports.c.intermediate_value_type)
    joined = _reports.join(_trials, _trials.c.trial_id == _reports.c.trial_id)
    to_value = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    for key, step, value, kind in connection.execute(sa.select(*reported).select_from(joined).where(mine)):
        history[key][step] = to_value(value, kind)
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    held = (_params.c.trial_id, _params.c.param_name, _params.c.param_value, _params.c.distribution_json)
    joined = _params.join(_trials, _trials.c.trial_id == _params.c.trial_id)
    for key, name, value, text in connection.execute(sa.select(*held).select_from(joined).where(mine)):
        params[key][name] = _of_text(text).to_external_repr(value)
    joined = _attributes.join(_trials, _trials.c.trial_id == _attributes.c.trial_id)
    query = sa.select(_attributes.c.trial_id, _attributes.c.value_json).select_from(joined)
    attributes: dict[int, str] = dict(connection.execute(query.where(mine & (_attributes.c.key == ATTRIBUTE))).all())
    ids, rows, apart = {}, {}, {}
    for key, number, state, start, value in found:
        curve = dict(sorted(history[key].items()))
        row = encoding.decode_row(attributes.get(key), number, state, _seconds(start), value, curve, params[key])
        ids[number], rows[number], apart[number] = key, row, _changed(row.params, params[key])
    if sorted(rows) != list(range(len(rows))):
        raise LedgerDamaged(f"the ledger lacks trial {min(set(range(len(rows))) - set(rows))}")
    return ids, rows, apart


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)


def _seconds(utc: datetime.datetime) -> float:
    return utc.replace(tzinfo=datetime.timezone.utc).timestamp()
