"""The schema of a search: every section and field with its meaning, default and limits.

Sections are of two kinds. Closed ones (trainer, objective, search, backend) are dataclasses: their keys and types are
known here. Open ones (OPEN_SECTIONS) hold `_target_` and its arguments: what they accept is read from the target's
signature, see targets.py. The dataclasses are not frozen only because OmegaConf would make frozen ones read-only while
Hydra still composes them; every config that leaves config.py is read-only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MISSING: Any = "???"  # as OmegaConf spells a value that must be given
OPEN_SECTIONS = ("model", "data", "optimizer", "lr_scheduler", "criterion", "callbacks", "logger", "function")
GROUPS = ("callbacks", "logger")  # of the open ones, those that hold sections under names
NAME_PATTERN = r"[A-Za-z0-9._-]{1,80}"

_NAMED = (str, Mapping)  # something by its name alone, or with its arguments
_LOGGERS = {
    "tensorboard": {"_target_": "pytorch_lightning.loggers.TensorBoardLogger"},
    "csv": {"_target_": "pytorch_lightning.loggers.CSVLogger"},
}


def setting(meaning: str, default: Any = MISSING, **limits: Any) -> Any:
    """Return a dataclass field with its meaning and limits.

    They are `choices`, `least`, `most`, `above` (itself excluded), `part` (a float is a fraction of the whole), `kinds`
    (the types of a value that may be of several), and `form` (a regular expression for the text).
    """
    metadata = {"help": meaning, **limits}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(kw_only=True)
class TrainerConfig:
    """Options of Lightning's Trainer, by its own names; and `compile`."""

    max_epochs: int | None = setting("epochs of one trial", 10, least=-1)
    min_epochs: int | None = setting("epochs before a trial may end early", None, least=0)
    max_steps: int = setting("optimizer steps of one trial; -1: no limit", -1, least=-1)
    min_steps: int | None = setting("optimizer steps before a trial may end early", None, least=0)
    max_time: str | None = setting("time limit of the fit as DD:HH:MM:SS", None, form=r"\d+(:\d\d){3}")
    accelerator: str = setting("what computes", "auto", choices=("auto", "cpu", "gpu", "cuda", "mps", "tpu"))
    devices: Any = setting("devices a trial: a number, a list of indices, or auto", 1)
    num_nodes: int = setting("machines a trial", 1, least=1)
    strategy: str = setting("auto, ddp, fsdp, ... as Lightning names them", "auto")
    precision: str = setting(
        "number format of the training",
        "32-true",
        choices=(
            "32-true", "16-mixed", "bf16-mixed", "64-true", "16-true", "bf16-true", "transformer-engine",
            "transformer-engine-float16", "32", "16", "bf16", "64",
        ),
    )  # fmt: skip
    gradient_clip_val: float | None = setting("clip gradients at this value", None, least=0)
    gradient_clip_algorithm: str | None = setting("how to clip gradients", None, choices=("norm", "value"))
    accumulate_grad_batches: int = setting("batches a step of the optimizer", 1, least=1)
    limit_train_batches: int | float | None = setting(
        "training batches: a number or a fraction", None, above=0, part=True
    )
    limit_val_batches: int | float | None = setting(
        "validation batches: a number or a fraction", None, least=0, part=True
    )
    limit_test_batches: int | float | None = setting("test batches: a number or a fraction", None, least=0, part=True)
    limit_predict_batches: int | float | None = setting(
        "prediction batches: a number or a fraction", None, least=0, part=True
    )
    overfit_batches: int | float = setting("train and validate on these few batches only", 0.0, least=0, part=True)
    val_check_interval: int | float | None = setting(
        "validate after so many batches or this part of an epoch", None, above=0, part=True
    )
    check_val_every_n_epoch: int | None = setting("validate every n-th epoch", 1, least=1)
    num_sanity_val_steps: int = setting("validation batches before the training", 0, least=-1)
    log_every_n_steps: int | None = setting("steps between two log rows", 50, least=0)
    enable_checkpointing: bool | None = setting("write checkpoints; null: yes", None)
    enable_progress_bar: bool = setting("show Lightning's own progress bar", False)
    enable_model_summary: bool = setting("print Lightning's model summary", False)
    deterministic: bool | str | None = setting("true: refuse operations that vary; warn: only say so", None)
    benchmark: bool | None = setting("let cuDNN choose its fastest algorithm (results may vary)", None)
    inference_mode: bool = setting("validate without autograd", True)
    use_distributed_sampler: bool = setting("shard the data over the devices", True)
    sync_batchnorm: bool = setting("share batch statistics among the devices", False)
    reload_dataloaders_every_n_epochs: int = setting("make the loaders anew every n epochs; 0: never", 0, least=0)
    detect_anomaly: bool = setting("find the operation that made a NaN (slow)", False)
    fast_dev_run: bool | int = setting("one batch (or so many) of each stage, as a smoke test", False)
    compile: Any = setting(
        "compile the model's forward by torch.compile: true, or one of its modes", False, kinds=(bool, str)
    )
    profiler: str | None = setting("measure the training", None, choices=("simple", "advanced", "pytorch", "xla"))


