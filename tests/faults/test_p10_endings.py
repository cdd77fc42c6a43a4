"""P10: each ending of a trial has its true state and class. The searches are those of the conformance suite."""

import pytest
from conformance import ENDINGS, every_ending, search

from tests.faults.tallies import FULL, tally


@pytest.mark.skipif(not FULL, reason="the conformance suite has looked at the same searches; here they are counted")
def test_each_ending_has_its_state_and_class(backend: str) -> None:
    with tally("P10", backend) as one:
        found = every_ending(backend)
        for name, kind in ENDINGS.items():
            with one.attempt():
                assert found[name]["state"] == ("FAILED" if kind else "COMPLETE")
                assert (found[name]["failure"] or {}).get("kind") == kind, name
        with one.attempt():
            table = search(backend, "search.algorithm=tpe", "search.trials=18", "search.pruner=median")
            pruned = [row for row in table if row["state"] == "PRUNED"]
            assert pruned
            assert all(row["failure"] is None and len(row["history"]) < 4 for row in pruned)
