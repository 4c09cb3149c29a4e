"""Permuted labels: the same cohort, except that labels carry no information on the scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.data.join import PART_OF
from core.data.study import Cohort, Study
from core.evaluation.permutation import NOT_STATED, Exchange, exchange_within


def name_site(study: Study) -> str:
    """Return the cohort and site that a study is of; empty where neither is stated."""
    known = (str(study.covariates.get(name, NOT_STATED)) for name in (PART_OF, "site"))
    return " ".join(part for part in known if part)


def exchange_of(cohort: Cohort) -> Exchange:
    """Return among whom labels are exchanged: the studies of the labelled patients, within sites."""
    labels = np.array([_label(study) for study in cohort.labelled], dtype=np.int64)
    return exchange_within([name_site(study) for study in cohort.labelled], labels)


def shuffle_labels(cohort: Cohort, seed: int, *, by_site: bool = False) -> Cohort:
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
    by_site
        Within each site (:func:`core.evaluation.permutation.exchange_within`) instead of among all.
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
    labels, generator = np.array([truth[name] for name in names]), np.random.default_rng(seed)
    if by_site:
        site = {
            units[study.study_id]: name_site(study) for study in sorted(cohort.labelled, key=lambda one: one.study_id)
        }
        exchange = exchange_within([site[name] for name in names], labels)
        among, shuffled = exchange.sentence, exchange.shuffle(labels, generator)
    else:
        among, shuffled = "among the patients", generator.permutation(labels)
    dealt = dict(zip(names, shuffled, strict=True))
    studies = tuple(
        study if study.label is None else replace(study, label=int(dealt[units[study.study_id]])) for study in cohort
    )
    note = f"Labels shuffled {among} (seed {seed}): they say nothing of these scans."
    return replace(cohort, studies=studies, notes=(*cohort.notes, note))


def _label(study: Study) -> int:
    assert study.label is not None
    return study.label