@dataclass(kw_only=True)
class ObjectiveConfig:
    """What the search optimises."""

    metric: str = setting("name of the metric, as self.log() calls it")
    mode: str = setting("which way is better", "max", choices=("max", "min"))
    reduce: str = setting("how a trial's curve becomes its score", "best", choices=("best", "last", "mean_last_k"))
    last_k: int = setting("validations in mean_last_k", 3, least=1)


@dataclass(kw_only=True)
class RetriesConfig:
    """How often a trial that failed is run again under its number, by the class of the failure."""

    killed: int = setting("after a kill from outside", 2, least=0)
    lost: int = setting("after the loss of the process that ran its worker", 2, least=0)
    out_of_memory: int = setting("after it ran out of memory", 0, least=0)
    error: int = setting("after an exception", 0, least=0)


@dataclass(kw_only=True)
class BudgetConfig:
    """What a search may spend on training, all trials together; what was begun is brought to its end."""

    epochs: int | None = setting("epochs in all, in place of search.trials", None, least=1)
    seconds: float | None = setting(
        "seconds of training in all; the clock then has a say in what is tried", None, above=0
    )


@dataclass(kw_only=True)
class SearchConfig:
    """How the search looks for the best params."""

    space: str | None = setting("search space file, or its name in search_spaces/; null: the experiment's name", None)
    trials: int = setting(
        "trials in all; asha, hyperband, thaw: as many full trainings, however spread; the same command with more "
        "continues",
        20,
        least=1,
    )
    budget: BudgetConfig = field(
        default_factory=BudgetConfig, metadata={"help": "what the search may spend, in place of trials"}
    )
    algorithm: str = setting(
        "what suggests params; asha, hyperband, thaw: many short trials, of which the best are continued; repeat: "
        "those of search.enqueue again and again, each round with a fresh seed; auto: grid where it fits, thaw where a "
        "training has 4 epochs or more, else gp or tpe",
        "auto",
        choices=("auto", "grid", "random", "tpe", "cmaes", "gp", "asha", "hyperband", "thaw", "repeat"),
    )
    enqueue: list[Any] = setting(
        "params of the first trials, [{KEY: VALUE, ...}, ...]; config: those of the config; the rest is suggested",
        [],
    )
    warm_start: list[str] = setting("earlier runs, by directory or name, whose trials inform tpe, gp and cmaes", [])
    pruner: str = setting("what stops poor trials early", "none", choices=("none", "median", "asha", "hyperband"))
    parallel: int | None = setting("trials at once; null: the number of GPUs, else min(4, cores)", None, least=1)
    lag: int | None = setting(
        "trial n learns from trials up to n - lag; null: 4, with thaw parallel; more where parallel is larger",
        None,
        least=1,
    )
    threads: int | None = setting("threads a trial; null: cores // parallel", None, least=1)
    seed_per_trial: bool = setting("give each trial a seed of its own instead of `seed`", False)
    duplicates: str = setting("params tried before: answer from the ledger or train", "reuse", choices=("reuse", "run"))
    keep_checkpoints: int = setting("the best k trials keep their checkpoints", 3, least=0)
    storage: str | None = setting("SQLAlchemy URL of the ledger; null: SQLite in the run directory", None)
    trial_timeout: float | None = setting("seconds a trial may take", None, above=0)
    timeout: float | None = setting("seconds the search may take; the same command continues it", None, above=0)
    retries: RetriesConfig = field(
        default_factory=RetriesConfig, metadata={"help": "how often a failed trial is run again"}
    )
    stop_after_equal_failures: int = setting(
        "end the search when so many first trials fail alike, or the very first has not the metric; 0: never",
        5,
        least=0,
    )
    memory_gb: float | None = setting("memory a trial may take, in GB", None, above=0)
    runs: str = setting("directory of the run directories", "runs")


@dataclass(kw_only=True)
class LocalBackend:
    """One trial at a time in the driver's own process, with tracebacks: for debugging, and as the reference."""

    name: str = setting("the backend", "local", choices=("local",))


