"""Checks of headers, folders and tables: what is missing, unreadable, unlabelled or out of order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.audit.findings import Finding, find
from core.data.study import Cohort, Fault, Series, Study
from core.mri import MRSequence, Plane

FLAGGED_IDS = ("00109", "00123", "00709")
"""Studies that the RSNA-MICCAI organisers allow to leave out for known faults."""
FAULT_KINDS = (
    (re.compile(r"an empty folder|a study without images"), "empty-folder"),
    (re.compile(r"gaps between slices vary"), "missing-slices"),
    (
        re.compile(r"left out: \d+ of its frames|set aside: |is a Siemens mosaic|up to \d+ at one: a time series of"),
        "set-aside",
    ),
    (re.compile(r"left out: (a copy of|at the same position)|lie at only \d+ positions"), "repeated-slice"),
    (re.compile(r"left out: |do not form one volume|unevenly spaced"), "mixed-series"),
    (re.compile(r"the transfer syntax .* cannot be read here"), "unsupported-syntax"),
    (re.compile(r"only MR images can be used here|MR signal is grey|without pixel data"), "not-mr"),
    (re.compile(r"is an? (?:archive|packed scan) among the scans"), "archive-inside"),
    (re.compile(r"claims .*; at most .* are accepted|the limit here"), "too-large"),
)
"""What the scan says of a fault -> its kind; anything else is an unreadable file."""
NAMED = 5


def series_name(series: Series) -> str:
    """Name a series as findings do: "study/sequence"."""
    return f"{series.study_id}/{series.sequence}"


def find_structural(cohort: Cohort) -> Iterator[Finding]:
    """Yield what can be found without a pixel."""
    yield from (
        find(kind_of_fault(fault.reason), [fault.path], f"{fault.path}: {fault.reason}") for fault in cohort.faults
    )
    yield from _find_missing_sequences(cohort)
    yield from _find_label_gaps(cohort)
    yield from _find_flagged(cohort)
    yield from _find_known_patients(cohort)
    yield from _find_doubts(cohort)
    yield from _find_mixed_planes(cohort)
    yield from _find_file_order(cohort)


def kind_of_fault(reason: str) -> str:
    """Return the kind of finding that a fault is, by its reason."""
    return next((kind for pattern, kind in FAULT_KINDS if pattern.search(reason)), "unreadable")


def _find_missing_sequences(cohort: Cohort) -> Iterator[Finding]:
    """Name what a study lacks; where all studies lack one of the four sequences, that is one finding.

    A tree of images need not have all four: there, what occurs at all is expected of every study.
    """
    present = {series.sequence for series in cohort.series} - {MRSequence.UNKNOWN}
    for sequence in MRSequence:
        if sequence not in present and (cohort.layout != "rsna" or sequence is MRSequence.UNKNOWN):
            continue
        without = [study for study in cohort if study.find(sequence) is None]
        if len(without) == len(cohort) and len(cohort) > 1:
            yield find(
                "missing-sequence", [f"{study.study_id}/{sequence}" for study in without], f"No study has {sequence}."
            )
            continue
        for study in without:
            if not _is_reported(study, sequence, cohort.faults):
                yield find(
                    "missing-sequence", [f"{study.study_id}/{sequence}"], f"Study {study.study_id} has no {sequence}."
                )


def _is_reported(study: Study, sequence: MRSequence, faults: tuple[Fault, ...]) -> bool:
    """Whether a fault in that very folder says already why the sequence is not there."""
    return any({study.study_id, str(sequence)} <= set(fault.path.replace("\\", "/").split("/")) for fault in faults)


def _find_label_gaps(cohort: Cohort) -> Iterator[Finding]:
    unlabelled = [study.study_id for study in cohort if study.label is None]
    if unlabelled:
        yield find(
            "study-without-label",
            unlabelled,
            f"{len(unlabelled)} of {len(cohort)} studies without a label: {_some(unlabelled)}.",
        )
    orphans = cohort.labels_without_study
    if orphans:
        yield find(
            "label-without-study",
            orphans,
            f"Labels of studies that are not here: {len(orphans)} ({_some(orphans)}).",
        )


def _find_flagged(cohort: Cohort) -> Iterator[Finding]:
    if cohort.layout != "rsna" or cohort.synthetic:
        return
    for study in cohort:
        if study.study_id in FLAGGED_IDS:
            yield find(
                "flagged-study",
                [study.study_id],
                f"Study {study.study_id} is one of the three that the competition's organisers flag.",
            )


def _find_known_patients(cohort: Cohort) -> Iterator[Finding]:
    groups: dict[str, list[str]] = {}
    for study in cohort:
        if study.phase is None:
            groups.setdefault(study.person, []).append(study.study_id)
    for ids in groups.values():
        if len(ids) > 1:
            yield find("known-same-patient", ids, f"Studies {' and '.join(ids)} are one patient by the identity table.")


def _find_doubts(cohort: Cohort) -> Iterator[Finding]:
    of_doubt: dict[str, list[str]] = {}
    for series in cohort.series:
        for doubt in series.doubts:
            of_doubt.setdefault(doubt, []).append(series_name(series))
    for doubt, names in of_doubt.items():
        yield find("unstated-geometry", names, f"{len(names)} series: {doubt}.")


def _find_mixed_planes(cohort: Cohort) -> Iterator[Finding]:
    mixed = [study.study_id for study in cohort if len({series.plane for series in study.series} - {Plane.UNKNOWN}) > 1]
    if mixed:
        yield find(
            "mixed-planes", mixed, f"In {len(mixed)} of {len(cohort)} studies the series lie in different planes."
        )


def _find_file_order(cohort: Cohort) -> Iterator[Finding]:
    """Say in how many series the file numbers rise or fall with the position, and in how many they do not."""
    stacks = [series for series in cohort.series if series.kind == "dicom" and len(series.files) > 2]
    shuffled = [series_name(series) for series in stacks if not _is_ordered(series)]
    if shuffled:
        yield find(
            "file-order",
            shuffled,
            f"In {len(shuffled)} of {len(stacks)} series the numbers in the file names do not follow the slice positions.",
        )


def _is_ordered(series: Series) -> bool:
    """Whether the last numbers of the file names, in spatial order, only rise or only fall; no number is no order."""
    found = [re.findall(r"\d+", path.stem) for path in series.files]
    if not all(found):
        return True
    numbers = [int(digits[-1]) for digits in found]
    return numbers in (sorted(numbers), sorted(numbers, reverse=True))


def _some(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
