"""python ray_tune.py TRIALS DIR [reuse]: Ray Tune's function API, two trials at a time; `reuse` keeps its actors."""

import os
import sys

import ray
from ray import tune

trials, root, reuse = int(sys.argv[1]), os.path.abspath(sys.argv[2]), "reuse" in sys.argv[3:]
here = os.path.dirname(os.path.abspath(__file__))


def trainable(params):
    sys.path.insert(0, here)
    from digits import train

    tune.report({"val_acc": train(params, os.path.join(root, tune.get_context().get_trial_id()))})


ray.init(include_dashboard=False, num_cpus=2, logging_level="ERROR", log_to_driver=False)
tuner = tune.Tuner(
    trainable,
    param_space={
        "hidden": tune.choice([32, 64, 128]),
        "lr": tune.loguniform(1e-4, 1e-1),
        "dropout": tune.uniform(0.0, 0.5),
        "batch_size": tune.choice([32, 64, 128]),
    },
    tune_config=tune.TuneConfig(
        num_samples=trials, metric="val_acc", mode="max", max_concurrent_trials=2, reuse_actors=reuse
    ),
    run_config=tune.RunConfig(storage_path=root, verbose=0),
)
tuner.fit()
