"""evaluate, referee, baselines, calibration, thresholds and power: what they take."""

from __future__ import annotations

from core.cli.options.shared import add_data, add_overlap, add_run, positive
from core.cli.parser import Parser, set_command
from core.mri import MRSequence


def define_evaluate(parser: Parser) -> None:
    """Add what ``evaluate`` takes."""
    set_command(
        parser, "core.cli.evaluate:evaluate", "How often the test patients have been evaluated is counted and shown."
    )
    add_run(parser)
    parser.add_argument("--part", choices=("test", "val"), help="patients of the run's own cohort (default: test)")
    parser.add_argument(
        "--prevalence",
        type=float,
        metavar="P",
        help="also the predictive values where this share of patients is positive",
    )
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


SITE = "the letters that the ids begin with are the site"


def define_referee(parser: Parser) -> None:
    """Add what ``referee`` takes."""
    set_command(
        parser,
        "core.cli.tables.referee:referee",
        "Nothing is trained and no scan is read; several rows of one id are one patient.",
    )
    parser.add_argument(
        "table", metavar="TABLE",
        help="CSV, TSV or xlsx with a row for each prediction: id, label, probability (or score); optional fold, site, part, "
        "probability_b and covariates",
    )  # fmt: skip
    parser.add_argument("--target", metavar="COLUMN", help="the column of labels, where it is not called label")
    parser.add_argument("--positive", metavar="VALUE", help="the label of the positive class, where it is no 0 or 1")
    parser.add_argument("--site-from-id", action="store_true", help=SITE)
    parser.add_argument(
        "--label-error", type=float, nargs="+", metavar="RATE",
        help="sensitivity and specificity of the labels, or one rate of wrong labels: what the AUROC may then be",
    )  # fmt: skip
    parser.add_argument(
        "--prevalence", type=float, metavar="P",
        help="share of positives where the model would be used: predictive values there, at a threshold of 0.5",
    )  # fmt: skip
    parser.add_argument(
        "--tried", type=positive, default=1, metavar="N",
        help="models, epochs or settings of which this one was the best on these patients (default: 1)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="folder for referee.html and referee.json")


def define_baselines(parser: Parser) -> None:
    """Add what ``baselines`` takes."""
    set_command(
        parser,
        "core.cli.tables.baselines:baselines",
        "DATA may be a table too: id, label and covariates. Of a cohort the headers are a baseline of their own.",
    )
    add_data(parser)
    parser.add_argument("--site-from-id", action="store_true", help=f"of a table: {SITE}")
    parser.add_argument(
        "--repeats", type=positive, default=10, metavar="N", help="times that the folds are dealt anew (default: 10)"
    )
    parser.add_argument(
        "--radiomics",
        choices=[str(sequence) for sequence in MRSequence if sequence != MRSequence.UNKNOWN],
        help="also the features of the tumour in this sequence, where masks are there; needs mirp (requirements-radiomics.txt)",
    )
