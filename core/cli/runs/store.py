"""runs tag, delete, import, data and tensorboard: change what is kept of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.output import Outcome, plain
from core.cli.parser import UsageError
from core.cli.runs.listing import describe_run, named_run
from core.runs.folder import delete_run, find_run
from core.runs.tags import change_tags, read_tags
from core.runs.unbundle import import_run, name_data, read_import
from core.settings import Settings
from core.training.tensorboard import write_events


def tag(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Change a run's tags and show them."""
    run = find_run(arguments.run, settings)
    changed = arguments.add or arguments.remove
    tags = change_tags(run, arguments.add, arguments.remove) if changed else read_tags(run)
    document = {"run": str(run.path), "name": run.name, "tags": list(tags)}
    return Outcome(document=document, lines=[f"{plain(run.name)}: {plain(', '.join(tags)) or 'no tags'}"])


def delete(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Delete runs for good; all names are resolved first, so that a wrong one deletes nothing."""
    runs = list(dict.fromkeys(find_run(name, settings) for name in arguments.runs))
    if not arguments.yes:
        doomed = ", ".join(run.name for run in runs)
        raise UsageError(f"This deletes {doomed} with all weights, for good; add --yes to do it.")
    for run in runs:
        delete_run(run)
    names = [run.name for run in runs]
    return Outcome(document={"deleted": names}, lines=[f"Deleted: {plain(', '.join(names))}"])


def import_from(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Take in a run's zip."""
    run = import_run(Path(arguments.file).expanduser(), settings, name=arguments.name)
    origin = read_import(run)
    assert origin is not None
    lines = [
        f"{run.name}: imported, {run.status().state}.",
        f"Its data lay at {plain(origin.data)}. To evaluate its test patients here, name it: runs data {run.name} DATA",
    ]
    return Outcome(document=describe_run(run) | {"imported": origin.model_dump(mode="json")}, lines=lines)


def name_data_of(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Say where a run's cohort lies."""
    run = find_run(arguments.run, settings)
    source = name_data(run, arguments.data, settings, arguments.labels, arguments.identity)
    document = {"run": str(run.path), "name": run.name, "data": source.model_dump(mode="json")}
    return Outcome(document=document, lines=[f"{plain(run.name)} is on {plain(source.root)}: the same cohort."])


def tensorboard(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write a run's epochs for TensorBoard."""
    run = named_run(arguments, settings)
    write_events(run)
    lines = [f"{run.events} has the epochs of {run.name}; show them with: tensorboard --logdir {run.path.parent}"]
    return Outcome(document={**describe_run(run), "events": str(run.events)}, lines=lines)
