"""runs: list and show them, stop and resume one; the rest is in :mod:`core.cli.run_queue` and :mod:`core.cli.run_store`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.cli import run_queue, run_store
from core.cli.options import Parser, UsageError, add_command
from core.cli.output import Outcome, clock_text, figure_text, plain, table
from core.cli.train import follow_training

if TYPE_CHECKING:
    from core.runs.folder import RunFolder
    from core.settings import Settings


LOG_LINES = 15
STATES = ("queued", "running", "stopped", "failed", "interrupted", "finished")

OF_ALL_TITLES = {"list": "List the runs, newest first."}
OF_ONE_TITLES = {
    "show": "Show one run: its state, its epochs and the end of its log.",
    "stop": "Stop a run at its next batch, or take it out of the queue.",
    "resume": "Let a stopped, interrupted or failed run go on.",
    "tensorboard": "Write TensorBoard event files of a run into its folder (an extra package).",
}


def add_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add runs and what can be done with them."""
    parser = add_command(
        commands,
        "runs",
        runs,
        "List the training runs; show, stop or resume one; change their order; compare, tag, delete.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action")
    # A mere `runs` lists them.
    parser.set_defaults(action="list", run=None, **NO_FILTER)
    for name, title in {**OF_ALL_TITLES, **OF_ONE_TITLES}.items():
        action = add_command(actions, name, runs, title)
        action.add_argument("run", nargs="?", metavar="RUN", help="a run's name or folder")
        if name == "list":
            _add_filter(action)
    run_queue.add_actions(actions)
    run_store.add_actions(actions)
    for action in actions.choices.values():
        # Or the action's own default would undo the flag in `runs --json list`.
        for option in action._actions:
            option.default = argparse.SUPPRESS if option.dest == "json" else option.default


