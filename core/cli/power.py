"""power: how many patients it takes, before anybody is scanned."""

from __future__ import annotations

import argparse

from core.cli.output import Outcome
from core.errors import EvaluationError
from core.evaluation.power import patients_needed, power_of, smallest_auroc
from core.settings import Settings


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
