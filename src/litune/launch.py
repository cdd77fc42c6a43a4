"""What search.py and train.py do with a command line: compose the config, check it, and run it once or for each job.

In place of Hydra's own main, which knows neither our errors nor the arguments that a signature adds.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from litune.arguments import WHERE, Arguments
from litune.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from litune.config.compose import Composed


CarryOut = Callable[["DictConfig", argparse.Namespace], int]  # what is done with a composed config, and the options
_DETACH = "--detach"


def run(argv: list[str], program: str, usage: str, carry_out: CarryOut, *, searching: bool) -> int:
    """Do what Hydra's own main would: help, completion, show the config, or run it once or for each combination."""
    options = _options(argv, program, searching=searching)
    if options.help or options.shell_completion or options.info or options.cfg:
        _answer(options, program, usage)
        return 0
    from litune.config.overrides import expand

    jobs = expand(options.overrides) if options.multirun else [options.overrides]
    composed = [_checked(job, options, searching=searching) for job in jobs]
    names = [one.config.name for one in composed if one.config.name]
    if len(set(names)) < len(names):
        expected = "a name for each run, or none: then each gets its own"
        raise InputError(Problem(where=WHERE, key="name", got=f"{names[0]} for {len(jobs)} runs", expected=expected))
    if searching and options.detach:
        from litune import checks, detach

        config = composed[0].config
        return detach.start(config, checks.load_space(config), [word for word in argv if word != _DETACH])

    def each(config: DictConfig) -> int:
        return carry_out(config, options)

    if len(jobs) == 1:
        return _started(composed[0], each)
    return _each(composed, jobs, each, searching=searching)


def composed(words: Sequence[str]) -> Composed:
    """Return the config that the words of a search's command make, options among them."""
    from litune.config import compose

    options = _options(list(words), "litune search", searching=True)
    return compose.compose(options.overrides, config_dir=options.config_dir, config_file=options.config_file)


def _answer(options: argparse.Namespace, program: str, usage: str) -> None:
    """Print the help, the shell's completions, Hydra's information, or the config."""
    if options.help:
        _print_help(usage, program, options.config_dir)
        return
    from litune.config import compose, hydra_app

    if options.cfg:
        one = compose.compose(options.overrides, config_dir=options.config_dir, config_file=options.config_file)
        compose.show(one, options.config_dir, options.cfg, options.package, resolve=options.resolve)
        return
    with hydra_app.opened(options.config_dir) as app:
        if options.shell_completion:
            app.shell_completion(hydra_app.PRIMARY, options.overrides)
        else:
            app.show_info(options.info, hydra_app.PRIMARY, options.overrides)


