"""python optuna_loop.py TRIALS DIR: the loop of Optuna's tutorial, one process, SQLite."""

import sys

import optuna
from digits import train

trials, root = int(sys.argv[1]), sys.argv[2]
optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    params = {
        "hidden": trial.suggest_categorical("hidden", [32, 64, 128]),
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
    }
    return train(params, f"{root}/{trial.number}")


sampler = optuna.samplers.TPESampler(seed=1)
study = optuna.create_study(direction="maximize", storage=f"sqlite:///{root}/optuna.db", sampler=sampler)
study.optimize(objective, n_trials=trials)
