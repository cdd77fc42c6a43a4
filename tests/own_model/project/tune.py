"""The search of conf/experiment/waves.yaml, from Python: python tune.py BACKEND."""

import sys

from my_forecast.models import Forecaster
from my_forecast.series import Waves

import litune

if __name__ == "__main__":
    result = litune.search(
        model=Forecaster,
        data=Waves,
        space={
            "model.learning_rate": litune.loguniform(1e-4, 1e-1),
            "model.units": litune.choice([4, 8, 16]),
            "data.batch_size": [16, 32],
        },
        metric="forecast/rmse",
        mode="min",
        trials=6,
        backend=sys.argv[1],
        name=f"python-{sys.argv[1]}",
        model_args={"momentum": 0.5},
        data_args={"window": 10},
        trainer={"max_epochs": 3, "accelerator": "cpu", "log_every_n_steps": 1},
        algorithm="tpe",
        pruner="median",
        parallel=2,
        threads=1,
    )
    print(result.digest)
