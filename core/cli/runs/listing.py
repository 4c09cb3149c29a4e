"""runs list and runs show: what runs there are, and how one of them goes."""

from __future__ import annotations

import argparse
from typing import Any

from core.cli.output import Outcome, clock_text, plain, table
from core.cli.parser import UsageError
from core.figure_text import figure_text
from core.runs.epoch_figures import epoch_figure
from core.runs.filtering import RunFilter, filter_runs
from core.runs.folder import RunFolder, find_run, list_runs
from core.runs.records import EpochRecord
from core.runs.tags import read_tags
from core.runs.warning_signs import read_warning_signs
from core.settings import Settings

LOG_LINES = 15
BEST_FIGURES = ("val_patient_auroc", "val_accuracy", "val_loss")
EPOCH_COLUMNS = (
    *("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_patient_auroc"),
    *("gradient_norm", "seconds", "best"),
)


def named_run(arguments: argparse.Namespace, settings: Settings) -> RunFolder:
    """Find the run that an action was given; a missing name raises UsageError that says where names are."""
    if arguments.run is None:
        raise UsageError(f"runs {arguments.action} needs a RUN; runs list shows their names.")
    return find_run(arguments.run, settings)


def describe_run(run: RunFolder) -> dict[str, Any]:
    """A run in short, as ``runs list --json`` has it."""
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


def list_all(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """List the runs that the filter lets through."""
    if arguments.run is not None:
        raise UsageError(f"runs list takes no RUN; to see {arguments.run!r} alone: runs show {arguments.run}.")
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


def show(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Show one run."""
    run = named_run(arguments, settings)
    described = describe_run(run)
    config = run.config
    signs = read_warning_signs(run)
    records = run.epochs()
    rows = [[_cell(run, record, name) for name in EPOCH_COLUMNS] for record in records]
    left = f", {clock_text(described['seconds_left'])} left" if described["seconds_left"] is not None else ""
    lines = [
        f"{run.name}: {described['state']}, epoch {described['epoch']} of {described['epochs']}{left}",
        f"{config.preset} preset, {config.architecture}, split by {config.split.split_unit}, data {run.source.places}",
        *([f"note: {plain(described['note'])}"] if described["note"] else []),
        *([f"tags: {plain(', '.join(described['tags']))}"] if described["tags"] else []),
        *([plain(described["message"])] if described["message"] else []),
        *(table(rows, [name.replace("_", " ") for name in EPOCH_COLUMNS]) if rows else []),
        *(f"warning: {plain(sign.message)}" for sign in signs),
        *(f"  {plain(line)}" for line in run.log_tail(LOG_LINES).splitlines()),
    ]
    document = {
        **described,
        "config": config.model_dump(mode="json"),
        "data": run.source.model_dump(mode="json"),
        "environment": run.environment(),
        "epochs_done": [record.model_dump(mode="json") for record in records],
        "warnings": [{"kind": sign.kind, "message": sign.message} for sign in signs],
    }
    return Outcome(document=document, lines=lines)


def _cell(run: RunFolder, record: EpochRecord, name: str) -> object:
    """One field of an epoch as the table shows it; the best epoch has a star."""
    if name in BEST_FIGURES:
        return figure_text(epoch_figure(run, record, name))
    if name == "best":
        return "*" if record.best else ""
    return f"{record.seconds:.0f}" if name == "seconds" else getattr(record, name)
