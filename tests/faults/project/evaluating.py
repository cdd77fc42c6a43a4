"""A module that is busy within a text that Python evaluates, as many libraries are while they are imported."""

exec('import time; print("evaluating", flush=True); time.sleep(600)')  # noqa: S102 - the fault
