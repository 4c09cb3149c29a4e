"""Labels are dealt out to patients anew, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.data.study import Cohort, Study
from core.dataset.shuffle import shuffle_labels


def make_cohort(labels: dict[str, tuple[str, int | None]], reverse: bool = False) -> Cohort:
    studies = [Study(study_id=name, person=person, label=label, series=()) for name, (person, label) in labels.items()]
    return Cohort(root=Path("/data"), layout="rsna", studies=tuple(reversed(studies) if reverse else studies))


MANY: dict[str, tuple[str, int | None]] = {f"{number:05d}": (f"{number:05d}", number % 2) for number in range(40)}


def labels_of(cohort: Cohort) -> dict[str, int | None]:
    return {study.study_id: study.label for study in cohort}


def test_as_many_patients_have_each_label_and_some_have_another() -> None:
    cohort = make_cohort(MANY)
    shuffled = shuffle_labels(cohort, 1)
    assert shuffled.label_counts() == cohort.label_counts()
    changed = [name for name, label in labels_of(shuffled).items() if label != MANY[name][1]]
    assert 8 <= len(changed) <= 32
    assert labels_of(cohort) == {name: label for name, (_, label) in MANY.items()}


def test_it_depends_on_the_seed_but_not_on_the_order_of_the_studies() -> None:
    one = shuffle_labels(make_cohort(MANY), 1)
    assert labels_of(one) == labels_of(shuffle_labels(make_cohort(MANY, reverse=True), 1))
    assert labels_of(one) != labels_of(shuffle_labels(make_cohort(MANY), 2))


def test_two_studies_of_one_person_keep_one_label() -> None:
    twice = {**MANY, "90000": ("00000", 0), "90001": ("00001", 1)}
    for seed in range(5):
        found = labels_of(shuffle_labels(make_cohort(twice), seed))
        assert found["90000"] == found["00000"]
        assert found["90001"] == found["00001"]


def test_a_person_with_two_labels_counts_as_two() -> None:
    torn = {**MANY, "90000": ("00000", 1)}
    shuffled = shuffle_labels(make_cohort(torn), 0)
    assert shuffled.label_counts() == make_cohort(torn).label_counts()


def test_unlabelled_studies_stay_unlabelled_and_the_cohort_says_what_was_done() -> None:
    shuffled = shuffle_labels(make_cohort({**MANY, "90000": ("90000", None)}), 7)
    assert labels_of(shuffled)["90000"] is None
    assert "seed 7" in shuffled.notes[-1]


def test_within_sites_each_keeps_its_labels_and_the_note_says_so() -> None:
    studies = tuple(
        replace(study, covariates={"site": "a" if number < 20 else "b"}, label=int(number % 4 == 0 or number < 10))
        for number, study in enumerate(make_cohort(MANY).studies)
    )
    cohort = replace(make_cohort(MANY), studies=studies)
    shuffled = shuffle_labels(cohort, 1, by_site=True)
    for part in (slice(20), slice(20, 40)):
        assert sum(one.label or 0 for one in shuffled.studies[part]) == sum(one.label or 0 for one in studies[part])
    assert labels_of(shuffled) != labels_of(cohort)
    assert "within 2 sites" in shuffled.notes[-1]
