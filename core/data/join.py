"""Several cohorts as one: each study under the name of its cohort, so that ids of different hands never meet."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from core.data.study import Cohort, Study
from core.errors import DataError, LabelError

PART_OF = "cohort"
"""The covariate of a joined cohort's studies that names the cohort they are of."""
TAKEN_BEFORE = "the person is in another of the cohorts, which is named first"
GENERIC_NAMES = frozenset({"train", "test", "val", "data", "images"})
"""Names of folders that say nothing of the cohort in them."""


def name_cohorts(roots: Iterable[Path]) -> tuple[str, ...]:
    """Return a short name for each cohort's folder, none twice."""
    names: list[str] = []
    for root in roots:
        name = root.parent.name if root.name.lower() in GENERIC_NAMES else root.name
        name = name or "cohort"
        number = 2
        free = name
        while free in names:
            free, number = f"{name}-{number}", number + 1
        names.append(free)
    return tuple(names)


def join_cohorts(cohorts: Mapping[str, Cohort]) -> Cohort:
    """Return cohorts as one: ids begin with the cohort's name, which is also the covariate :data:`PART_OF`.

    Labels are in the first one's order of classes. Whether a person is in two of them is not looked at here: leave them
    out first (:func:`leave_out`).

    Parameters
    ----------
    cohorts
        By name; two at least.

    Raises
    ------
    LabelError
        Their classes mean something else.
    DataError
        Synthetic scans are to be mixed with others.
    """
    first = next(iter(cohorts.values()))
    for name, cohort in cohorts.items():
        if not same_classes(first, cohort):
            raise LabelError(
                f"{name} cannot be joined: its labels mean {describe_classes(cohort)}, those of {next(iter(cohorts))} "
                f"{describe_classes(first)}; name the classes alike, or state the positive one with --positive."
            )
    if len({cohort.synthetic for cohort in cohorts.values()}) > 1:
        made = ", ".join(name for name, cohort in cohorts.items() if cohort.synthetic)
        raise DataError(f"{made} is synthetic and the others are not; leave it out: such a mixture says nothing.")
    studies = [_rename(study, name, cohort, first) for name, cohort in cohorts.items() for study in cohort]
    excluded = [_rename(study, name, cohort, first) for name, cohort in cohorts.items() for study in cohort.excluded]
    return Cohort(
        root=Path(os.path.commonpath([cohort.root.absolute() for cohort in cohorts.values()])),
        layout=first.layout,
        adapter="folder",
        studies=tuple(sorted(studies, key=lambda study: study.study_id)),
        excluded=tuple(excluded),
        class_names=first.class_names,
        positive_class=first.positive_class,
        synthetic=first.synthetic,
        faults=tuple(fault for cohort in cohorts.values() for fault in cohort.faults),
        notes=tuple(f"{name}: {note}" for name, cohort in cohorts.items() for note in cohort.notes),
        labels_without_study=tuple(
            f"{name}:{study_id}" for name, cohort in cohorts.items() for study_id in cohort.labels_without_study
        ),
    )


def leave_out(cohort: Cohort, persons: Collection[str], reason: str = TAKEN_BEFORE) -> Cohort:
    """Return the cohort with some persons excluded, with their reason."""
    gone = frozenset(persons)
    out = [replace(study, label=None, excluded=reason) for study in cohort if study.person in gone]
    kept = tuple(study for study in cohort if study.person not in gone)
    return replace(cohort, studies=kept, excluded=(*cohort.excluded, *out))


def same_classes(one: Cohort, other: Cohort) -> bool:
    """Whether the classes of two cohorts have the same names and the same positive one, in whatever order."""
    return (
        sorted(one.class_names) == sorted(other.class_names)
        and one.class_names[one.positive_class] == other.class_names[other.positive_class]
    )


def describe_classes(cohort: Cohort) -> str:
    """Write ``unmethylated / methylated (positive: methylated)``."""
    return f"{' / '.join(cohort.class_names)} (positive: {cohort.class_names[cohort.positive_class]})"


def _rename(study: Study, name: str, cohort: Cohort, first: Cohort) -> Study:
    study_id = f"{name}:{study.study_id}"
    return replace(
        study,
        study_id=study_id,
        person=f"{name}:{study.person}",
        label=None if study.label is None else first.class_names.index(cohort.class_names[study.label]),
        series=tuple(replace(series, study_id=study_id) for series in study.series),
        phase=None,
        covariates={**study.covariates, PART_OF: name},
    )