def runs(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Do what is asked with the run that is named."""
    from core.runs.folder import find_run
    from core.training.torchrun import is_follower

    if is_follower():
        return follow_training(settings)
    action = arguments.action
    if action in OF_ALL_TITLES:
        if arguments.run is not None:
            raise UsageError(f"runs {action} takes no RUN; to see {arguments.run!r} alone: runs show {arguments.run}.")
        return _list(arguments, settings)
    if arguments.run is None:
        raise UsageError(f"runs {action} needs a RUN; runs list shows their names.")
    return OF_ONE[action](find_run(arguments.run, settings), settings)


BEST_FIGURES = ("val_patient_auroc", "val_accuracy", "val_loss")


def describe_run(run: RunFolder) -> dict[str, Any]:
    """A run in short, as ``runs list --json`` has it."""
    from core.runs.epoch_figures import epoch_figure
    from core.runs.tags import read_tags

    status = run.status()
    best = next((record for record in run.epochs() if record.epoch == status.best_epoch), None)
    return {
        "run": str(run.path),
        "name": run.name,
        **status.model_dump(mode="json"),
        "best": best.model_dump(mode="json") if best else None,
        "best_figures": {name: epoch_figure(run, best, name).to_dict() for name in BEST_FIGURES} if best else {},
        "checkpoint": str(run.checkpoint) if run.checkpoint.exists() else None,
        "tags": list(read_tags(run)),
    }


NO_FILTER: dict[str, Any] = {"state": [], "preset": [], "tag": [], "text": ""}


def _add_filter(parser: Parser) -> None:
    group = parser.add_argument_group("only some of them")
    group.add_argument("--state", action="append", default=[], choices=STATES, help="may be given again: any of these")
    group.add_argument("--preset", action="append", default=[], metavar="NAME", help="may be given again: any of these")
    group.add_argument("--tag", action="append", default=[], metavar="TAG", help="may be given again: all of these")
    group.add_argument("--text", default="", metavar="WORDS", help="in name, note, network, preset or tags")


def _list(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    from core.runs.filtering import RunFilter, filter_runs
    from core.runs.folder import list_runs

    everything = list_runs(settings)
    wanted = RunFilter(
        states=frozenset(arguments.state),
        presets=frozenset(arguments.preset),
        tags=frozenset(arguments.tag),
        text=arguments.text,
    )
    entries = filter_runs(everything, wanted)
    described = [
        {
            **describe_run(entry.run),
            "state": entry.status.state,
            "preset": entry.preset,
            "architecture": entry.architecture,
        }
        for entry in entries
    ]
    header = ("name", "state", "preset", "architecture", "epoch", "best", "val patient AUROC", "val accuracy", "tags")
    rows = [
        (
            run["name"],
            run["state"],
            run["preset"],
            run["architecture"],
            f"{run['epoch']}/{run['epochs']}",
            run["best_epoch"],
            *(figure_text(run["best_figures"][name]) if run["best"] else None for name in BEST_FIGURES[:2]),
            ", ".join(run["tags"]),
        )
        for run in described
    ]
    none = [
        f"None of the {len(everything)} runs is so; ask for less."
        if everything
        else f"No runs in {settings.runs} yet; start one with: python -m core train DATA --preset honest"
    ]
    return Outcome(
        document={"runs": described, "home": str(settings.home)}, lines=table(rows, header) if rows else none
    )


def _show(run: RunFolder, settings: Settings) -> Outcome:
    from core.runs.epoch_figures import epoch_figure
    from core.runs.warning_signs import read_warning_signs

    described = describe_run(run)
    config = run.config
    signs = read_warning_signs(run)
    records = run.epochs()
    epochs = [record.model_dump(mode="json") for record in records]
    columns = (
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "val_patient_auroc",
        "gradient_norm",
        "seconds",
        "best",
    )
    rows = [
        [
            f"{content['seconds']:.0f}"
            if name == "seconds"
            else "*"
            if content[name] is True
            else ""
            if content[name] is False
            else figure_text(epoch_figure(run, record, name).to_dict())
            if name in BEST_FIGURES
            else content[name]
            for name in columns
        ]
        for record, content in zip(records, epochs, strict=True)
    ]
    left = f", {clock_text(described['seconds_left'])} left" if described["seconds_left"] is not None else ""
    lines = [
        f"{run.name}: {described['state']}, epoch {described['epoch']} of {described['epochs']}{left}",
        f"{config.preset} preset, {config.architecture}, split by {config.split.split_unit}, data {run.source.root}",
        *([f"note: {plain(described['note'])}"] if described["note"] else []),
        *([f"tags: {plain(', '.join(described['tags']))}"] if described["tags"] else []),
        *([plain(described["message"])] if described["message"] else []),
        *(table(rows, [name.replace("_", " ") for name in columns]) if rows else []),
        *(f"warning: {plain(sign.message)}" for sign in signs),
        *(f"  {plain(line)}" for line in run.log_tail(LOG_LINES).splitlines()),
    ]
    document = {
        **described,
        "config": config.model_dump(mode="json"),
        "data": run.source.model_dump(mode="json"),
        "environment": run.environment(),
        "epochs_done": epochs,
        "warnings": [{"kind": sign.kind, "message": sign.message} for sign in signs],
    }
    return Outcome(document=document, lines=lines)


def _stop(run: RunFolder, settings: Settings) -> Outcome:
    from core.jobs.queue import request_stop

    request_stop(run)
    return Outcome(document=describe_run(run), lines=[f"{run.name} stops at the next batch; runs resume goes on."])


def _resume(run: RunFolder, settings: Settings) -> Outcome:
    """Queue a run again; under torchrun, or outside the runs' home, where the queue does not look, it is trained here."""
    from core.cli.train import TrainingDisplay, describe_outcome
    from core.jobs.queue import resume
    from core.training.torchrun import asked_size
    from core.training.trainer import train

    if asked_size() > 1 or run.path.parent != settings.runs.resolve():
        display = TrainingDisplay(run.config.epochs)
        train(run, settings, on_status=display.show_status, on_epoch=display.show_epoch)
        return describe_outcome(run)
    resume(run, settings)
    return Outcome(document=describe_run(run), lines=[f"{run.name} is in the queue again."])


def _tensorboard(run: RunFolder, settings: Settings) -> Outcome:
    from core.training.tensorboard import write_events

    write_events(run)
    lines = [f"{run.events} has the epochs of {run.name}; look at them with: tensorboard --logdir {run.path.parent}"]
    return Outcome(document={**describe_run(run), "events": str(run.events)}, lines=lines)


OF_ONE: dict[str, Callable[[RunFolder, Settings], Outcome]] = {
    "show": _show,
    "stop": _stop,
    "resume": _resume,
    "tensorboard": _tensorboard,
}
