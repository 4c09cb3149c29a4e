"""Who is left out together: the persons of each of several cohorts, or of each site of one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.data.join import PART_OF
from core.data.study import Cohort, Study
from core.errors import SplitError

FEWEST_OF_CLASS = 2
"""Persons of each class that a group needs to be judged: an AUROC of fewer has no interval."""
NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The labelled persons of a cohort in groups, each person in one."""

    judged: Mapping[str, tuple[str, ...]]
    """Those that are left out in turn: persons by the group's name."""
    only_train: Mapping[str, tuple[str, ...]]
    """Those that are too small to be judged, or whose site is not stated."""
    moved: tuple[str, ...]
    """Persons with studies in several groups; each is in the one with most of them."""


def group_persons(cohort: Cohort, by: Literal["cohort", "site"]) -> Groups:
    """Group the labelled persons of a cohort; all studies of a person go with the person.

    Raises
    ------
    SplitError
        Fewer than two groups are left: fewer than two can be judged, or nothing would be trained on.
    """
    places: dict[str, Counter[str]] = defaultdict(Counter)
    labels: dict[str, int | None] = {}
    for study in cohort.labelled:
        places[study.person][_group_of(study, by)] += 1
        labels[study.person] = study.label
    groups: dict[str, list[str]] = defaultdict(list)
    for person, counts in sorted(places.items()):
        groups[min(counts, key=lambda name: (-counts[name], name))].append(person)
    judged: dict[str, tuple[str, ...]] = {}
    only_train: dict[str, tuple[str, ...]] = {}
    for name, persons in sorted(groups.items()):
        counts_by_class = Counter(labels[person] for person in persons)
        enough = len(counts_by_class) > 1 and min(counts_by_class.values()) >= FEWEST_OF_CLASS
        (judged if enough and name != NOT_STATED else only_train)[name] = tuple(persons)
    if len(judged) < 2:
        found = ", ".join(f"{name} {len(persons)}" for name, persons in sorted(groups.items())) or "nobody"
        raise SplitError(
            f"Leaving one {by} out needs two {by}s with {FEWEST_OF_CLASS} labelled persons of each class at least; there "
            f"are: {found} (persons). " + ("Name further cohorts." if by == "cohort" else "Leave out cohorts, or add a "
            "column site to the label table.")
        )  # fmt: skip
    return Groups(
        judged=judged,
        only_train=only_train,
        moved=tuple(person for person, counts in sorted(places.items()) if len(counts) > 1),
    )


def _group_of(study: Study, by: Literal["cohort", "site"]) -> str:
    return str(study.covariates.get(PART_OF if by == "cohort" else "site", NOT_STATED))
