"""runs: see the queue and change it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from core.cli.options import Parser, add_command
from core.cli.output import Outcome, table

if TYPE_CHECKING:
    from core.settings import Settings


PLACES = {
    "first": "Let a run that waits be the next one.",
    "up": "Let a run that waits change places with the one before it.",
    "down": "Let a run that waits change places with the one behind it.",
}


def add_actions(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add what can be done with the queue."""
    add_command(
        actions, "queue", show_queue, "Show what trains and what waits, in the order of its turn.",
        "One run trains at a time, or as many as MGMT_LAB_JOBS says.",
    )  # fmt: skip
    for name, title in PLACES.items():
        parser = add_command(actions, name, change_place, title)
        parser.add_argument("run", metavar="RUN", help="a run's name or folder")
    parser = add_command(actions, "cancel", cancel_run, "Take a run that waits out of the queue.")
    parser.add_argument("run", metavar="RUN", help="a run's name or folder")


def show_queue(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """List the runs that train and those that wait."""
    from core.cli.runs import describe_run
    from core.jobs.queue import list_waiting
    from core.runs.folder import list_runs

    training = [entry.run for entry in list_runs(settings) if entry.status.state == "running"]
    waiting = list_waiting(settings)
    rows = [("now", run.name, run.status().note) for run in training]
    rows += [(str(place), run.name, run.status().note) for place, run in enumerate(waiting, start=1)]
    none = ["No run trains or waits; put one into the queue with: python -m core train DATA --queue"]
    return Outcome(
        document={
            "running": [describe_run(run) for run in training],
            "waiting": [describe_run(run) for run in waiting],
            "at_once": settings.jobs,
        },
        lines=table(rows, ("place", "name", "note")) if rows else none,
    )


def change_place(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Change a run's place in the queue, and say the place that it has then."""
    from core.cli.runs import describe_run
    from core.jobs.queue import list_waiting, move, put_first
    from core.runs.folder import find_run

    run = find_run(arguments.run, settings)
    if arguments.action == "first":
        put_first(run, settings)
    else:
        move(run, settings, "up" if arguments.action == "up" else "down")
    waiting = list_waiting(settings)
    if run not in waiting:
        return Outcome(document=describe_run(run), lines=[f"The turn of {run.name} has come."])
    place = waiting.index(run) + 1
    return Outcome(
        document={**describe_run(run), "place": place},
        lines=[f"{run.name} is number {place} of {len(waiting)} that wait."],
    )


def cancel_run(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Take a run out of the queue."""
    from core.cli.runs import describe_run
    from core.jobs.queue import cancel
    from core.runs.folder import find_run

    run = find_run(arguments.run, settings)
    cancel(run)
    return Outcome(document=describe_run(run), lines=[f"{run.name} is out of the queue; runs resume puts it back."])