def _options(argv: list[str], program: str, *, searching: bool) -> argparse.Namespace:
    parser = Arguments(prog=program, add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    known = [
        parser.add_argument("--help", "-h", action="store_true"),
        parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all")),
        parser.add_argument("--resolve", action="store_true"),
        parser.add_argument("--package", "-p"),
        parser.add_argument("--multirun", "-m", action="store_true"),
        parser.add_argument("--config-dir", "-cd", type=Path),
        parser.add_argument("--config-file", type=Path),
        parser.add_argument("--info", "-i", nargs="?", const="all"),
        parser.add_argument("--shell-completion", "-sc", action="store_true"),
    ]
    if searching:
        known.append(parser.add_argument(_DETACH, action="store_true"))
        known.append(parser.add_argument("--join", action="store_true"))
    options, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        raise InputError([_flag(word, [option.option_strings[0] for option in known]) for word in unknown])
    alone = ("cfg", "multirun", "info", "shell_completion", "detach")
    both = [flag for flag in alone if getattr(options, flag, False)]
    if len(both) > 1:
        got = " and ".join(f"--{flag.replace('_', '-')}" for flag in both)
        raise InputError(Problem(where=WHERE, got=f"{got} together", expected="one of them"))
    if options.config_file and any(word.startswith("experiment=") for word in options.overrides):
        raise InputError(Problem(where=WHERE, got="--config-file and experiment= together", expected="one of them"))
    return options


def _flag(word: str, known: list[str]) -> Problem:
    """Return the problem of an option that there is not."""
    name = word.partition("=")[0]
    alike = nearest(name, known) or _override_like(name.lstrip("-"))
    return Problem(where=WHERE, got=word, expected="KEY=VALUE without dashes, or an option of --help", nearest=alike)


def _override_like(name: str) -> str | None:
    from litune.config import config as configs
    from litune.config import nodes

    alike = nearest(name.replace("-", "_"), nodes.known_keys(configs.schema()))
    return f"{alike}=..." if alike else None


def _print_help(usage: str, program: str, config_dir: Path | None) -> None:
    from litune import backends
    from litune.config import experiments, manual

    print(manual.text(usage, program, experiments.known(config_dir), backends.names()))


def _checked(overrides: list[str], options: argparse.Namespace, *, searching: bool) -> Composed:
    """Return the composed config; raise InputError for all that can be found in it without a wait.

    Only if a file has mistakes in it are the classes imported to look for more: who mistypes a word is told at once.
    """
    from litune import checks
    from litune.config import compose

    composed = compose.compose(overrides, config_dir=options.config_dir, config_file=options.config_file)
    space = None
    problems = list(composed.problems)
    if composed.resolvable:
        if searching:
            try:
                space = checks.load_space(composed.config, composed.document.path)
                problems += checks.given_but_searched(composed.overridden, space, composed.config.search.space)
            except InputError as error:
                problems += composed.located(error.problems)
        told = {problem.key for problem in composed.problems}
        found = [problem for problem in checks.check(composed.config, space) if problem.key not in told]
        problems += composed.located(found)
        if any(problem.where != WHERE for problem in problems):
            problems += composed.located(checks.check_targets(composed.config, space))
    if problems:
        raise InputError(dict.fromkeys(problems))
    for warning in checks.warnings(composed.config) if searching else ():
        print(f"warning: {warning}", file=sys.stderr)
    return composed


def _started(composed: Composed, carry_out: Callable[[DictConfig], int]) -> int:
    try:
        return carry_out(composed.config)
    except InputError as error:
        error.problems = composed.located(error.problems)
        raise


def _each(
    composed: list[Composed], jobs: list[list[str]], carry_out: Callable[[DictConfig], int], *, searching: bool
) -> int:
    """Carry out one run after the other, and compare them in a table; return the worst exit code."""
    from litune import checks, single
    from litune.report import multirun
    from litune.study import identity

    def directory_of(config: DictConfig) -> Path:
        return identity.directory_of(config, checks.load_space(config)) if searching else single.directory_of(config)

    if searching:
        composed = _apart(composed, [directory_of(one.config).name for one in composed])
    code, done = 0, []
    for one, job in zip(composed, jobs, strict=True):
        print(f"# {' '.join(job)}", flush=True)
        directory = directory_of(one.config)
        code = max(code, _started(one, carry_out))
        metric = str(one.config.objective.metric)
        done.append(multirun.Job(overrides=tuple(job), directory=directory, metric=metric))
    multirun.show(done, Path(composed[0].config.search.runs))
    return code


def _apart(composed: list[Composed], names: list[str]) -> list[Composed]:
    """Return the searches, those that are the same one (on another backend, say) under names of their own."""
    from litune.config import config as configs

    seen: Counter[str] = Counter()
    apart = []
    for one, name in zip(composed, names, strict=True):
        if names.count(name) > 1:
            new = f"{name}-{one.config.backend.name}"
            seen[new] += 1
            new += f"-{seen[new]}" if seen[new] > 1 else ""
            one = replace(one, config=configs.replaced(one.config, {"name": new}))
        apart.append(one)
    return apart
