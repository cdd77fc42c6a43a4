"""Options that a Trainer had in earlier versions, or Lightning has and litune elsewhere: what stands for them now."""

from __future__ import annotations

from collections.abc import Mapping

_CALLBACKS = "callbacks.NAME._target_=pytorch_lightning.callbacks"
_DEVICES = "trainer.accelerator={} with trainer.devices=..."

FORMER: Mapping[str, str] = {  # option -> key or override
    "gpus": _DEVICES.format("gpu"),
    "tpu_cores": _DEVICES.format("tpu"),
    "num_processes": _DEVICES.format("cpu"),
    "auto_select_gpus": "trainer.devices",
    "distributed_backend": "trainer.strategy",
    "replace_sampler_ddp": "trainer.use_distributed_sampler",
    "amp_backend": "trainer.precision",
    "amp_level": "trainer.precision",
    "plugins": "trainer.strategy or trainer.precision",
    "epochs": "trainer.max_epochs",
    "max_nb_epochs": "trainer.max_epochs",
    "min_nb_epochs": "trainer.min_epochs",
    "train_percent_check": "trainer.limit_train_batches",
    "val_percent_check": "trainer.limit_val_batches",
    "test_percent_check": "trainer.limit_test_batches",
    "overfit_pct": "trainer.overfit_batches",
    "reload_dataloaders_every_epoch": "trainer.reload_dataloaders_every_n_epochs=1",
    "row_log_interval": "trainer.log_every_n_steps",
    "flush_logs_every_n_steps": "logger.csv.flush_logs_every_n_steps",
    "progress_bar_refresh_rate": "trainer.enable_progress_bar",
    "weights_summary": "trainer.enable_model_summary",
    "terminate_on_nan": "trainer.detect_anomaly",
    "checkpoint_callback": "trainer.enable_checkpointing",
    "resume_from_checkpoint": "the same command again, which continues a search",
    "ckpt_path": "the same command again, which continues a search",
    "seed_everything": "seed",
    "default_root_dir": "search.runs",
    "weights_save_path": "search.runs",
    "auto_lr_find": f"{_CALLBACKS}.LearningRateFinder",
    "auto_scale_batch_size": f"{_CALLBACKS}.BatchSizeFinder",
    "early_stop_callback": f"{_CALLBACKS}.EarlyStopping",
    "stochastic_weight_avg": f"{_CALLBACKS}.StochasticWeightAveraging",
}
