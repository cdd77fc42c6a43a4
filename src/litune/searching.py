"""litune.search: the search of the command line, asked for from Python with classes in place of their names."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig

from litune import backends
from litune.config import assigning, from_python, interpolations, nodes
from litune.config import config as configs
from litune.config.schema import GROUPS, Config, SearchConfig
from litune.errors import InputError, Problem, SearchFailed, nearest
from litune.space import from_python as spaces
from litune.space.space import Space
from litune.targets import functions, locate, targets
from litune.targets.importing import importing
from litune.targets.signatures import TARGET
from litune.trial import directory_in

if TYPE_CHECKING:
    from litune.result import SearchResult

WHERE = "litune.search"
SCORE = "score"  # the metric of a function that names none
_SEARCH = tuple(field.name for field in fields(SearchConfig) if field.name != "space")
_SECTIONS = tuple(field.name for field in fields(Config))
_BUILT = ("optimizer", "lr_scheduler", "criterion", "callbacks", "logger")


def search(
    function: Callable[[dict[str, Any], functions.FunctionTrial], float | None] | None = None,
    *,
    model: type | str | None = None,
    data: type | str | None = None,
    space: Mapping[str, Any] | str | Path,
    metric: str | None = None,
    mode: Literal["max", "min"] = "max",
    trials: int = 20,
    backend: str | Mapping[str, Any] = "optuna",
    model_args: Mapping[str, Any] | None = None,
    data_args: Mapping[str, Any] | None = None,
    **options: Any,
) -> SearchResult:
    """Search the best params of a LightningModule, or of a plain function, and return what was found.

    The same call again continues where it stopped, or returns at once; it does not see that your code has changed, so
    give a changed one another `name`. InputError tells all that is wrong with the call.

    function      instead of a model: train(params, trial) -> score, with trial.report(step, value), trial.should_stop()
    model, data   LightningModule and LightningDataModule: the classes, or their dotted names
    space         {"model.lr": litune.loguniform(1e-4, 1e-1), "data.batch_size": [32, 64]}; for a function {"lr": ...};
                  {"optimizer": [{"_name": "torch.optim.SGD", "lr": ..., "momentum": ...}, {"_name": ...}]} is a nested
                  choice, whose options have params of their own; or the path of a search space file
    metric        the name under which the model logs what is optimised
    backend       optuna, ray, nni or local; or {"name": "ray", "num_cpus": 8}
    model_args    arguments of the model that are not searched; data_args likewise
    options       fields of `search` (pruner="median", parallel=2, runs="runs"), and sections and fields of the config:
                  seed=1, trainer={"max_epochs": 5}, optimizer={"_target_": torch.optim.Adam, "lr": 1e-3}
    """
    if module := importing():
        cure = 'put the search below: if __name__ == "__main__":'
        got = f"a search while {module} is imported"
        raise InputError(Problem(where=WHERE, got=got, expected="one when the script is run", cure=cure))
    asked: dict[str, Any] = {"objective": {"mode": mode}, "search": {"trials": trials}}
    problems: list[Problem] = []
    asked["backend"] = {"name": backend} if isinstance(backend, str) else _section("backend", backend, problems)
    _options(options, asked, problems)
    _target(functions.SECTION, function, None, asked, problems)
    _target("model", model, model_args, asked, problems)
    _target("data", data, data_args, asked, problems)
    names: list[str] = []
    for key in (functions.SECTION, "model", "data", *_BUILT):
        if asked.get(key):
            section = _of_classes(asked[key]) if key in GROUPS else asked[key]
            asked[key] = _by_name(section, key, names, problems)
    if metric or function:
        asked["objective"]["metric"] = metric or SCORE
    else:
        expected = "the name under which the model logs what is optimised, such as val_loss"
        problems.append(Problem(key="metric", got="nothing", expected=expected))
    asked["allow"] = [*asked.get("allow", ()), *names]
    asked.setdefault("experiment", _experiment(function or model))
    prefix = f"{functions.SECTION}." if function else ""
    parameters = spaces.space(space, problems, prefix=prefix)
    asked = from_python.plain(asked, "", problems)
    asked["search"]["enqueue"] = spaces.queue(asked["search"].get("enqueue", []), prefix=prefix)
    config = _config(asked, problems)
    if problems or parameters is None or config is None:
        raise InputError(replace(problem, where=problem.where or WHERE) for problem in problems)
    return _found(config, parameters)


def _found(config: DictConfig, space: Space) -> SearchResult:
    from litune import driver

    _refuse_gpu_in_use(config)
    try:
        ended = driver.carry_out(config, space)
    except InputError as error:
        error.problems = [replace(problem, where=problem.where or WHERE) for problem in error.problems]
        error.args = ("\n".join(str(problem) for problem in error.problems),)
        raise
    from litune.result import SearchResult  # imports Optuna: after the warm parent is forked

    result = SearchResult(ended.directory)
    if ended.code:
        raise SearchFailed(f"no trial was completed; {_why(result)}")
    return result


def _why(result: SearchResult) -> str:
    """Return why no trial was completed."""
    failed = next((row for row in result.rows if row.failure), None)
    if failed and failed.failure:
        said = failed.failure.message.splitlines()[-1].rstrip(".")
        log = directory_in(result.directory, failed.number)
        return f"trial {failed.number} failed first: {failed.failure.kind.value}: {said}; its log is in {log}"
    if result.rows and all(row.ended for row in result.rows):
        return "all were stopped early"
    return "search.timeout was over before; with more of it the same call continues"


def _section(key: str, value: Any, problems: list[Problem]) -> dict[str, Any]:
    """Return a section of the config; a class alone is the section that names it."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, type):
        return {TARGET: value}
    cure = f"{key}=None for none" if value is False else ""
    expected = "{NAME: {'_target_': CLASS, ...}, ...}" if key in GROUPS else "a section: {KEY: VALUE, ...}"
    problems.append(Problem(key=key, got=repr(value), expected=expected, cure=cure))
    return {}


