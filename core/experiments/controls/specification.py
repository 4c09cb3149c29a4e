"""The specification curve as an experiment: the same question under every combination of reasonable choices."""

from __future__ import annotations

from itertools import product
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.config import RunConfig, apply_settings
from core.dataset.table import build_table
from core.errors import ConfigError, MGMTLabError, RunBusyError
from core.evaluation.figure import Figure
from core.evaluation.specification import Cell, order_cells
from core.experiments.controls.inner_split import split_inside
from core.experiments.controls.optimism import TrainMember
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from core.settings import Settings
from core.training.evaluate import evaluate_run

MOST_CELLS = 400


class SpecificationParameters(BaseModel):
    """Which choices are varied."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    vary: dict[str, list[str]] = Field(
        default={
            "seed": ["0", "1", "2"],
            "normalise": ["percentile", "zscore"],
            "sequences": ["T1wCE", "FLAIR,T1w,T1wCE,T2w"],
            "slice_count": ["4", "8"],
        }
    )
    """Settings with the values to try, as ``--set`` takes them; every combination is trained."""
    split_seed: int = Field(default=0, ge=0)
    """Of the hold-out inside the training patients, the same for all combinations."""


def list_cells(config: RunConfig, parameters: SpecificationParameters) -> list[tuple[dict[str, str], RunConfig]]:
    """Return every combination of choices with its configuration.

    Raises
    ------
    ConfigError
        A setting or value does not exist, nothing is varied, a value stands twice, or there are more than 400
        combinations.
    """
    vary = parameters.vary
    if not vary or not all(vary.values()):
        raise ConfigError("A specification curve varies something: give each setting at least one value.")
    if {"split_seed", "split_unit", "val_fraction", "test_fraction"} & set(vary):
        raise ConfigError("The split is no choice to vary here: all combinations are judged on the same patients.")
    cells = [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
    if len(cells) > MOST_CELLS:
        raise ConfigError(f"These are {len(cells)} combinations; vary less, {MOST_CELLS} at most.")
    configured = [(cell, apply_settings(config, cell)) for cell in cells]
    if len({one.model_dump_json() for _, one in configured}) < len(cells):
        raise ConfigError("Two combinations are the same configuration; give each value once.")
    return configured


def measure_specification(
    train_member: TrainMember,
    config: RunConfig,
    source: DataSource,
    parameters: SpecificationParameters,
    settings: Settings,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train every combination on the same patients and judge it on the same others.

    Patients are held out inside those that training may use; the run's own test patients stand in no part of it. A
    combination that cannot be trained is counted as failed, with its reason, and the rest go on.

    Parameters
    ----------
    train_member
        See :data:`core.experiments.controls.optimism.TrainMember`.
    config, source
        What is varied, and the data.
    parameters, settings
        The choices; where the cache lies.
    progress
        Called with combinations finished.

    Returns
    -------
    dict
        As :meth:`core.evaluation.specification.SpecificationCurve.to_dict` gives it, with ``reasons`` of what failed.
    """
    configured = list_cells(config, parameters)
    cohort = open_cohort(source, silent, settings)
    split = split_inside(build_table(cohort, config.prep, settings), config.split, cohort.digest, parameters.split_seed)
    cells: list[Cell] = []
    reasons: list[str] = []
    for number, (choices, one) in enumerate(configured):
        progress(number, len(configured), ", ".join(f"{name} {value}" for name, value in choices.items()))
        by_patient = one.model_copy(update={"split": one.split.model_copy(update={"split_unit": "patient"})})
        name = f"cell-{number:03d}"
        try:
            run = train_member(name, by_patient, split)
            figure = evaluate_run(run, "test", settings).patient["auroc"]
        except RunBusyError:
            raise
        except MGMTLabError as error:
            reasons.append(f"{name}: {error}")
            figure = Figure(value=None, low=None, high=None, n=0, reason=str(error))
        cells.append(Cell(choices=choices, figure=figure, run=name))
    progress(len(configured), len(configured), "")
    return {**order_cells(cells).to_dict(), "reasons": reasons}
