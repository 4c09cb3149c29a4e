"""evaluate, calibration, thresholds and power: what they take."""

from __future__ import annotations

from core.cli.options.shared import add_data, add_overlap, add_run, positive
from core.cli.parser import Parser, set_command


def define_evaluate(parser: Parser) -> None:
    """Add what ``evaluate`` takes."""
    set_command(
        parser, "core.cli.evaluate:evaluate", "How often the test patients have been evaluated is counted and shown."
    )
    add_run(parser)
    parser.add_argument("--part", choices=("test", "val"), help="patients of the run's own cohort (default: test)")
    add_data(parser, "--data")
    add_overlap(parser)


MORE = (
    "On the test patients where they have been evaluated, else on the validation patients; it counts as no evaluation."
)


def define_calibration(parser: Parser) -> None:
    """Add what ``calibration`` takes."""
    set_command(parser, "core.cli.reliability:calibration", MORE)
    add_run(parser)
    parser.add_argument(
        "--level", type=float, default=0.9, metavar="P", help="coverage of the conformal sets (default: 0.9)"
    )


def define_thresholds(parser: Parser) -> None:
    """Add what ``thresholds`` takes."""
    set_command(parser, "core.cli.reliability:thresholds", MORE)
    add_run(parser)


def define_power(parser: Parser) -> None:
    """Add what ``power`` takes."""
    set_command(parser, "core.cli.power:power")
    parser.add_argument("auroc", type=float, metavar="AUROC", help="the true AUROC that is hoped for")
    parser.add_argument(
        "--against", type=float, default=0.5, metavar="AUROC", help="the AUROC to tell it from (default: 0.5)"
    )
    parser.add_argument(
        "--patients", type=positive, metavar="N", help="how many there are: prints their chance to show it"
    )
    parser.add_argument(
        "--design",
        default="known",
        choices=("known", "folds", "unpaired", "paired"),
        help="--against is a fixed value for one model (default) or for a cross-validation over all patients, a model on "
        "other patients, or a model on the same patients",
    )
    parser.add_argument(
        "--correlation",
        type=float,
        default=0.5,
        metavar="R",
        help="of the two models' AUROCs, for paired (default: 0.5)",
    )
    parser.add_argument(
        "--parameters",
        type=positive,
        default=10,
        metavar="N",
        help="coefficients of a regression, for the size of a study that develops one (default: 10)",
    )
    parser.add_argument("--power", type=float, default=0.8, metavar="P", help="chance to show it (default: 0.8)")
    parser.add_argument(
        "--prevalence", type=float, default=0.525, metavar="P", help="share of positives (default: 0.525)"
    )
