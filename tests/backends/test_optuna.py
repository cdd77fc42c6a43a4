from conformance import BackendConformance, meaning, search


class TestOptuna(BackendConformance):
    backend = "optuna"


def test_a_backend_of_another_package_is_held_to_the_same() -> None:
    overrides = ("search.algorithm=tpe", "search.trials=18", "search.pruner=median")
    assert meaning(search("reverse", *overrides)) == meaning(search("local", *overrides))


def test_a_trial_starts_no_thread_before_it_trains() -> None:
    table = search("optuna", "search.threads=1", "objective.metric=born_among", "search.trials=3")
    assert [row["score"] for row in table] == [1.0, 1.0, 1.0]  # idle threads of OpenBLAS would spin
