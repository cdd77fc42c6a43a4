"""What Optuna has no column for, as text: the attribute `litune` of a trial, and of the study.

Each holds a fingerprint, which tells a damaged one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from optuna.trial import TrialState as OptunaState

from litune.errors import LedgerDamaged
from litune.table import Leg, Span, TrialRow
from litune.trial import Failure, FailureClass, TrialState

ATTRIBUTE = "litune"
_DIGITS = 20  # of a fingerprint that are kept: 80 bits
OPTUNA_STATE = {
    TrialState.RUNNING: OptunaState.RUNNING,
    TrialState.PAUSED: OptunaState.RUNNING,
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}
_ENDED: dict[OptunaState, TrialState] = {
    theirs: ours for ours, theirs in OPTUNA_STATE.items() if theirs is not OptunaState.RUNNING
}


def encode_study(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a study is a function of, with its fingerprint."""
    return {**about, "fingerprint": _fingerprint(about)}


def decode_study(text: str) -> dict[str, Any]:
    """Return what encode_study was given; LedgerDamaged where it is something else."""
    try:
        about = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise LedgerDamaged(f"what the search is made of cannot be read: {error}") from error
    if about.pop("fingerprint", None) != _fingerprint(about):
        raise LedgerDamaged("what the search is made of does not match its fingerprint: it was damaged or edited")
    return about


def _fingerprint(about: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(about))  # whose keys are text, as they will be when it is read
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def encode_row(row: TrialRow, apart: Mapping[str, Any]) -> str:
    """Return the trial's text; `apart`: those of its params that Optuna's columns do not give back as they are."""
    kept = ("seed", "where", "attempt", "reused", "checkpoint", "schedule", "legs")
    about: dict[str, Any] = {name: getattr(row, name) for name in kept}
    about |= {"seconds": round(row.seconds, 6), "restoring": round(row.restoring, 6) or None}
    about |= {"retried": row.retried or None, "params": apart or None}
    if row.attempt or len(row.legs) > 1:  # Optuna's column has the first start
        about["started"] = row.started
    if len(row.spans) > 1 or (row.spans and row.spans[-1].started != row.started):
        about["spans"] = [(round(span.started, 2), round(span.seconds, 2)) for span in row.spans]
    about["failure"] = row.failure and {**asdict(row.failure), "kind": row.failure.kind.value}
    if row.ended:
        about["fingerprint"] = row.fingerprint()[:_DIGITS]
    else:  # until then Optuna has no column for its score, and only one word for both states
        about |= {"state": row.state.value, "resting": row.resting or None, "score": row.score}
    kept_values = {name: value for name, value in about.items() if value not in (None, "", ())}
    if not row.attempt:
        del kept_values["attempt"]
    return json.dumps(kept_values, separators=(",", ":"))


def decode_row(
    text: str | None,
    number: int,
    state: OptunaState,
    started: float,
    score: float | None,
    history: dict[int, float],
    params: Mapping[str, Any],
) -> TrialRow:
    """Return the trial, of whose params the text may hold some.

    Raise LedgerDamaged, or another error of reading, where the text or a column is not as written.
    """
    if text is None:
        raise LedgerDamaged(f"trial {number} was not written by litune, or its attribute 'litune' is lost")
    about = json.loads(text)
    fingerprint = about.pop("fingerprint", None)
    failure = about.pop("failure", None)
    if failure:
        about["failure"] = Failure(kind=FailureClass(failure["kind"]), message=failure["message"])
    about["params"] = {**params, **about.get("params", {})}
    about["state"] = TrialState(about["state"]) if "state" in about else _ENDED[state]
    about["schedule"] = tuple(about.get("schedule", ()))
    about["legs"] = tuple(Leg(*leg) for leg in about.get("legs", ()))
    seconds = about.get("seconds")
    alone = [(about.get("started", started), seconds)] if seconds and "reused" not in about else []
    about["spans"] = tuple(Span(*span) for span in about.get("spans", alone))
    row = TrialRow(**{"number": number, "started": started, "score": score, "history": history, **about})
    if row.ended and (row.fingerprint()[:_DIGITS] != str(fingerprint)[:_DIGITS] or state != OPTUNA_STATE[row.state]):
        raise LedgerDamaged(f"trial {number} does not match its fingerprint: the ledger was damaged or edited")
    return row
