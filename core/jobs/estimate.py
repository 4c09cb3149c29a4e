"""How long a training will take, from how long an earlier one took here."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from core.config import RunConfig
from core.data.study import Cohort
from core.errors import MGMTLabError
from core.runs.epoch_figures import part_sizes
from core.runs.folder import RunEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEstimate:
    """An estimate and the run that it rests on."""

    seconds: float
    run: str


def estimate_training(cohort: Cohort, config: RunConfig, runs: Iterable[RunEntry]) -> TrainingEstimate | None:
    """Scale the time of the newest comparable run by patients, slices and epochs.

    Comparable is a run of the same network at the same image size, whose slices were chosen alike. Preparation is not in it, nor other work of the machine.

    Parameters
    ----------
    cohort, config
        What is to be trained on, and how.
    runs
        Runs of this machine, newest first.

    Returns
    -------
    TrainingEstimate or None
        None where no comparable run has finished an epoch.
    """
    for entry in runs:
        with suppress(MGMTLabError):
            done, records, patients = entry.run.config, entry.run.epochs(), part_sizes(entry.run, "train")[0]
            if _kind(done) == _kind(config) and records and patients:
                each = median(record.seconds for record in records) / (patients * _slices(done))
                share = 1 - config.split.val_fraction - config.split.test_fraction
                amount = len(cohort.labelled) * share * _slices(config)
                return TrainingEstimate(seconds=each * amount * config.epochs, run=entry.run.name)
    return None


def _kind(config: RunConfig) -> tuple[str, int, str]:
    return config.architecture, config.prep.size_px, config.prep.slice_choice


def _slices(config: RunConfig) -> int:
    """Slices of a patient that a network sees, up to what its series have; where all are taken, series."""
    return len(config.prep.sequences) * (1 if config.prep.slice_choice == "all" else config.prep.slice_count)
