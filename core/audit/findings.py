"""What an audit says: findings with their severity, place and remedy, and what was checked."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Severity = Literal["error", "warning", "note"]
"""An error makes figures wrong or data useless; a warning wants a look; a note is normal, but worth knowing."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

PLACES_PER_CELL = 50
"""Places written into one cell of the CSV; the number of all stands beside it, and the JSON has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of finding: what it is called, how bad it is, and what to do."""

    title: str
    severity: Severity
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    ``where`` names files (relative to the cohort's folder; ``file#slice`` within a NIfTI file), series
    ("study/sequence"), or studies.
    """

    kind: str
    severity: Severity
    where: tuple[str, ...]
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """All findings, the worst first, and how much was checked."""

    findings: tuple[Finding, ...]
    counted: Mapping[str, int]
    """What was checked -> how many of it, so that "nothing found" is a statement with its n."""

    def counts(self) -> dict[Severity, int]:
        """Number of findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict: ``findings`` [{kind, severity, where, message, remedy}], ``counts``, ``counted``."""
        return {
            "findings": [
                {
                    "kind": finding.kind,
                    "severity": finding.severity,
                    "where": list(finding.where),
                    "message": finding.message,
                    "remedy": finding.remedy,
                }
                for finding in self.findings
            ],
            "counts": self.counts(),
            "counted": dict(self.counted),
        }

    def to_csv(self) -> str:
        """Write one row per finding: severity, kind, message, remedy, number of places, the first fifty places."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["severity", "kind", "message", "remedy", "places", "where"])
        for finding in self.findings:
            shown = "; ".join(finding.where[:PLACES_PER_CELL])
            cells: list[str | int] = [
                finding.severity,
                finding.kind,
                finding.message,
                finding.remedy,
                len(finding.where),
                shown,
            ]
            writer.writerow([_inert(cell) for cell in cells])
        return buffer.getvalue()


def find(kind: str, where: Iterable[str], message: str) -> Finding:
    """Make a finding of a known kind; severity and remedy are the kind's."""
    known = KINDS[kind]
    return Finding(
        kind=kind, severity=known.severity, where=tuple(where), message=" ".join(message.split()), remedy=known.remedy
    )


def _inert(cell: str | int) -> str | int:
    """Keep a spreadsheet from taking a file name for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _kind(title: str, severity: Severity, remedy: str) -> Kind:
    return Kind(title=title, severity=severity, remedy=remedy)


KINDS: dict[str, Kind] = {
    "patient-on-both-sides": _kind(
        "Patient on both sides of the split",
        "error",
        "Split by patient: the figure otherwise measures how well a patient is recognised again.",
    ),
    "series-on-both-sides": _kind(
        "Series on both sides of the split",
        "error",
        "Split by patient: neighbouring slices of one series are nearly the same picture.",
    ),
    "duplicate-on-both-sides": _kind(
        "Duplicate on both sides of the split",
        "error",
        "Delete one of the copies, or add the pair to identity.csv so that both stand in one part; then split again.",
    ),
    "same-patient": _kind(
        "One patient under two ids",
        "error",
        "Add the pair to identity.csv in MGMT_LAB_HOME (study_id,same_person_as,source), so that splits keep them "
        "together; or delete one of the two.",
    ),
    "person-in-two-cohorts": _kind(
        "One person in two cohorts",
        "error",
        "Count such a person once: evaluate RUN --data and external leave the run's own patients out; elsewhere take one of "
        "the two out of its cohort.",
    ),
    "same-scan-in-two-cohorts": _kind(
        "What looks like one scan in two cohorts",
        "error",
        "Look at both scans and say of each pair whether it is one person: --pairs FILE writes the table to be marked.",
    ),
    "duplicate-between-patients": _kind(
        "Same pixels in two patients",
        "error",
        "Find out whose picture it is and delete the other; where both ids are one patient, add them to identity.csv.",
    ),
    "near-duplicate-between-patients": _kind(
        "Nearly the same picture in two patients",
        "warning",
        "Look at both: where it is one scan (scaled, windowed or saved again), delete one or add the ids to identity.csv.",
    ),
    "duplicate-within-patient": _kind(
        "Same pixels twice in a patient",
        "warning",
        "Delete the copy, or fetch the slice again: one of the two is not what its header says.",
    ),
    "near-duplicate-within-patient": _kind(
        "A picture saved twice in a patient",
        "warning",
        "Delete one of the two: the same slice was saved again, scaled or compressed.",
    ),
    "unreadable": _kind("Unreadable file", "error", "Fetch the file again, or delete it; it is left out meanwhile."),
    "unsupported-syntax": _kind(
        "Compressed in a way that cannot be read",
        "error",
        "Convert the file to Explicit VR Little Endian, for example with dcmdjpeg or gdcmconv --raw.",
    ),
    "too-large": _kind(
        "Larger than is accepted",
        "error",
        "See whether its header is damaged and fetch it again; the limits stand in core/settings.py.",
    ),
    "archive-inside": _kind("Archive among the scans", "warning", "Unpack it in its place, or delete it."),
    "not-mr": _kind(
        "Not an MR picture", "note", "Nothing to do: reports, screen shots and other modalities are not trained on."
    ),
    "mixed-series": _kind(
        "Files of different volumes in one series",
        "error",
        "Sort the files into one folder per series; what does not fit its series is left out.",
    ),
    "blank-series": _kind("Blank series", "error", "Fetch the series again, or delete it: it shows nothing."),
    "empty-folder": _kind("Empty folder", "warning", "Fetch the series again, or delete the folder."),
    "missing-sequence": _kind(
        "Missing sequence",
        "warning",
        "Fetch the series, or train on sequences that every study has (--set sequences=...).",
    ),
    "missing-slices": _kind(
        "Uneven gaps between slices", "warning", "Fetch the series again: slices are probably missing."
    ),
    "repeated-slice": _kind(
        "Several files at one position", "warning", "Keep one file per position; the others are left out."
    ),
    "blank-inside": _kind(
        "Blank slice inside the head",
        "warning",
        "Fetch the slice again; it is left out of training, which leaves a gap.",
    ),
    "spacing-outlier": _kind(
        "Unusual spacing",
        "warning",
        "Compare PixelSpacing and the slice positions with the scanner's protocol; a wrong unit shows like this.",
    ),
    "intensity-outlier": _kind(
        "Unusual intensity",
        "warning",
        "Look at the series: a wrong rescale slope, a lost bit or another kind of image shows like this.",
    ),
    "study-without-label": _kind(
        "Study without label",
        "warning",
        "Add the study to the label table, or name the right table with --labels; unlabelled studies are not trained on.",
    ),
    "label-without-study": _kind(
        "Label without study", "warning", "Fetch the study, or take its row out of the label table."
    ),
    "flagged-study": _kind(
        "Study that the competition flags",
        "warning",
        "The organisers allow leaving it out for known faults; delete its folder to do so.",
    ),
    "set-aside": _kind(
        "Series that is not anatomical",
        "note",
        "Nothing to do: a localiser, a mosaic or a time series is not trained on.",
    ),
    "known-same-patient": _kind(
        "Ids known to be one patient",
        "note",
        "Nothing to do: splits keep them together. Count patients, not studies.",
    ),
    "blank-slices": _kind(
        "Blank slices at the ends", "note", "Nothing to do: they are left out of training and kept in the viewer."
    ),
    "unstated-geometry": _kind(
        "Geometry that files do not state",
        "note",
        "What is assumed is said with every answer. Export the scans again with orientation, spacing and sidecars to be sure.",
    ),
    "mixed-planes": _kind(
        "Different planes within a study",
        "note",
        "Normal in the competition's data: the plane is read from the header, and the viewer lines the series up.",
    ),
    "file-order": _kind(
        "File numbers are not the spatial order",
        "note",
        "Normal in the competition's data. Slices are ordered by position here; do so in other tools too.",
    ),
}
"""Every kind of finding, the most important first."""
