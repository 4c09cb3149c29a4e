"""Every check of an audit, run over a cohort or over a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from core.audit.crosswalk import Crosswalk
from core.audit.duplicates import find_duplicates, match_slices
from core.audit.findings import KINDS, SEVERITIES, AuditReport, Finding, find
from core.audit.marks import mark_cohort
from core.audit.outliers import find_blank, find_intensity_outliers, find_spacing_outliers
from core.audit.persons import Pairs, PersonMatches, describe_match, match_persons
from core.audit.pixels import SeriesPixels, read_all
from core.audit.sides import Sides, find_both_sides
from core.audit.split_source import Parts, read_split
from core.audit.structure import find_structural, kind_of_fault, series_name
from core.data.study import Cohort, Series
from core.dataset.split import Split
from core.mri import MRSequence
from core.progress import Progress, silent
from core.settings import Settings

BOTH_SIDES = ("patient-on-both-sides", "series-on-both-sides", "duplicate-on-both-sides", "same-patient")
"""Kinds of findings by which a test figure may be too good."""


def audit_cohort(
    cohort: Cohort,
    settings: Settings,
    *,
    split: Split | Parts | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
) -> AuditReport:
    """Run every check on a cohort: folders, labels, headers, pixels, and the sides of a split.

    Every pixel is read once, in parallel per series; what is remembered of a series is kept in the cache until one
    of its files changes.

    Parameters
    ----------
    cohort
        What :func:`core.data.cohort.scan_cohort` found.
    settings
        Where the cache lies, and the limits.
    split
        A run's split, or one from :func:`read_split`, to find what stands on both sides of it. An ImageFolder tree with phases is checked without.
    jobs
        Processes; ``settings.threads`` by default.
    progress
        Called once per series; may raise to cancel, and what was read by then stays in the cache.

    Returns
    -------
    AuditReport
        Findings, the worst first; ``counted`` says how much was checked.

    Raises
    ------
    SplitError
        The split names nobody of this cohort.
    StorageError
        The cache cannot be written.
    """
    phases = split is None and any(study.phase for study in cohort)
    sides = Sides(cohort, split) if split is not None or phases else None
    series = list(cohort.series)
    read = read_all(series, cohort.root, settings, jobs or settings.threads, progress)
    pairs = [(one, pixels) for one, pixels in zip(series, read, strict=True) if isinstance(pixels, SeriesPixels)]
    persons = {study.study_id: study.person for study in cohort}
    owners = [persons[one.study_id] for one, _ in pairs]
    matches = match_slices(pairs, owners)
    findings = [
        *find_structural(cohort),
        *_find_unreadable(series, read),
        *find_blank(pairs),
        *find_spacing_outliers(series),
        *find_intensity_outliers(pairs),
        *find_duplicates(pairs, owners, matches),
        *(find_both_sides(cohort, sides, pairs, matches) if sides else ()),
    ]
    return AuditReport(findings=_order(findings), counted=_count(cohort, pairs, sides))


def audit_split(
    cohort: Cohort,
    split: Split | Parts | Path | None,
    settings: Settings,
    *,
    jobs: int | None = None,
    progress: Progress = silent,
) -> AuditReport:
    """Find every patient, series and (near-)duplicate image that stands on both sides of a split.

    Parameters
    ----------
    cohort
        The data.
    split
        A run's split, one that was read, or where one is written down (:func:`read_split`); None takes the cohort's own TRAIN, VAL and
        TEST folders.
    settings, jobs, progress
        As of :func:`audit_cohort`, which raises the same.

    Returns
    -------
    AuditReport
        The findings of :data:`BOTH_SIDES` alone.
    """
    known = read_split(split, settings) if isinstance(split, Path) else split
    report = audit_cohort(cohort, settings, split=known, jobs=jobs, progress=progress)
    return replace(report, findings=tuple(one for one in report.findings if one.kind in BOTH_SIDES))


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortOverlap:
    """Who of one cohort is in another."""

    one: Path
    other: Path
    matches: PersonMatches

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``audit A B --json`` prints it."""
        persons = [describe_match(match) | {"certain": match.certain} for match in self.matches.matches]
        return {
            "one": str(self.one),
            "other": str(self.other),
            "certain": len({match.person for match in self.matches.certain}),
            "probable": len({match.person for match in self.matches.probable}),
            "persons": persons,
            "compared": {"persons": self.matches.compared[1], "with": self.matches.compared[0]},
            "confirmed_different": self.matches.different,
            "unchecked": list(self.matches.unchecked),
        }


