"""The tuner that NNI's dispatcher loads: it asks the driver for every suggestion and has none of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nni import NoMoreTrialError
from nni.tuner import Tuner

from litune.backends.nni import wire


class DriverTuner(Tuner):  # type: ignore[misc]  # nni has no types
    """Hand on what the driver suggests; a request waits until the driver lets its trial start."""

    def __init__(self, directory: str) -> None:
        """Connect to the driver of the run in `directory`."""
        self._driver = wire.connect(directory)
        self._driver.send({"type": "tuner"})
        self._answers = self._driver.messages()

    def update_search_space(self, search_space: Any) -> None:
        """Leave the space to the driver, which has it."""

    def generate_parameters(self, parameter_id: int, **_: Any) -> Any:
        """Return the next trial's params; NoMoreTrialError when the search is over."""
        self._driver.send({"type": "next", "id": parameter_id})
        answer = next(self._answers, None)
        if answer is None:
            raise NoMoreTrialError("the search is over")
        return answer["params"]

    def generate_multiple_parameters(self, parameter_id_list: list[int], **_: Any) -> list[Any]:
        """Return a list that is filled while NNI walks through it, so the first trial need not wait for the second."""
        return _Awaited(self, parameter_id_list)

    def receive_trial_result(self, *_: Any, **__: Any) -> None:
        """Leave results to the driver, which has them from the trial itself."""


class _Awaited(list[Any]):
    def __init__(self, tuner: DriverTuner, ids: list[int]) -> None:
        super().__init__()
        self._tuner, self._ids = tuner, ids

    def __iter__(self) -> Iterator[Any]:
        for parameter_id in self._ids:
            try:
                self.append(self._tuner.generate_parameters(parameter_id))
            except NoMoreTrialError:
                return
            yield self[-1]
