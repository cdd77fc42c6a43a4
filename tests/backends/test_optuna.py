from conformance import BackendConformance


class TestOptuna(BackendConformance):
    backend = "optuna"


class TestThirdParty(BackendConformance):
    backend = "reverse"
