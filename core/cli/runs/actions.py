"""``runs``: the table of what can be done with training runs."""

from __future__ import annotations

from core.cli.parser import Parser, add_commands, set_command
from core.cli.runs.listing import NO_FILTER, list_all

ACTIONS = {
    "list": ("core.cli.runs.listing", "List the runs, newest first."),
    "show": ("core.cli.runs.listing", "Show one run: its state, its epochs and the end of its log."),
    "stop": ("core.cli.runs.queue", "Stop a run at its next batch, or take it out of the queue."),
    "resume": ("core.cli.runs.resume", "Resume a stopped, interrupted or failed run."),
    "tensorboard": (
        "core.cli.runs.store",
        "Write TensorBoard event files of a run into its folder (an extra package).",
    ),
    "queue": ("core.cli.runs.queue", "Show what trains and what is queued, in order."),
    "first": ("core.cli.runs.queue", "Move a queued run to the front."),
    "up": ("core.cli.runs.queue", "Move a queued run one place forward."),
    "down": ("core.cli.runs.queue", "Move a queued run one place back."),
    "cancel": ("core.cli.runs.queue", "Take a queued run out of the queue."),
    "compare": (
        "core.cli.runs.compare",
        "Compare runs: figures, differences with intervals, ROC, calibration, learning curves, settings.",
    ),
    "tag": ("core.cli.runs.store", "Show a run's tags; add some and remove some."),
    "delete": ("core.cli.runs.store", "Delete runs with their weights, for good."),
    "import": ("core.cli.runs.store", "Import a run that export run wrote elsewhere."),
    "data": (
        "core.cli.runs.store",
        "Say where a run's cohort lies here: of an imported run, or where it was moved.",
    ),
}


def define_runs(parser: Parser) -> None:
    """Add the actions of ``runs``; a mere ``runs`` lists them."""
    set_command(parser, list_all, action="list", run=None, **NO_FILTER)
    add_commands(parser, ACTIONS, title="actions", metavar="ACTION", dest="action")
