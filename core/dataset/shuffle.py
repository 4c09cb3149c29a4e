"""Permuted labels: the same cohort, except that labels carry no information on the scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.data.study import Cohort, Study


def shuffle_labels(cohort: Cohort, seed: int) -> Cohort:
    """Return the cohort with its labels permuted among the labelled patients.

    All studies of one person get one label, as before, and as many patients have each label as before; where a
    person's studies bear different labels, each study counts as a patient. Unlabelled studies stay so. The result
    depends on ids and labels only, not on the order in which the studies were found.

    Parameters
    ----------
    cohort
        Not changed.
    seed
        Of the permutation.
    """
    of_person: dict[str, set[int]] = {}
    for study in cohort.labelled:
        of_person.setdefault(study.person, set()).add(_label(study))
    units = {
        study.study_id: study.person if len(of_person[study.person]) == 1 else f"{study.person}|{study.study_id}"
        for study in cohort.labelled
    }
    truth = {units[study.study_id]: _label(study) for study in cohort.labelled}
    names = sorted(truth)
    dealt = dict(zip(names, np.random.default_rng(seed).permutation([truth[name] for name in names]), strict=True))
    studies = tuple(
        study if study.label is None else replace(study, label=int(dealt[units[study.study_id]])) for study in cohort
    )
    note = f"Labels shuffled among the patients (seed {seed}): they say nothing of these scans."
    return replace(cohort, studies=studies, notes=(*cohort.notes, note))


def _label(study: Study) -> int:
    assert study.label is not None
    return study.label
