"""Ray Tune: its actors run the trials, on this machine or a cluster; what is tried, recorded and meant is litune's own.

cluster.py     Ray, started or joined, and left again
watch.py       ends Ray's processes with the driver, however that ends
lean.py        a cluster of our own without the processes that a search has no use for
worker.py      the process that becomes an actor, with its imports made beforehand
tuning.py      the Tune run: the searcher and stopper that it asks speak with the study
native.py      searchers and schedulers of Ray's own, by name, on our space
population.py  trials that go on with other params: pbt, pb2
trainable.py   what runs in an actor: a thin client of the warm parent on its node
node_parent.py the warm parent of a node that is not the driver's
checks.py      what can be told to be wrong before Ray starts
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from litune.backends import View
    from litune.space.space import Space
    from litune.study.study import Study
    from litune.workers.pool import Workers

WARM_PARENT = True


def check(config: DictConfig, space: Space) -> None:
    """Raise InputError for a search that Ray could not run as asked."""
    from litune.backends.ray import checks, cluster

    cluster.set_environment(config.backend)  # before anything imports Ray
    checks.check(config, space)


def prepare(config: DictConfig, _space: Space) -> AbstractContextManager[Any]:
    """Start or join Ray, while the warm parent imports torch; leave it at the end."""
    from litune.backends.ray import checks, cluster
    from litune.parallelism import parallel_of

    return cluster.joined(config.backend, checks.share_of(config), parallel_of(config))


def run(study: Study, workers: Workers, view: View) -> None:
    """Run the study's trials through Ray Tune."""
    from litune.backends.ray import checks, cluster, tuning
    from litune.config import config as configs

    config = configs.from_plain(study.config)
    with (
        cluster.joined(config.backend, checks.share_of(config), study.parallel),
        cluster.pending(study.parallel),
        cluster.page_noted(study.directory, view),
    ):
        tuning.run(study, workers, view, config)
