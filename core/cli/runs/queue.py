"""runs queue, first, up, down, cancel and stop: see the queue, change it, and end what trains."""

from __future__ import annotations

import argparse

from core.cli.output import Outcome, table
from core.cli.runs.listing import describe_run, named_run
from core.jobs.queue import cancel, list_waiting, move, put_first, request_stop
from core.runs.folder import find_run, list_runs
from core.settings import Settings


def show_queue(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """List the runs that train and those that wait."""
    training = [entry.run for entry in list_runs(settings) if entry.status.state == "running"]
    waiting = list_waiting(settings)
    rows = [("now", run.name, run.status().note) for run in training]
    rows += [(str(place), run.name, run.status().note) for place, run in enumerate(waiting, start=1)]
    none = ["No run trains or is queued; queue one with: python -m core train DATA --queue"]
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
    run = find_run(arguments.run, settings)
    if arguments.action == "first":
        put_first(run, settings)
    else:
        move(run, settings, "up" if arguments.action == "up" else "down")
    waiting = list_waiting(settings)
    if run not in waiting:
        return Outcome(document=describe_run(run), lines=[f"{run.name} has left the queue: it starts now."])
    place = waiting.index(run) + 1
    return Outcome(
        document={**describe_run(run), "place": place},
        lines=[f"{run.name} is number {place} of {len(waiting)} in the queue."],
    )


def cancel_run(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Take a run out of the queue."""
    run = find_run(arguments.run, settings)
    cancel(run)
    return Outcome(
        document=describe_run(run),
        lines=[f"{run.name} is out of the queue; queue it again with: runs resume {run.name}"],
    )


def stop(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Ask a run to stop."""
    run = named_run(arguments, settings)
    request_stop(run)
    return Outcome(
        document=describe_run(run),
        lines=[f"{run.name} stops at the next batch; resume it with: runs resume {run.name}"],
    )
