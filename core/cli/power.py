"""power: how many patients it takes, before anybody is scanned."""

from __future__ import annotations

import argparse

from core.cli.output import Outcome
from core.errors import EvaluationError
from core.evaluation.power import (
    DESIGNS,
    Design,
    development_sizes,
    patients_needed,
    power_of,
    smallest_auroc,
    validation_sizes,
)
from core.settings import Settings

OTHER_DESIGN: dict[Design, Design] = {"known": "folds", "folds": "known", "unpaired": "paired", "paired": "unpaired"}
"""The design that each is easily taken for."""


def power(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Print the number needed, the chance of the patients there are, and Riley's sizes."""
    for name, low, high in (("power", 0, 1), ("prevalence", 0, 1), ("correlation", -1, 1)):
        value = getattr(arguments, name)
        if not low < value < high:
            raise EvaluationError(f"--{name} is {value:g}; give a number between {low} and {high}.")
    shared = {"design": arguments.design, "correlation": arguments.correlation, "prevalence": arguments.prevalence}
    needed = patients_needed(arguments.auroc, arguments.against, power=arguments.power, **shared)
    document: dict[str, object] = {"auroc": arguments.auroc, "against": arguments.against, **shared}
    document |= {"power": arguments.power, "patients_needed": needed}
    other = OTHER_DESIGN[arguments.design]
    of_other = patients_needed(
        arguments.auroc, arguments.against, power=arguments.power, **{**shared, "design": other}
    )  # fmt: skip
    document["other_design"] = {"design": other, "patients_needed": of_other}
    lines = [
        f"{_count(needed, arguments.design)} tell {arguments.auroc:g} from {arguments.against:g} with "
        f"{arguments.power:.0%} power.",
        f"Design: {DESIGNS[arguments.design]}. With --design {other} ({DESIGNS[other]}): {_count(of_other, other)}.",
    ]
    if arguments.patients is not None:
        reached = power_of(arguments.auroc, arguments.against, patients=arguments.patients, **shared)
        least = smallest_auroc(
            arguments.patients,
            power=arguments.power,
            prevalence=arguments.prevalence,
            design="folds" if arguments.design == "folds" else "known",
        )
        document |= {"patients": arguments.patients, "power_of_these": reached, "smallest_auroc": least}
        lines.append(f"{arguments.patients} patients have {reached:.0%} power; they tell {least:.2f} from 0.5.")
    if arguments.design == "folds":
        lines.append("The AUROC is what the folds' networks are worth on average, each patient judged once in 5 folds.")
        lines.append(
            "It does not tell all: where 2 features tell, power is up to 4 points higher, where 200 do, 4 lower."
        )
    if 0.5 < arguments.auroc < 1:
        sizes = development_sizes(arguments.auroc, arguments.parameters, arguments.prevalence)
        judged = validation_sizes(arguments.auroc, arguments.prevalence)
        document |= {"parameters": arguments.parameters, "development": sizes, "validation": judged}
        lines += [
            f"To develop a regression of {arguments.parameters} coefficients (Riley 2020): {max(sizes.values()):,} patients "
            f"(shrinkage {sizes['shrinkage']:,}, optimism {sizes['optimism']:,}, overall risk {sizes['risk']:,}).",
            f"To validate a model (Riley 2021): {max(judged.values()):,} patients (calibration slope {judged['slope']:,}, "
            f"O:E {judged['observed_expected']:,}, AUROC {judged['auroc']:,}).",
        ]
    return Outcome(document=document, lines=lines)


def _count(patients: int | None, design: Design) -> str:
    each = " for each model" if design == "unpaired" else ""
    return f"{'more than ten million' if patients is None else f'{patients:,}'} patients{each}"
