"""external and leave-one-cohort-out: what they take."""

from __future__ import annotations

from core.cli.options.shared import add_behind_queue, add_config, add_data, add_overlap, add_parallel
from core.cli.parser import Parser, set_command

COHORTS = (
    "A COHORT is a folder, read by the options below, or a .json file that says how it is read: {\"root\": FOLDER, "
    "\"labels\": TABLE, \"target\": COLUMN, ...}, as a run's data.json. Of a person in two of them, the first keeps it"
)  # fmt: skip
AGAIN = "Interrupted or killed, it is resumed by the same command."


def define_external(parser: Parser) -> None:
    """Add what ``external`` takes."""
    set_command(
        parser,
        "core.cli.external:external",
        f"{COHORTS}, and the run's own patients are dropped and counted. {AGAIN}",
    )
    parser.add_argument("subject", metavar="CHECKPOINT_OR_RUN", help="a run's name or folder, or a .safetensors file")
    _add_cohorts(parser)
    parser.add_argument("--name", metavar="NAME", help="folder below experiments/ (default: external-SUBJECT)")


def define_leave_one_cohort_out(parser: Parser) -> None:
    """Add what ``leave-one-cohort-out`` takes."""
    set_command(
        parser,
        "core.cli.external:leave_one_cohort_out",
        f"{COHORTS}; all of a person's studies are on one side. {AGAIN}",
    )
    _add_cohorts(parser)
    add_config(parser, preset="honest")
    parser.add_argument(
        "--by",
        choices=("cohort", "site"),
        default="cohort",
        help="what is left out in turn: whole cohorts, or the sites within one (default: cohort)",
    )
    parser.add_argument(
        "--matrix",
        action="store_true",
        help="also train on each alone and evaluate on every other: as many trainings more",
    )
    add_parallel(parser, "trainings")
    parser.add_argument(
        "--name",
        default="leave-one-cohort-out",
        metavar="NAME",
        help="folder below experiments/ (default: leave-one-cohort-out)",
    )


def _add_cohorts(parser: Parser) -> None:
    add_data(parser, "cohorts", several=True)
    add_overlap(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="write the result there too: external.json, external.csv, external.html"
    )
    add_behind_queue(parser)
