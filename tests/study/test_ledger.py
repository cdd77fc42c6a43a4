"""A ledger that is opened again holds what was recorded last, whatever was recorded before."""

from dataclasses import replace
from pathlib import Path

import optuna

from litune.study import ledger as ledgers
from litune.trial import Failure, FailureClass, Outcome, TrialState
from tests.faults import writer


def test_what_is_recorded_anew_takes_the_place_of_what_was(tmp_path: Path) -> None:
    url = ledgers.storage_url(tmp_path, None)
    ledger = writer.opened(url, "it")

    def same() -> None:
        ledger.commit()
        again = ledgers.Ledger(url, "it")
        again.close()
        assert again.rows == ledger.rows

    writer.begin(ledger, 0)
    for step in (1, 2, 3):
        ledger.report(0, step, 0.5)
        same()
    ledger.report(0, 2, 0.75)  # of another attempt
    same()
    pruned = Outcome(state=TrialState.PRUNED, score=0.5, history={1: 0.5}, seconds=1.0)  # it came less far
    ledger.finish(0, pruned)
    same()
    ledger.record(replace(ledger.rows[0], state=TrialState.PAUSED), writer.SPACE)  # and goes on
    same()
    ledger.finish(0, Outcome(state=TrialState.COMPLETE, score=0.25, history={1: 0.5, 2: 0.25}, seconds=2.0))
    same()
    assert ledger.rows[0].seconds == 3.0
    [trial] = optuna.load_study(study_name="it", storage=url).trials
    assert (trial.value, trial.intermediate_values) == (0.25, {1: 0.5, 2: 0.25})
    writer.begin(ledger, 1)
    failure = Failure(kind=FailureClass.KILLED, message="as asked")
    ledger.finish(1, Outcome(state=TrialState.FAILED, failure=failure, history={1: float("inf")}))
    same()
    ledger.close()
