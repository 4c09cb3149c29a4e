"""search: many configurations on one split, the best by the validation patients, and one look at the test patients."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace

from core.cli.config_options import add_config, read_config, read_source
from core.cli.options import add_data, positive
from core.cli.output import INTERRUPTED, Outcome, TerminalProgress, note, plain, table
from core.cli.parser import Parser, UsageError, set_command
from core.config import RunConfig
from core.errors import MGMTLabError
from core.experiments.run import run_experiment
from core.experiments.search.default_space import default_space
from core.experiments.search.result import SearchResult, read_result
from core.experiments.search.run_search import evaluate_best
from core.experiments.search.search import Search, SearchParameters, ask_search, find_search
from core.figure_text import figure_text
from core.jobs.experiment import Display, Experiment, RunOptions
from core.runs.records import EpochRecord
from core.settings import Settings

TRIALS = 20
MORE = (
    "Trials are runs like others and share one split; they are compared on the validation patients, and the test patients "
    "stand in none of them. Interrupted or killed, it is resumed by the same command; given twice at once, two work on it. "
    "What a trial draws depends on --seed and its number, with tpe also on the trials that had ended by then: several "
    "workers need not repeat each other's search. `search show NAME` and `search judge NAME` take a search that is there."
)


def define_search(parser: Parser) -> None:
    """Add what ``search`` takes."""
    set_command(parser, search, MORE)
    add_data(parser)
    parser.add_argument("known", nargs="?", metavar="NAME", help="after show or judge: the search")
    add_config(parser, preset="honest")
    parser.add_argument("--trials", type=positive, default=TRIALS, metavar="N", help=f"in all (default: {TRIALS})")
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="what to vary: learning_rate=1e-5..1e-2:log, weight_decay=0..0.1 or optimiser=sgd,adamw; may be given again; "
        "by default a few settings of the preset",
    )
    parser.add_argument(
        "--parallel", type=positive, default=1, metavar="N", help="workers at the same time (default: 1)"
    )
    parser.add_argument(
        "--storage",
        default="",
        metavar="URL",
        help="a database that several hosts share, for example postgresql://user@host/database with the password in "
        "MGMT_LAB_STORAGE_PASSWORD; by default a journal in the search's folder",
    )
    parser.add_argument("--name", default="search", help="of the search, and of its runs (default: search)")
    parser.add_argument(
        "--pruner",
        choices=("median", "none"),
        default="median",
        help="end a trial that is below the median of the finished ones at the same epoch (default), or none",
    )
    parser.add_argument(
        "--sampler", choices=("tpe", "random"), default="tpe", help="learn from trials that ended (default), or do not"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sampler (default: 0)")
    parser.add_argument(
        "--judge", action="store_true", help="at the end, look at the test patients with the best trial"
    )
    parser.add_argument("--behind-queue", action="store_true", help="wait until no run trains or waits, then begin")


def search(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Search, show or judge."""
    if arguments.data in ("show", "judge") and arguments.known:
        found = find_search(settings, arguments.known, storage=arguments.storage)
        return _answer(found, settings, judge=arguments.data == "judge")
    if arguments.known:
        raise UsageError(f"{arguments.known!r} is one word too many; name DATA alone, or show NAME, or judge NAME.")
    settings = replace(settings, threads=arguments.jobs or settings.threads)
    question = ask_search(
        arguments.name, read_config(arguments), read_source(arguments), _read_parameters(arguments),
        storage=arguments.storage,
    )  # fmt: skip
    experiment = Experiment.ask(settings, arguments.name, question)
    options = RunOptions(count=arguments.trials, parallel=arguments.parallel, storage=arguments.storage)
    display = Display(
        progress=TerminalProgress,
        on_epoch=_show_epoch,
        on_trial=lambda number, outcome: note(f"trial {number} {outcome}"),
    )
    try:
        run_experiment(experiment, settings, options, display, behind_queue=arguments.behind_queue)
    except KeyboardInterrupt:
        with suppress(MGMTLabError):  # Before its first trial there is nothing to show.
            found = find_search(settings, arguments.name, storage=arguments.storage)
            outcome = replace(_answer(found, settings, judge=False), exit_status=INTERRUPTED)
            note(f"Stopped; the same command resumes {found.name}.")
            return outcome
        raise
    found = find_search(settings, arguments.name, storage=arguments.storage)
    return _answer(found, settings, judge=arguments.judge)


def _read_parameters(arguments: argparse.Namespace) -> SearchParameters:
    if arguments.seed < 0:
        raise UsageError("--seed must be 0 or more.")
    space = arguments.space
    if not space:
        entries = default_space(arguments.preset)
        space = [entry.text for entry in entries]
        for entry in entries:
            note(f"varied: {entry.text} ({entry.reason})")
    return SearchParameters(space=tuple(space), sampler=arguments.sampler, pruner=arguments.pruner, seed=arguments.seed)


def _answer(found: Search, settings: Settings, *, judge: bool) -> Outcome:
    lines: list[str] = []
    if judge:
        evaluation, looked = evaluate_best(found, settings, TerminalProgress("test slices"))
        lines.append(f"On the test patients: AUROC {figure_text(evaluation.patient['auroc'])}")
        if not looked:
            lines.append("This was judged before; nobody looked again.")
    result = read_result(found, settings)
    lines = [*_describe(result, found.config), *lines, _test_line(result), plain(found.folder)]
    return Outcome(document={"experiment": str(found.folder), **result.to_dict()}, lines=lines)


def _describe(result: SearchResult, config: RunConfig) -> list[str]:
    names = list(dict.fromkeys(name for row in result.trials for name in row.settings))
    rows = [[row.number, row.state, figure_text(row.auroc), row.epochs, *(_short(row.settings.get(name)) for name in names)]
            for row in result.trials]  # fmt: skip
    counts = ", ".join(
        f"{result.count(state)} {state}" for state in ("finished", "pruned", "failed") if result.count(state)
    )
    lines = [
        *table(rows, ("trial", "state", "AUROC (validation)", "epochs", *names)),
        f"{counts or 'no trial has ended'}.",
    ]
    lines += sorted({f"failed: {plain(row.reason)}" for row in result.trials if row.state == "failed"})
    if result.best is None:
        return lines
    chosen = ", ".join(f"{name}={_short(value)}" for name, value in result.best.settings.items())
    lines.append(
        f"Best by {config.select_on}: trial {result.best.number} ({chosen}), run {result.best.run}, epoch {result.best.best_epoch}"
    )
    if result.best.auroc:
        lines.append(f"  AUROC on the validation patients that chose it: {figure_text(result.best.auroc)}")
    if result.noise:
        lines.append(f"  {result.noise.sentence}")
    return lines


def _test_line(result: SearchResult) -> str:
    times = "once" if result.looked_at == 1 else f"{result.looked_at} times"
    if not result.looked_at:
        return f"The {result.test_patients} test patients have not been looked at."
    warning = (
        " WARNING: whoever chooses after looking makes the figure optimistic; only the first look is worth its face value."
        if result.looked_at > 1
        else ""
    )
    return f"The {result.test_patients} test patients have been looked at {times}, by any run.{warning}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def _show_epoch(record: EpochRecord) -> None:
    auroc = "none" if record.val_patient_auroc is None else f"{record.val_patient_auroc:.3f}"
    note(
        f"  epoch {record.epoch}  val loss {record.val_loss:.4f} accuracy {record.val_accuracy:.3f} patient AUROC {auroc}"
    )
