"""The search as a Tune run: our searcher asks the study, and writes the ledger as Tune calls it back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from omegaconf import DictConfig
from ray import tune
from ray.tune.search import Searcher

from litune.backends import View
from litune.backends.ray import checks, native, node_parent
from litune.backends.ray.trainable import ABOUT, MESSAGES, OBJECTIVE, train
from litune.errors import SearchFailed
from litune.space.space_file import dump
from litune.study.study import Study
from litune.trial import FailureClass, Job, Outcome, TrialState
from litune.workers.child import failed
from litune.workers.pool import Workers

_LOOK = 1.0  # seconds between two looks at the warm parent


class Over(BaseException):
    """The search is over: leave Tune's loop at once, where it would wait a second for its actors to end."""


class StudySearcher(Searcher):  # type: ignore[misc]  # Ray has no types
    """Tune's searcher: hands on the study's jobs, and hands the study what the trials say.

    It is the ledger's writer in place of a tune.Callback: with one, Tune imports every logger's package to count it.
    """

    def __init__(self, study: Study, suggest: native.Suggest | None, about: Mapping[str, Any], most: float) -> None:
        super().__init__(metric=OBJECTIVE, mode=study.objective.mode)
        self._study, self._suggest, self._about, self._most = study, suggest, about, most
        self._jobs: dict[str, Job] = {}  # by Ray's id of the trial

    def __deepcopy__(self, _memo: object) -> StudySearcher:
        """Return itself: Tune copies what it is given, but there is one study."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: what Tune pickles of us is never read."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the config of the next Ray trial; None if none may start before another ends."""
        study = self._study
        if study.done:
            return str(Searcher.FINISHED)
        if len(study.running) >= self._most:
            return None
        job = self._suggest(trial_id) if self._suggest else study.ask()
        if job is None:
            return None
        self._jobs[trial_id] = job
        return {**job.params, ABOUT: json.dumps({"job": job.to_json(), **self._about})}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Hand the study what a trial has reported."""
        if job := self._jobs.get(trial_id):
            for message in json.loads(result.get(MESSAGES, "[]")):
                if message["type"] == "report":
                    self._study.report(job.number, message["step"], message["metrics"])
                else:
                    self._tell(trial_id, Outcome.from_json(message))
        if self._suggest and OBJECTIVE in result:
            self._suggest.reported(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how a trial ended: by its own outcome, lost, or stopped by Ray's scheduler."""
        self.on_trial_result(trial_id, result or {})
        if job := self._jobs.get(trial_id):
            history = self._study.rows[job.number].history
            if error or not history:
                lost = "the Ray actor that ran it is gone"
                self._tell(trial_id, failed(FailureClass.LOST, lost, {}, 0.0))
            else:
                score = self._study.objective.score(history)
                seconds = time.time() - self._study.rows[job.number].started
                stopped = Outcome(state=TrialState.PRUNED, score=score, history=history, seconds=seconds)
                self._tell(trial_id, stopped)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger is the record."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def _tell(self, trial_id: str, outcome: Outcome) -> None:
        job = self._jobs.pop(trial_id)
        self._study.tell(job.number, outcome)
        if self._suggest:
            self._suggest.ended(trial_id, outcome)


class SearchStopper(tune.Stopper):  # type: ignore[misc]  # Ray has no types
    """A turn of Tune's loop: ledger made durable, picture drawn, parent looked at, what comes next decided."""

    def __init__(self, study: Study, view: View, parent: SharedParent, *, decides: bool) -> None:
        self._study, self._view, self._parent = study, view, parent
        self._decides = decides  # whether the study does, not a searcher of Ray's

    def __deepcopy__(self, _memo: object) -> SearchStopper:
        """Return itself, as there is one study."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: what Tune pickles of us is never read."""
        return {}

    def __call__(self, _trial_id: str, _result: Mapping[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Leave Tune when the study is done."""
        self._study.commit()
        self._view.refresh()
        self._parent.look()
        if self._study.done:
            raise Over
        if self._decides:
            self._study.prepare()
        return False


class SharedParent:
    """The driver's own warm parent, opened to the trials of this Ray node, and replaced when somebody kills it."""

    def __init__(self, workers: Workers, study: Study) -> None:
        self._listener = node_parent.listen(str(study.directory))
        workers.listen(self._listener)
        self._workers: Workers | node_parent.ParentProcess = workers
        self._about = (study.config, dump(study.space))
        self._looked = time.monotonic()

    def look(self) -> None:
        """Start another if it is gone. Not forked from here: by now this process has Ray's threads."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        if not self._workers.alive():
            self._workers = node_parent.ParentProcess(self._listener, *self._about)

    def close(self) -> None:
        """Close the socket, and end a parent that was started here."""
        self._listener.close()
        if isinstance(self._workers, node_parent.ParentProcess):
            self._workers.close()


def run(study: Study, workers: Workers, view: View, config: DictConfig) -> None:
    """Run the study's trials through Tune; Ray is there already."""
    scheduler = native.scheduler(config, study.space)
    searcher = native.searcher(config, study.space)
    suggest = native.Suggest(searcher, study, view) if searcher else None
    legs = native.legs(scheduler)
    home = {"node": ray.get_runtime_context().get_node_id(), "directory": str(study.directory)}
    native_rules = bool(scheduler or searcher)
    about = {"home": {**home, "space": dump(study.space)}, "leg": legs, "one_by_one": native_rules}
    most = float("inf") if legs else study.parallel  # a scheduler that lets trials wait for others has them wait in Ray
    parent = SharedParent(workers, study)
    try:
        tune.run(
            tune.with_resources(train, checks.share_of(config)),
            name="ray",
            storage_path=str(study.directory),
            search_alg=StudySearcher(study, suggest, about, most),
            scheduler=scheduler,
            num_samples=-1,
            stop=SearchStopper(study, view, parent, decides=suggest is None),
            reuse_actors=True,
            raise_on_failed_trial=False,
            trial_name_creator=_name,
            trial_dirname_creator=_directory,
            max_concurrent_trials=0,
            verbose=0,
            progress_reporter=tune.CLIReporter(),  # quiet by verbose=0; a notebook's would clear the cell
            _remote=False,
        )
    except Over:
        pass
    finally:
        parent.close()
    if not study.done:
        raise SearchFailed(f"Ray Tune ended before the search was done; its record: {Path(study.directory, 'ray')}")


def _name(trial: Any) -> str:
    return f"{json.loads(trial.config[ABOUT])['job']['number']:04d}"


def _directory(trial: Any) -> str:
    return f"{_name(trial)}-{trial.trial_id}"
