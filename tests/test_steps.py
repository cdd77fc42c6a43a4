"""How long a training is, and how much a search may run, by the config."""

import pytest

from litune import steps
from litune.config.compose import compose


@pytest.mark.parametrize(
    ("words", "found", "name"),
    [
        (["trainer.max_epochs=5"], 5, "epoch"),
        (["trainer.max_epochs=5", "trainer.check_val_every_n_epoch=2"], 2, "validation"),
        (["trainer.max_epochs=-1", "trainer.max_steps=9"], None, "epoch"),
        (["trainer.val_check_interval=1.0", "trainer.max_epochs=5"], 5, "epoch"),
        (["trainer.val_check_interval=1", "trainer.max_epochs=5"], None, "validation"),
        (["trainer.val_check_interval=0.5", "trainer.max_epochs=5"], None, "validation"),
    ],
)
def test_the_steps_of_a_training_are_its_validations(words: list[str], found: int | None, name: str) -> None:
    config = compose(words).config
    assert (steps.steps_of(config), steps.step_name(config)) == (found, name)


@pytest.mark.parametrize(
    ("words", "trials", "in_all"),
    [
        (["search.trials=3"], 3, 15),
        (["search.trials=3", "trainer.check_val_every_n_epoch=2"], 3, 6),
        (["search.budget.epochs=14"], 2, 14),
        (["search.budget.epochs=14", "trainer.check_val_every_n_epoch=2"], 2, 7),
        (["search.budget.epochs=3"], 1, 3),
    ],
)
def test_a_budget_of_epochs_is_whole_trainings_or_validations(words: list[str], trials: int, in_all: int) -> None:
    config = compose([*words, "trainer.max_epochs=5"]).config
    assert (steps.trials_in_all(config), steps.steps_in_all(config)) == (trials, in_all)
