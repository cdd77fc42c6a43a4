"""How much each param matters."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CODE = """
import sys
from litune.report import facts, importance
found = {one.name: one.share for one in importance.importances(facts.gather(sys.argv[1]), samples=0)}
assert not {"sklearn", "pandas"} & set(sys.modules), "imported for a second, and not used"

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
study = optuna.load_study(study_name=None, storage=f"sqlite:///{sys.argv[1]}/ledger.db")
assert get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()) == found
assert optuna.importance.FanovaImportanceEvaluator
"""


def test_importances_are_those_of_optunas_ped_anova(recorded: Callable[..., Path]) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CODE, str(recorded("mattering", 40))], timeout=200)
    assert done.returncode == 0
