"""What carries a trial's params from one place to another gives back the same values, whatever the space."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litune.space.distributions import completed
from litune.space.space_file import parse
from litune.study import ledger as ledgers
from litune.table import Span, TrialRow
from litune.trial import Job, TrialState
from tests.faults import writer
from tests.space.test_space_file import descriptions

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = ledgers.storage_url(tmp_path_factory.mktemp("ledger"), None)
    ledgers.create(url, "it", maximize=True, metric="score", about={}).close()
    return url


@given(descriptions, seeds)
@settings(max_examples=40, deadline=None)
def test_the_ledger_gives_back_the_params_in_value_and_type(url, description, seed):
    space = parse(description)
    ledger = ledgers.Ledger(url, "it")
    first = len(ledger.rows)
    given = [completed(space, {}, number, seed) for number in range(3)]
    for number, params in enumerate(given, first):
        ledger.record(TrialRow(number=number, state=TrialState.RUNNING, params=params, seed=1), space)
    ledger.close()
    read = ledgers.Ledger(url, "it").rows
    for number, params in enumerate(given, first):
        assert repr(sorted(read[number].params.items())) == repr(sorted(params.items()))


@given(descriptions, seeds)
@settings(max_examples=40, deadline=None)
def test_a_job_gives_back_the_params_in_value_and_type(description, seed):
    params = completed(parse(description), {}, 0, seed)
    job = Job(number=1, params=params, config={}, directory="", seed=1, threads=1)
    sent = json.loads(json.dumps(job.to_json()))
    assert repr(Job.from_json(sent).params) == repr(params)


@given(descriptions, seeds)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_a_searcher_of_rays_draws_is_in_the_space(description, seed):
    pytest.importorskip("ray")
    from ray.tune.search.optuna import OptunaSearch

    from litune.backends.ray import native

    space = parse(description)
    searcher = OptunaSearch(seed=seed)
    assert searcher.set_search_properties("score", "max", native.domains(space))
    for trial in "ab":
        latents = searcher.suggest(trial)
        assert space.misfits(space.draw(lambda key, drawn=latents: drawn[native.flat(key)])) == []


def test_a_ledger_that_said_more_of_a_trial_is_read_as_it_is(tmp_path):
    url = ledgers.storage_url(tmp_path, None)
    ledger = writer.opened(url, "it")
    writer.record(ledger, 0)
    ledger.close()
    row = ledgers.Ledger(url, "it").rows[0]
    before = {"seed": 0, "seconds": 0.25, "started": 1.0625, "state": "COMPLETE", "fingerprint": row.fingerprint()[:32]}
    with sqlite3.connect(tmp_path / ledgers.FILE) as file:
        file.execute("update trial_user_attributes set value_json = ?", (json.dumps(before),))
    told = replace(row, started=1.0625, seconds=0.25, spans=(Span(1.0625, 0.25),))
    assert ledgers.Ledger(url, "it").rows == {0: told}
