"""power: how many patients it takes, before anybody is scanned."""

from __future__ import annotations

import argparse

from core.cli.options import positive
from core.cli.output import Outcome
from core.cli.parser import Parser, set_command
from core.errors import EvaluationError
from core.evaluation.power import patients_needed, power_of, smallest_auroc
from core.settings import Settings


def define_power(parser: Parser) -> None:
    """Add what ``power`` takes."""
    set_command(parser, power)
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
        choices=("known", "unpaired", "paired"),
        help="--against is a fixed value (default), a model on other patients, or a model on the same patients",
    )
    parser.add_argument(
        "--correlation",
        type=float,
        default=0.5,
        metavar="R",
        help="of the two models' AUROCs, for paired (default: 0.5)",
    )
    parser.add_argument("--power", type=float, default=0.8, metavar="P", help="chance to show it (default: 0.8)")
    parser.add_argument(
        "--prevalence", type=float, default=0.525, metavar="P", help="share of positives (default: 0.525)"
    )


def power(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Print the number needed, and the chance of the patients there are."""
    for name, low, high in (("power", 0, 1), ("prevalence", 0, 1), ("correlation", -1, 1)):
        value = getattr(arguments, name)
        if not low < value < high:
            raise EvaluationError(f"--{name} is {value:g}; give a number between {low} and {high}.")
    shared = {"design": arguments.design, "correlation": arguments.correlation, "prevalence": arguments.prevalence}
    needed = patients_needed(arguments.auroc, arguments.against, power=arguments.power, **shared)
    document: dict[str, object] = {"auroc": arguments.auroc, "against": arguments.against, **shared}
    document |= {"power": arguments.power, "patients_needed": needed}
    each = " for each model" if arguments.design == "unpaired" else ""
    count = "more than ten million" if needed is None else f"{needed:,}"
    lines = [
        f"{count} patients{each} tell {arguments.auroc:g} from {arguments.against:g} with {arguments.power:.0%} power."
    ]
    if arguments.patients is not None:
        reached = power_of(arguments.auroc, arguments.against, patients=arguments.patients, **shared)
        least = smallest_auroc(arguments.patients, power=arguments.power, prevalence=arguments.prevalence)
        document |= {"patients": arguments.patients, "power_of_these": reached, "smallest_auroc": least}
        lines.append(f"{arguments.patients} patients have {reached:.0%} power; they tell {least:.2f} from 0.5.")
    return Outcome(document=document, lines=lines)
