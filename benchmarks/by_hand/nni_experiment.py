"""python nni_experiment.py TRIALS DIR PORT: NNI's Experiment API, two trials at a time, one process a trial."""

import os
import sys
import time

from nni.experiment import Experiment

trials, root, port = int(sys.argv[1]), os.path.abspath(sys.argv[2]), int(sys.argv[3])
os.environ["BENCHMARK_ROOT"] = root
experiment = Experiment("local")
config = experiment.config
config.trial_command = f"{sys.executable} nni_trial.py"
config.trial_code_directory = os.path.dirname(os.path.abspath(__file__))
config.trial_concurrency = 2
config.max_trial_number = trials
config.tuner.name = "Random"
config.search_space = {
    "hidden": {"_type": "choice", "_value": [32, 64, 128]},
    "lr": {"_type": "loguniform", "_value": [1e-4, 1e-1]},
    "dropout": {"_type": "uniform", "_value": [0.0, 0.5]},
    "batch_size": {"_type": "choice", "_value": [32, 64, 128]},
}
experiment.start(port)
while experiment.get_status() not in ("DONE", "ERROR", "STOPPED"):
    time.sleep(0.2)
experiment.stop()
