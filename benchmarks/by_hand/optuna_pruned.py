"""python optuna_pruned.py EXPERIMENT EPOCHS SEED DIR CLOCK: Optuna's default search until so many epochs are spent.

TPE and MedianPruner, one process, SQLite, Lightning's own logging and the best epoch's checkpoint. CLOCK: live.py's.
"""

import json
import logging
import os
import sys
import warnings

import optuna
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from benchmarks.live import Clock
from litune.tasks import digits, mnist

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
optuna.logging.set_verbosity(optuna.logging.ERROR)

experiment, budget, seed, root, clock = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
metric, mode = ("val_acc", "max") if experiment == "digits_mlp" else ("valid_loss", "min")
trainer_args = json.loads(os.environ["LIVE_TRAINER"])
spent = 0


class Digits(digits.MLP):
    def __init__(self, lr, **model):
        super().__init__(**model)
        self.lr = lr

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Mnist(mnist.CNN):
    def __init__(self, lr, **model):
        super().__init__(**model)
        self.lr = lr

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": metric}}


class Report(Callback):
    def __init__(self, trial):
        self.trial, self.best = trial, None

    def on_validation_end(self, trainer, _module):
        global spent
        spent += 1
        value = float(trainer.callback_metrics[metric])
        better = max if mode == "max" else min
        self.best = value if self.best is None else better(self.best, value)
        self.trial.report(value, trainer.current_epoch)
        trainer.should_stop = self.trial.should_prune() or spent >= budget


def objective(trial):
    pl.seed_everything(seed, verbose=False)
    lr = trial.suggest_float("lr", *((1e-4, 1e-1) if experiment == "digits_mlp" else (3e-4, 0.03)), log=True)
    if experiment == "digits_mlp":
        hidden = trial.suggest_categorical("hidden", [32, 64, 128])
        model = Digits(lr, hidden=hidden, dropout=trial.suggest_float("dropout", 0.0, 0.5))
        data = digits.Digits(batch_size=trial.suggest_categorical("batch_size", [32, 64, 128]))
    else:
        model = Mnist(lr, dropout=trial.suggest_float("dropout", 0.0, 0.6, step=0.05))
        batch_size = trial.suggest_categorical("batch_size", [64, 128, 256])
        data = mnist.MNISTData(root=os.environ["LIVE_MNIST"], batch_size=batch_size)
    report = Report(trial)
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[report, Clock(clock, metric), ModelCheckpoint(monitor=metric, mode=mode)],
        logger=TensorBoardLogger(f"{root}/{trial.number}"),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **trainer_args,
    )
    trainer.fit(model, datamodule=data)
    if trial.should_prune():
        raise optuna.TrialPruned
    return report.best


study = optuna.create_study(
    direction="maximize" if mode == "max" else "minimize",
    storage=f"sqlite:///{root}/optuna.db",
    sampler=optuna.samplers.TPESampler(seed=seed),
    pruner=optuna.pruners.MedianPruner(),
)
while spent < budget:
    study.optimize(objective, n_trials=1)
