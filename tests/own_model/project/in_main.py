"""A model and a function that are defined in the script that searches; prints what was found as JSON."""

import json
from dataclasses import dataclass

from my_forecast.models import Forecaster
from my_forecast.series import Waves

import litune


@dataclass
class Size:
    units: int = 12


class Wide(Forecaster):
    def __init__(self, learning_rate: float = 0.01, size: Size | None = None) -> None:
        self.size = size or Size()
        super().__init__(units=self.size.units, learning_rate=learning_rate)
        self.save_hyperparameters({"size": self.size})


def climb(params, trial):
    for step in range(1, 5):
        trial.report(step, params["slope"] * step)
        if trial.should_stop():
            break
    return params["slope"] * step


def main() -> None:
    result = litune.search(
        model=Wide,
        data=Waves,
        space={"model.learning_rate": litune.loguniform(1e-3, 1e-1)},
        metric="forecast/rmse",
        mode="min",
        trials=2,
        trainer={"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 1},
        threads=1,
    )
    best = result.best
    slopes = {"slope": litune.uniform(0, 1)}
    pruned = litune.search(climb, space=slopes, trials=12, pruner="median", threads=1)
    again = litune.search(climb, space=slopes, trials=12, pruner="median", threads=1, backend="local", name="again")
    found = {
        "model": type(best.load()).__name__,
        "rate": best.load().hparams.learning_rate == best.params["model.learning_rate"],
        "checkpoint": best.checkpoint.is_file(),
        "run": str(result.directory),
        "lowest": best.score == min(row["score"] for row in result.trials()),
        "columns": list(result.trials("pandas").columns),
        "optuna": [trial.state.name for trial in result.study.trials],
        "report": result.report().read_text().startswith("<!doctype html>"),
        "function": pruned.trials(),
        "digests": [pruned.digest, again.digest],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
