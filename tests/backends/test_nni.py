import pytest
from conformance import BackendConformance

pytest.importorskip("nni")


class TestNni(BackendConformance):
    backend = "nni"
