"""``runs``: the table of what can be done with training runs."""

from __future__ import annotations

from core.cli.parser import Parser, add_commands, set_command
from core.cli.runs.listing import NO_FILTER, list_all

ACTIONS = {
    "list": ("core.cli.runs.listing", "List the runs, newest first."),
    "show": ("core.cli.runs.listing", "Show one run: its state, its epochs and the end of its log."),
    "stop": ("core.cli.runs.queue", "Stop a run at its next batch, or take it out of the queue."),
    "resume": ("core.cli.runs.resume", "Let a stopped, interrupted or failed run go on."),
    "tensorboard": (
        "core.cli.runs.store",
        "Write TensorBoard event files of a run into its folder (an extra package).",
    ),
    "queue": ("core.cli.runs.queue", "Show what trains and what waits, in the order of its turn."),
    "first": ("core.cli.runs.queue", "Let a run that waits be the next one."),
    "up": ("core.cli.runs.queue", "Let a run that waits change places with the one before it."),
    "down": ("core.cli.runs.queue", "Let a run that waits change places with the one behind it."),
    "cancel": ("core.cli.runs.queue", "Take a run that waits out of the queue."),
    "compare": (
        "core.cli.runs.compare",
        "Lay runs over each other: figures, differences with intervals, ROC, calibration, courses, settings.",
    ),
    "tag": ("core.cli.runs.store", "Show a run's tags; add some and remove some."),
    "delete": ("core.cli.runs.store", "Delete runs with their weights, for good."),
    "import": ("core.cli.runs.store", "Take in a run that export run wrote elsewhere."),
    "data": (
        "core.cli.runs.store",
        "Say where a run's cohort lies here: of an imported run, or where it was moved.",
    ),
}


def define_runs(parser: Parser) -> None:
    """Add the actions of ``runs``; a mere ``runs`` lists them."""
    set_command(parser, list_all, action="list", run=None, **NO_FILTER)
    add_commands(parser, ACTIONS, title="actions", metavar="ACTION", dest="action")
