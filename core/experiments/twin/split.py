"""Two splits that differ in one thing: whether other slices of the evaluated patients stand in training.

The patients are split once into training, validation and test. Of each validation and test patient some slices are
evaluated; the rest are their *siblings*. Both arms are evaluated on the same slices, and choose their epoch on the same
slices. The arm by patient trains on every slice of the training patients. The arm by slice trains on the siblings
and, in their place, on fewer slices of the training patients: equally many in all, and equally many of each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import SplitConfig
from core.dataset.slice_table import SliceTable
from core.dataset.split import Part, Split, make_split
from core.errors import SplitError

JUDGED_SHARE = 0.25
"""Of a evaluated patient's slices, as a slice split of 75 to 25 would give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSplits:
    """The two arms."""

    by_slice: Split
    """Siblings of the evaluated slices are in training; unit "slice"."""
    by_patient: Split
    """None is; unit "patient", and of the evaluated patients only the evaluated slices take part."""
    siblings: int
    """Slices in the training part of ``by_slice`` whose patient is evaluated."""


def split_twins(
    table: SliceTable, config: SplitConfig, cohort_digest: str, judged_share: float = JUDGED_SHARE
) -> TwinSplits:
    """Draw the two splits.

    Parameters
    ----------
    table
        The prepared cohort.
    config
        Fractions of patients in validation and test, and the seed; the unit is ignored.
    cohort_digest
        ``Cohort.digest``, written into the splits.
    judged_share
        Share of each validation and test patient's slices that is evaluated; at least one slice, and never all.

    Raises
    ------
    SplitError
        Too few patients, no test patients, or a part would lack a class because its patients have one slice each.
    """
    honest = make_split(table, config.model_copy(update={"split_unit": "patient"}), cohort_digest)
    if not honest.test:
        raise SplitError("The twin run is evaluated on test patients; choose a test_fraction above 0.")
    generator = np.random.default_rng([config.split_seed, 2])
    rows = table.rows[table.rows["label"] >= 0].sort_values("key")
    train = rows[rows["person"].isin(honest.train)]
    evaluated: dict[Part, list[str]] = {}
    siblings: list[pd.DataFrame] = []
    for part in ("val", "test"):
        chosen, rest = _choose_evaluated(rows[rows["person"].isin(honest.units(part))], judged_share, generator)
        _require_both(part, chosen)
        evaluated[part] = _texts(chosen["key"])
        siblings.append(rest)
    by_slice_train, sibling_count = _replace(train, pd.concat(siblings), generator)
    persons = {part: _texts(rows.loc[rows["key"].isin(evaluated[part]), "person"].unique()) for part in evaluated}
    return TwinSplits(
        by_slice=Split(
            train=tuple(sorted(by_slice_train)),
            val=tuple(sorted(evaluated["val"])),
            test=tuple(sorted(evaluated["test"])),
            unit="slice",
            seed=config.split_seed,
            cohort_digest=cohort_digest,
            source=honest.source,
        ),
        by_patient=replace(
            honest,
            val=tuple(sorted(persons["val"])),
            test=tuple(sorted(persons["test"])),
            kept=tuple(sorted([*_texts(train["key"]), *evaluated["val"], *evaluated["test"]])),
        ),
        siblings=sibling_count,
    )


def _choose_evaluated(
    rows: pd.DataFrame, share: float, generator: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part each person's slices into evaluated ones and siblings; a person of one slice is left out."""
    chosen, rest = [], []
    for _, own in rows.groupby("person", sort=True):
        if len(own) > 1:
            count = min(max(round(share * len(own)), 1), len(own) - 1)
            order = generator.permutation(len(own))
            chosen.append(own.iloc[np.sort(order[:count])])
            # The place in this order decides who goes first where there are more siblings than room.
            rest.append(own.iloc[order[count:]].assign(turn=np.arange(len(own) - count)))
    if not chosen:
        raise SplitError("No evaluated patient has two slices, so none has a sibling; keep more slices (slice_count).")
    return pd.concat(chosen), pd.concat(rest)


def _require_both(part: str, chosen: pd.DataFrame) -> None:
    if chosen["label"].nunique() < 2:
        raise SplitError(
            f"The evaluated slices of the {part} part are all of one class; patients with one slice have no siblings and "
            "are left out. Add patients, or keep more slices (slice_count)."
        )


def _replace(train: pd.DataFrame, siblings: pd.DataFrame, generator: np.random.Generator) -> tuple[list[str], int]:
    """Keys of the training part by slice: siblings in the place of as many slices of the same class."""
    keys: list[str] = []
    count = 0
    for label in sorted(train["label"].unique()):
        ours = _shuffled(train.loc[train["label"] == label, "key"], generator)
        theirs = siblings[siblings["label"] == label]
        entering = _in_turn(theirs, generator)[: len(ours)]
        keys += [*entering, *ours[: len(ours) - len(entering)]]
        count += len(entering)
    return keys, count


def _in_turn(siblings: pd.DataFrame, generator: np.random.Generator) -> list[str]:
    """Every patient's first sibling, then every patient's second, ..., in random order within a turn."""
    mixed = siblings.iloc[generator.permutation(len(siblings))]
    return _texts(mixed.sort_values("turn", kind="stable")["key"])


def _shuffled(keys: pd.Series[str], generator: np.random.Generator) -> list[str]:
    return _texts(generator.permutation(keys.to_numpy(dtype=np.str_)))


def _texts(values: Sequence[str] | pd.Series[str] | NDArray[np.generic]) -> list[str]:
    return [str(value) for value in values]
