"""seal: its forms and what they take."""

from __future__ import annotations

from core.cli.options.shared import add_config, add_data, add_run
from core.cli.parser import Parser, add_commands, set_command

FORMS = {
    "run": ("seal", "Seal the plan of a run, trained or still training."),
    "data": ("seal", "Seal a plan before anything is trained."),
    "check": ("seal", "List the seals and whether each is whole; with RUN, whether it followed."),
}


def define_seal(parser: Parser) -> None:
    """Add the forms of ``seal``."""
    add_commands(parser, FORMS, title="forms", metavar="FORM", required=True)


def define_run(parser: Parser) -> None:
    """Add what ``run`` takes."""
    set_command(parser, "core.cli.seal:seal_run")
    add_run(parser)
    _add_criterion(parser)


def define_data(parser: Parser) -> None:
    """Add what ``data`` takes."""
    set_command(parser, "core.cli.seal:seal_data")
    add_data(parser)
    add_config(parser, preset="honest")
    _add_criterion(parser)


def define_check(parser: Parser) -> None:
    """Add what ``check`` takes."""
    set_command(parser, "core.cli.seal:check")
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's name or folder")
    parser.add_argument(
        "--git", metavar="REPO[@COMMIT]", help="verify that this commit (default: HEAD) holds the hash, and note it"
    )


def _add_criterion(parser: Parser) -> None:
    group = parser.add_argument_group("what would count as success, by patient on the test patients")
    group.add_argument(
        "--metric", default="auroc", metavar="NAME", help="auroc (default), auprc, balanced_accuracy, ..."
    )
    group.add_argument(
        "--bound",
        default="low",
        choices=("low", "value"),
        help="the lower end of the 95%% interval (default), or the value",
    )
    group.add_argument("--at-least", type=float, default=0.5, metavar="X", help="the number to reach (default: 0.5)")
    group.add_argument("--note", default="", help="a line of your own, sealed with the rest")
