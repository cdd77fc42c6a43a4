"""One NNI trial as NNI's documentation writes it; nni_experiment.py starts it."""

import os

import nni
import pytorch_lightning as pl
from digits import train

params = nni.get_next_parameter()


class Report(pl.Callback):
    def on_validation_end(self, trainer, module):
        nni.report_intermediate_result(float(trainer.callback_metrics["val_acc"]))


nni.report_final_result(train(params, os.path.join(os.environ["BENCHMARK_ROOT"], nni.get_trial_id()), [Report()]))
