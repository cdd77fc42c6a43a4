from conformance import BackendConformance, meaning, search


class TestOptuna(BackendConformance):
    backend = "optuna"


def test_a_backend_of_another_package_is_held_to_the_same() -> None:
    overrides = ("search.algorithm=tpe", "search.trials=18", "search.pruner=median")
    assert meaning(search("reverse", *overrides)) == meaning(search("local", *overrides))
