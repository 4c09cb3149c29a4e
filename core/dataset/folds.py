"""Folds of persons for cross-validation, and who trains and validates outside each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.config import SplitConfig
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split, label_units, make_split
from core.errors import SplitError


def make_folds(table: SliceTable, folds: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Assign the labelled persons of a table to folds; see :func:`deal_folds`.

    TRAIN, VAL and TEST folders are ignored: every labelled person is in exactly one fold.

    Raises
    ------
    SplitError
        Two ids of one person have different labels, or a class has fewer persons than there are folds.
    """
    labels = label_units(table.rows[table.rows["label"] >= 0], "person")
    return deal_folds(labels, folds, seed, table.class_names)


def deal_folds(
    labels: Mapping[str, int], folds: int, seed: int, class_names: Sequence[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """Assign units to folds, stratified by label, independent of the order of the input.

    Each class is shuffled and dealt out like cards, each beginning where the one before ended: the folds' sizes, and
    their numbers of each class, differ by one at most. With persons as units this is a stratified *group* k-fold: all
    that belongs to a person goes where the person goes.

    Parameters
    ----------
    labels
        Class of each unit.
    folds
        How many folds, 2 or more.
    seed
        The same seed gives the same folds.
    class_names
        For the error's words.

    Returns
    -------
    tuple
        The units of each fold, sorted.

    Raises
    ------
    SplitError
        A class has fewer units than there are folds, or there is only one class.
    """
    if folds < 2:
        raise SplitError(f"Cross-validation needs two folds at least, not {folds}.")
    classes = sorted(set(labels.values()))
    counts = {label: sum(of == label for of in labels.values()) for label in classes}
    if len(classes) < 2 or min(counts.values()) < folds:
        names = dict(enumerate(class_names))
        found = ", ".join(f"{count} {names.get(label, label)}" for label, count in counts.items()) or "nobody"
        raise SplitError(
            f"{folds} folds that each hold every class need {folds} labelled persons of each of two classes at least; "
            f"there are: {found}. Choose fewer folds, or add patients."
        )
    dealt: list[list[str]] = [[] for _ in range(folds)]
    place = 0
    for label in classes:
        members = np.array(sorted(name for name, of in labels.items() if of == label))
        for name in np.random.default_rng([seed, label]).permutation(members):
            dealt[place % folds].append(str(name))
            place += 1
    return tuple(tuple(sorted(fold)) for fold in dealt)


def split_outside(
    table: SliceTable, fold: Sequence[str], config: SplitConfig, cohort_digest: str, seed: int, inner_folds: int = 1
) -> tuple[Split, ...]:
    """Split the persons outside a fold into training and inner validation; the fold itself is the test part.

    Parameters
    ----------
    table
        The prepared cohort.
    fold
        The persons who are held out: they choose nothing.
    config
        Its val_fraction is the inner validation's share where there is one; a split by slice is taken as one by patient.
    cohort_digest
        ``Cohort.digest``.
    seed
        Of the inner split.
    inner_folds
        1: one hold-out. More: as many splits, in which each person outside the fold validates once.

    Raises
    ------
    SplitError
        Too few persons are left for two parts that each hold every class.
    """
    held = set(fold)
    rest = table.rows[~table.rows["person"].isin(held)].assign(phase="").reset_index(drop=True)
    inner = replace(table, rows=rest)
    if inner_folds == 1:
        by_patient = config.model_copy(update={"split_unit": "patient", "split_seed": seed, "test_fraction": 0.0})
        drawn = make_split(inner, by_patient, cohort_digest)
        pairs = [(drawn.train, drawn.val)]
    else:
        parts = make_folds(inner, inner_folds, seed)
        everybody = {person for part in parts for person in part}
        pairs = [(tuple(sorted(everybody - set(part))), part) for part in parts]
    return tuple(
        Split(
            train=train, val=val, test=tuple(sorted(held)), unit="patient", seed=seed, cohort_digest=cohort_digest,
            source="drawn",
        )
        for train, val in pairs
    )  # fmt: skip
