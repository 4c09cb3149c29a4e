"""runs: its actions and what they take."""

from __future__ import annotations

from typing import Any

from core.cli.options.shared import add_run
from core.cli.parser import Parser, add_commands, set_command

ACTIONS = {
    "list": ("runs", "List the runs, newest first."),
    "show": ("runs", "Show one run: its state, its epochs and the end of its log."),
    "stop": ("runs", "Stop a run at its next batch, or take it out of the queue."),
    "resume": ("runs", "Resume a stopped, interrupted or failed run."),
    "tensorboard": (
        "runs",
        "Write TensorBoard event files of a run into its folder (an extra package).",
    ),
    "queue": ("runs", "Show what trains and what is queued, in order."),
    "first": ("runs", "Move a queued run to the front."),
    "up": ("runs", "Move a queued run one place forward."),
    "down": ("runs", "Move a queued run one place back."),
    "cancel": ("runs", "Take a queued run out of the queue."),
    "compare": (
        "runs",
        "Compare runs: figures, differences with intervals, ROC, calibration, learning curves, settings.",
    ),
    "tag": ("runs", "Show a run's tags; add some and remove some."),
    "delete": ("runs", "Delete runs with their weights, for good."),
    "import": ("runs", "Import a run that export run wrote elsewhere."),
    "data": (
        "runs",
        "Say where a run's cohort lies here: of an imported run, or where it was moved.",
    ),
}


def define_runs(parser: Parser) -> None:
    """Add the actions of ``runs``; a mere ``runs`` lists them."""
    set_command(parser, "core.cli.runs.listing:list_all", action="list", run=None, **NO_FILTER)
    add_commands(parser, ACTIONS, title="actions", metavar="ACTION", dest="action")


STATES = ("queued", "running", "stopped", "failed", "interrupted", "finished")


NO_FILTER: dict[str, Any] = {"state": [], "preset": [], "tag": [], "text": ""}


def define_list(parser: Parser) -> None:
    """Add what ``list`` takes."""
    set_command(parser, "core.cli.runs.listing:list_all")
    add_run(parser, may_lack=True)
    group = parser.add_argument_group("only some of them")
    group.add_argument("--state", action="append", default=[], choices=STATES, help="may be given again: any of these")
    group.add_argument("--preset", action="append", default=[], metavar="NAME", help="may be given again: any of these")
    group.add_argument("--tag", action="append", default=[], metavar="TAG", help="may be given again: all of these")
    group.add_argument("--text", default="", metavar="WORDS", help="in name, note, network, preset or tags")


def define_show(parser: Parser) -> None:
    """Add what ``show`` takes."""
    set_command(parser, "core.cli.runs.listing:show")
    add_run(parser, may_lack=True)


def define_compare(parser: Parser) -> None:
    """Add what ``compare`` takes."""
    set_command(parser, "core.cli.runs.compare:compare", "Uses stored evaluations; no test patient is evaluated.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names or folders of two or more runs")
    parser.add_argument(
        "--part", choices=("val", "test"), default="val",
        help="validation patients, or test patients that were evaluated with every one of the runs",
    )  # fmt: skip
    parser.add_argument(
        "--reference", metavar="RUN", help="the run that the others are compared with (default: the first)"
    )
    parser.add_argument("--html", metavar="FILE", help="write one HTML page that needs nothing else")
    parser.add_argument("--csv", metavar="FILE", help="write every figure, difference, setting and epoch as one table")


def define_queue(parser: Parser) -> None:
    """Add what ``queue`` takes."""
    set_command(parser, "core.cli.runs.queue:show_queue", "One run trains at a time, or as many as MGMT_LAB_JOBS says.")


def define_first(parser: Parser) -> None:
    """Add what ``first``, ``up`` and ``down`` take."""
    set_command(parser, "core.cli.runs.queue:change_place")
    add_run(parser)


define_up = define_down = define_first


def define_cancel(parser: Parser) -> None:
    """Add what ``cancel`` takes."""
    set_command(parser, "core.cli.runs.queue:cancel_run")
    add_run(parser)


def define_stop(parser: Parser) -> None:
    """Add what ``stop`` takes."""
    set_command(parser, "core.cli.runs.queue:stop")
    add_run(parser, may_lack=True)


def define_resume(parser: Parser) -> None:
    """Add what ``resume`` takes."""
    set_command(parser, "core.cli.runs.resume:resume", distributed=True)
    add_run(parser, may_lack=True)


def define_tag(parser: Parser) -> None:
    """Add what ``tag`` takes."""
    set_command(parser, "core.cli.runs.store:tag")
    add_run(parser)
    parser.add_argument("--add", action="append", default=[], metavar="TAG", help="may be given again and again")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="may be given again and again")


def define_delete(parser: Parser) -> None:
    """Add what ``delete`` takes."""
    set_command(
        parser,
        "core.cli.runs.store:delete",
        "This cannot be undone; the Runs page of the app has an undo.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names of runs")
    parser.add_argument("--yes", action="store_true", help="confirm; without it nothing is deleted")


def define_import(parser: Parser) -> None:
    """Add what ``import`` takes."""
    set_command(
        parser,
        "core.cli.runs.store:import_from",
        "Everything in it is checked and its figures are computed anew; nothing is unpickled.",
    )
    parser.add_argument("file", metavar="FILE", help="the .zip file")
    parser.add_argument("--name", help="what to call it (default: as it was called, with a number where that is taken)")


def define_data(parser: Parser) -> None:
    """Add what ``data`` takes."""
    set_command(
        parser,
        "core.cli.runs.store:name_data_of",
        "It must be the very same cohort: ids, labels and series are compared.",
    )
    add_run(parser)
    parser.add_argument("data", metavar="DATA", help="the cohort's folder")
    parser.add_argument("--labels", metavar="CSV", help="label table, where it does not lie beside the data")
    parser.add_argument("--identity", metavar="CSV", help="table of ids that are one patient, where the run had one")


def define_tensorboard(parser: Parser) -> None:
    """Add what ``tensorboard`` takes."""
    set_command(parser, "core.cli.runs.store:tensorboard")
    add_run(parser, may_lack=True)