def _options(options: Mapping[str, Any], asked: dict[str, Any], problems: list[Problem]) -> None:
    """Put each option where the config has it; `problems` takes up those that have no place there."""
    schema = configs.schema()
    for name, value in options.items():
        if name in _SEARCH:
            asked["search"][name] = value
        elif name.partition(".")[0] not in _SECTIONS:
            known = [*inspect.signature(search).parameters, *_SEARCH, *_SECTIONS]
            known = [word for word in known if word not in ("options", "function")]
            expected = "an argument, a field of search, or a section of the config"
            near = nearest(name, known) or assigning.unknown_key(name, nodes.known_keys(schema)).nearest
            problems.append(Problem(key=name, got="an unknown argument", expected=expected, nearest=near))
        elif "." not in name and value is not None and isinstance(schema._get_node(name), DictConfig):
            asked[name] = {**asked.get(name, {}), **_section(name, value, problems)}
        else:
            asked.update(_with(asked, name.split("."), value))


def _target(
    key: str, target: Any, arguments: Mapping[str, Any] | None, asked: dict[str, Any], problems: list[Problem]
) -> None:
    """Put a class or function, and its arguments, where the config has them; without it there are to be none."""
    if target is not None:
        asked[key] = {**asked.get(key, {}), TARGET: target, **_section(f"{key}_args", arguments or {}, problems)}
    elif arguments:
        problems.append(Problem(key=f"{key}_args", got=repr(dict(arguments)), expected=f"nothing without {key}"))


def _with(section: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return the section with the value in its place; what the caller gave stays as it is."""
    first, *rest = path
    if not rest:
        return {**section, first: value}
    inner = section.get(first)
    return {**section, first: _with(inner if isinstance(inner, Mapping) else {}, rest, value)}


def _of_classes(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group of sections in which a class alone is the section that names it."""
    return {name: {TARGET: value} if isinstance(value, type) else value for name, value in group.items()}


def _by_name(value: Any, key: str, names: list[str], problems: list[Problem]) -> Any:
    """Return the value with each class or function replaced by its dotted name, which `names` takes up."""
    if isinstance(value, Mapping):
        return {name: _by_name(item, f"{key}.{name}", names, problems) for name, item in value.items()}
    if isinstance(value, (list, tuple)) and not key.endswith(TARGET):
        return [_by_name(item, f"{key}.{number}", names, problems) for number, item in enumerate(value)]
    if not key.endswith(TARGET) or isinstance(value, str):
        return value
    if not (isinstance(value, type) or inspect.isroutine(value)):
        section = key.removesuffix(f".{TARGET}")
        cure = f"give the class, and its arguments by {key.partition('.')[0]}_args"
        instance = Problem(key=section, got=repr(value), expected="a class", cure=cure)
        problems.append(targets.misplaced(type(value), section, repr(value)) or instance)
        return None
    try:
        name = locate.named(value)
    except InputError as error:
        problems += [replace(problem, key=key.removesuffix(f".{TARGET}")) for problem in error.problems]
        return None
    if name.partition(".")[0] not in locate.FRAMEWORKS:
        names.append(name)
    return name


def _experiment(target: Any) -> str:
    """Return what the run is called by: the name of the model or function."""
    return "search" if target is None else str(getattr(target, "__name__", target)).rpartition(".")[2]


def _config(asked: Mapping[str, Any], problems: list[Problem]) -> DictConfig | None:
    name = str(asked["backend"].get("name"))
    if any(problem.key == "backend" for problem in problems):
        return None
    if name not in backends.names():
        expected = f"one of {', '.join(backends.names())}"
        near = nearest(name, backends.names())
        problems.append(Problem(key="backend", got=repr(name), expected=expected, nearest=near))
        return None
    try:
        config = configs.from_plain(asked)
    except InputError as error:
        problems += [problem for problem in error.problems if problem.key not in {p.key for p in problems}]
        return None
    problems += [problem for problem in interpolations.unresolved(config) if "${" in problem.got]
    return config


def _refuse_gpu_in_use(config: DictConfig) -> None:
    """Raise InputError where this process has used a GPU already: the trials are forks of it, and CUDA forbids that."""
    torch = sys.modules.get("torch")
    if torch is not None and config.backend.name != "local" and torch.cuda.is_initialized():
        cure = "restart it and search before anything touches the GPU; or backend='local'; or search from a script"
        raise InputError(
            Problem(
                where=WHERE, key="backend", got="a process that uses the GPU", expected="one that has not", cure=cure
            )
        )
