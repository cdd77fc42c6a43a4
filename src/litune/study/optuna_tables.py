"""The ledger's trials in Optuna's tables: a whole study read at once, and a trial's params as rows.

Optuna's own storage reads a trial at a time; ledger.py uses this, and says why it writes by itself, too.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, IntDistribution, distribution_to_json, json_to_distribution
from optuna.storages._rdb import models

from litune.errors import LedgerDamaged
from litune.space.distributions import optuna_params
from litune.space.space import Space
from litune.study import database, encoding
from litune.study.encoding import ATTRIBUTE
from litune.table import TrialRow

_Rows = dict[int, TrialRow]
_SHORT = 10**6  # whole bounds below it are written without their .0

TRIALS: Any = models.TrialModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
SCORES: Any = models.TrialValueModel.__table__
REPORTS: Any = models.TrialIntermediateValueModel.__table__


def param_rows(params: Mapping[str, Any], space: Space) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    """Return the rows of a trial's params, and those of the params that the rows do not give back as they are."""
    rows, given_back = [], {}
    for name, (distribution, value) in optuna_params(space, params).items():
        given_back[name] = distribution.to_external_repr(distribution.to_internal_repr(value))
        columns = {"param_name": name, "param_value": distribution.to_internal_repr(value)}
        rows.append({**columns, "distribution_json": _as_text(repr(distribution), distribution)})
    return rows, _changed(params, given_back)


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


def find_study(connection: sa.Connection, url: str, name: str) -> tuple[int, dict[str, Any]]:
    """Return the study's key and what the ledger says of it ({} where a kill came before that); else SearchAbsent."""
    studies: Any = models.StudyModel.__table__
    attributes: Any = models.StudyUserAttributeModel.__table__
    study = connection.scalar(sa.select(studies.c.study_id).where(studies.c.study_name == name))
    if study is None:
        raise database.absent(url, name, list(connection.scalars(sa.select(studies.c.study_name))))
    mine = (attributes.c.study_id == study) & (attributes.c.key == ATTRIBUTE)
    about = connection.scalar(sa.select(attributes.c.value_json).where(mine))
    return study, encoding.decode_study(about) if about else {}


def read(connection: sa.Connection, study: int) -> tuple[dict[int, int], _Rows, dict[int, Mapping[str, Any]]]:
    """Return, by number, the trials' keys, the trials, and what their attribute must hold of their params."""

    def of_trials(table: Any, *columns: str) -> Iterable[Any]:
        """Return (key of the trial, columns ...) of each row of a table that is the study's, in order."""
        joined = table.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        query = sa.select(table.c.trial_id, *(table.c[name] for name in columns)).select_from(joined)
        return connection.execute(query.where(TRIALS.c.study_id == study).order_by(*table.primary_key))

    to_score = models.TrialValueModel.stored_repr_to_value
    scores = {key: to_score(value, kind) for key, value, kind in of_trials(SCORES, "value", "value_type")}
    texts = {key: text for key, name, text in of_trials(ATTRIBUTES, "key", "value_json") if name == ATTRIBUTE}
    history: dict[int, dict[int, float]] = defaultdict(dict)
    to_value = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    for key, step, value, kind in of_trials(REPORTS, "step", "intermediate_value", "intermediate_value_type"):
        history[key][step] = to_value(value, kind)
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    for key, name, value, text in of_trials(PARAMS, "param_name", "param_value", "distribution_json"):
        params[key][name] = _of_text(text).to_external_repr(value)
    columns = (TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state, TRIALS.c.datetime_start)
    ids, rows, apart = {}, {}, {}
    for key, number, state, start in connection.execute(
        sa.select(*columns).where(TRIALS.c.study_id == study).order_by(TRIALS.c.number)
    ):
        curve = dict(sorted(history[key].items()))
        row = encoding.decode_row(texts.get(key), number, state, _seconds(start), scores.get(key), curve, params[key])
        ids[number], rows[number], apart[number] = key, row, _changed(row.params, params[key])
    if sorted(rows) != list(range(len(rows))):
        raise LedgerDamaged(f"the ledger lacks trial {min(set(range(len(rows))) - set(rows))}")
    return ids, rows, apart


def utc(seconds: float) -> datetime.datetime:
    """Return the time as Optuna's columns have it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)


def _seconds(utc: datetime.datetime) -> float:
    return utc.replace(tzinfo=datetime.timezone.utc).timestamp()