def audit_cohorts(
    cohorts: Sequence[Cohort],
    settings: Settings,
    *,
    split: Split | Parts | None = None,
    crosswalk: Crosswalk | None = None,
    pairs: Pairs | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
) -> tuple[AuditReport, tuple[CohortOverlap, ...]]:
    """Audit several cohorts, each alone (:func:`audit_cohort`), and find the persons who are in two of them.

    Parameters
    ----------
    cohorts
        What is audited; where there are several, places are named with their cohort's folder.
    settings, jobs, progress
        As of :func:`audit_cohort`.
    split
        Of the first.
    crosswalk, pairs
        As of :func:`core.audit.persons.match_persons`.

    Raises
    ------
    DataError
        The crosswalk names nobody of two cohorts.
    """
    reports = [
        audit_cohort(cohort, settings, split=split if number == 0 else None, jobs=jobs, progress=progress)
        for number, cohort in enumerate(cohorts)
    ]
    if len(cohorts) == 1:
        return reports[0], ()
    findings, counted = [], Counter[str]()
    for cohort, report in zip(cohorts, reports, strict=True):
        counted.update(report.counted)
        findings += [
            replace(one, where=tuple(f"{cohort.root.name}/{place}" for place in one.where)) for one in report.findings
        ]
    overlaps = []
    for first, second in combinations(cohorts, 2):
        overlap = find_overlap(first, second, settings, crosswalk=crosswalk, pairs=pairs, jobs=jobs, progress=progress)
        findings += _find_twice(overlap)
        counted["persons compared across cohorts"] += sum(overlap.matches.compared)
        overlaps.append(overlap)
    return AuditReport(findings=_order(findings), counted=counted), tuple(overlaps)


def find_overlap(
    one: Cohort,
    other: Cohort,
    settings: Settings,
    *,
    crosswalk: Crosswalk | None = None,
    pairs: Pairs | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
) -> CohortOverlap:
    """Return who of `other` is in `one`: by tables, ids, UIDs and pixels, which are read where they are not in the cache.

    Parameters
    ----------
    one, other
        Two cohorts.
    settings, jobs, progress
        As of :func:`audit_cohort`.
    crosswalk, pairs
        As of :func:`core.audit.persons.match_persons`.

    Raises
    ------
    DataError
        The crosswalk names nobody of one of the two.
    StorageError
        The cache cannot be written.
    """
    held = [{series.sequence for series in cohort.series} for cohort in (one, other)]
    among = sorted(held[0] & held[1]) or list(MRSequence)
    ours = mark_cohort(one, settings, among=among, jobs=jobs, progress=progress)
    theirs = mark_cohort(other, settings, among=ours.sequences, every=True, jobs=jobs, progress=progress)
    matches = match_persons(ours, theirs, crosswalk=crosswalk, pairs=pairs)
    return CohortOverlap(one=one.root, other=other.root, matches=matches)


def _find_twice(overlap: CohortOverlap) -> Iterator[Finding]:
    one, other = overlap.one.name, overlap.other.name
    for match in overlap.matches.matches:
        kind, what = (
            ("person-in-two-cohorts", "are one person")
            if match.certain
            else ("same-scan-in-two-cohorts", "look like one")
        )
        yield find(
            kind,
            [f"{one}/{match.same_as}", f"{other}/{match.person}"],
            f"{match.same_as} of {one} and {match.person} of {other} {what}: {', '.join(match.reasons)}.",
        )


def _order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first."""
    order = list(KINDS)
    return tuple(sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), order.index(one.kind), one.where)))


def _find_unreadable(series: list[Series], read: list[SeriesPixels | str]) -> list[Finding]:
    """Return a finding for each file whose header is readable and whose pixels are not."""
    findings = []
    for one, pixels in zip(series, read, strict=True):
        if isinstance(pixels, str):
            findings.append(find("unreadable", [series_name(one)], pixels))
            continue
        for fault in pixels.faults:
            place, _, reason = fault.partition(": ")
            if kind_of_fault(reason) == "unreadable":  # the others were found from the headers already
                findings.append(find("unreadable", [place], reason))
    return findings


def _count(cohort: Cohort, pairs: list[tuple[Series, SeriesPixels]], sides: Sides | None) -> dict[str, int]:
    slices = sum(len(pixels.blank) for _, pixels in pairs)
    counted = {
        "studies": len(cohort),
        "patients": len({study.person for study in cohort}),
        "series": sum(1 for _ in cohort.series),
        "files": cohort.file_count + len(cohort.faults),
        "labels": len(cohort.labelled) + len(cohort.labels_without_study),
        "slices": slices,
        "slices compared": slices - sum(int(pixels.blank.sum()) for _, pixels in pairs),
        "series with a spacing": sum(one.spacing_mm is not None for one in cohort.series),
        "volumes with intensities": sum(one.kind != "picture" and min(pixels.levels) > 0 for one, pixels in pairs),
    }
    if sides is not None:
        held = [sides.parts(one) for one in cohort.series]
        counted["series in the split"] = sum(bool(parts) for parts in held)
    return counted
