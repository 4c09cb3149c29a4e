"""How long trainings may take before any was timed, from the network's multiply-adds."""

from __future__ import annotations

from math import prod

from core.config import PrepConfig, RunConfig
from core.data.select import select_sources
from core.data.study import Cohort
from core.models.costs import read_costs

MACS_PER_SECOND = 2e10
"""Multiply-adds of training that a CPU thread does in a second: ResNet18 at 64 px, batches of 16, took 0.28 s of a busy Xeon's CPU
time a step, which is 2.5e10; preparing and validation take the rest."""


def estimate_seconds(config: RunConfig, slices: int, trainings: int, threads: int) -> float | None:
    """Return how long so many trainings may take on CPU threads, roughly.

    Parameters
    ----------
    config
        Of each training.
    slices
        In training and validation, of one of them (:func:`count_slices`).
    trainings, threads
        How many, and on how many threads.

    Returns
    -------
    float or None
        None for a network that is not in the table of costs.
    """
    cost = read_costs().get(config.architecture)
    if cost is None:
        return None
    of_slice = cost.multiply_adds * config.prep.size_px**2 / prod(cost.input_shape[1:])
    # Backward takes twice as long as forward.
    return 3 * of_slice * slices * config.epochs * trainings / (MACS_PER_SECOND * max(1, threads))


def count_slices(cohort: Cohort, prep: PrepConfig) -> int:
    """Return how many slices of the labelled studies a network sees in an epoch, blank ones counted.

    Sequences that one example combines count once.
    """
    total = 0
    for study in cohort.labelled:
        for source in select_sources(study, prep):
            kept = [_count_kept(series.slice_total or len(series.files), prep) for series in source]
            total += max(kept) if prep.combines else sum(kept)
    return total


def _count_kept(there: int, prep: PrepConfig) -> int:
    if prep.form == "volume":  # padded where the series has fewer
        return prep.slice_count
    return there if prep.slice_choice == "all" else min(there, prep.slice_count)
