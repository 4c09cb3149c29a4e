"""What an audit says: findings with their severity, place and remedy, and what was checked."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from core.files import inert_cell, load_table

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
            "findings": [asdict(finding) | {"where": list(finding.where)} for finding in self.findings],
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
            cells = (finding.severity, finding.kind, finding.message, finding.remedy, len(finding.where), shown)
            writer.writerow(map(inert_cell, cells))
        return buffer.getvalue()


def find(kind: str, where: Iterable[str], message: str) -> Finding:
    """Make a finding of a known kind; severity and remedy are the kind's."""
    known = KINDS[kind]
    return Finding(
        kind=kind, severity=known.severity, where=tuple(where), message=" ".join(message.split()), remedy=known.remedy
    )


KINDS: dict[str, Kind] = {name: Kind(**entry) for name, entry in load_table(__file__).items()}
"""Every kind of finding, the most important first."""