@dataclass(kw_only=True)
class OptunaBackend:
    """Worker processes on this machine; Optuna's storage and samplers."""

    name: str = setting("the backend", "optuna", choices=("optuna",))


@dataclass(kw_only=True)
class RayBackend:
    """Ray Tune: actors on this machine or a cluster."""

    name: str = setting("the backend", "ray", choices=("ray",))
    address: str | None = setting("address of a running cluster; null: start one here", None)
    num_cpus: int | None = setting("CPUs of the cluster started here; null: as many as trials need", None, least=1)
    num_gpus: int | None = setting("GPUs of the cluster started here; null: those found", None, least=0)
    dashboard: bool = setting("start Ray's dashboard too, on this machine (needs the extra ray-dashboard)", False)
    resources_per_trial: Any = setting(
        "what a trial holds of Ray's resources, such as {cpu: 1, gpu: 0.5}; null: its threads, its part of the GPUs",
        None,
        kinds=(Mapping,),
    )
    searcher: Any = setting(
        "a searcher of Ray's: native (its default), its name, or {_target_: ray.tune..., its arguments}; "
        "null: search.algorithm",
        None,
        kinds=_NAMED,
    )
    scheduler: Any = setting(
        "a scheduler of Ray's: asha, hyperband, median, pbt, pb2, {name: asha, its arguments}, or {_target_: ...}; "
        "null: search.pruner",
        None,
        kinds=_NAMED,
    )
    mutate: list[str] | None = setting(
        "params that pbt and pb2 change; null: those of optimizer, lr_scheduler, data and criterion", None
    )


@dataclass(kw_only=True)
class NniBackend:
    """NNI's manager with its web page, confined to this machine."""

    name: str = setting("the backend", "nni", choices=("nni",))
    tuner: Any = setting(
        "a tuner of NNI's: its name, or {name: TPE, classArgs: {...}}; null: search.algorithm", None, kinds=_NAMED
    )
    assessor: Any = setting(
        "an assessor of NNI's: its name, or {name: ..., classArgs: {...}}; null: none", None, kinds=_NAMED
    )
    port: int | None = setting("port of NNI's page; null: the first free one from 8080", None, least=1024, most=65535)
    manager: str | None = setting("URL of a running manager whose trials to run (nnictl's); null: start one", None)
    keep_ui: bool = setting("leave the page up when the search has ended", False)


BACKENDS: Mapping[str, type] = {
    "local": LocalBackend, "optuna": OptunaBackend, "ray": RayBackend, "nni": NniBackend
}  # fmt: skip
# The fields of these by which somebody else than the study chooses the params of trials, and stops trials.
DRAWING, STOPPING = ("searcher", "tuner", "manager"), ("scheduler", "assessor")


@dataclass(kw_only=True)
class Config:
    """Everything that a search or a training is made of."""

    experiment: str = setting("the experiment, chosen by experiment=NAME (or a path to its YAML)", "")
    dashboard: bool = setting("serve the dashboards beside the search, to this machine alone", False)
    name: str | None = setting("name of the run; null: the experiment's name and a short digest", None)
    seed: int = setting("seed of the search and of every training", 42, least=0, most=2**32 - 1)
    allow: list[str] = setting("modules of your own that _target_ may name, besides those in this directory", [])
    function: dict[str, Any] | None = setting(
        "instead of a model: _target_, a function of (params, trial) that returns the score; the rest are params", {}
    )
    model: dict[str, Any] = setting("the LightningModule: _target_ and its arguments", {})
    data: dict[str, Any] | None = setting("the LightningDataModule: _target_ and its arguments; or nothing", {})
    optimizer: dict[str, Any] | None = setting("a torch optimizer: _target_ and its arguments; or the model's own", {})
    lr_scheduler: dict[str, Any] | None = setting(
        "a torch scheduler: _target_ and its arguments, interval, frequency, monitor; or none", {}
    )
    criterion: dict[str, Any] | None = setting(
        "the loss, handed to the model as `criterion`: _target_ ...; or none", {}
    )
    trainer: TrainerConfig = field(default_factory=TrainerConfig, metadata={"help": "options of Lightning's Trainer"})
    callbacks: dict[str, Any] | None = setting(
        "callbacks, each under a name of its own: _target_ and its arguments", {}
    )
    logger: dict[str, Any] | None = setting(
        "loggers, each under a name of its own: _target_ and its arguments", _LOGGERS
    )
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig, metadata={"help": "what is optimised"})
    search: SearchConfig = field(default_factory=SearchConfig, metadata={"help": "how the search goes"})
    backend: Any = field(default=MISSING, metadata={"help": "what executes the trials, chosen by backend=NAME"})
