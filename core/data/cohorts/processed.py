"""A cohort that was processed from raw here: its own list names studies, persons and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.data.cohorts.adapter import NIFTI, CohortAdapter, SessionFolder
from core.files import read_document
from core.mri import MRSequence

LIST = "processed.json"
"""Names the studies, their persons and sessions, and why one was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedAdapter(CohortAdapter):
    """Reads the list that :mod:`core.data.raw.cohort` writes."""

    def find_sessions(self, root: Path) -> list[SessionFolder]:
        """Return the studies of the list: a single one of them is read as any folder."""
        return self.find_below(root)

    def find_below(self, root: Path) -> list[SessionFolder]:
        """Return the studies of the list, those that were refused with the reason; none where there is no such list."""
        try:
            entries = read_document(root / LIST)["studies"]
            return [
                SessionFolder(
                    study_id=entry["study_id"],
                    person=entry["person"],
                    session=entry["session"],
                    folder=root / Path(entry["folder"]).name,
                    site=entry["site"],
                    refused=entry["refused"],
                )
                for entry in entries
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return []


PROCESSED = ProcessedAdapter(
    name="processed",
    title="a cohort that was processed from raw",
    study=r"(?P<person>.+)",
    files=tuple((rf"{name}{NIFTI}", name) for name in MRSequence if name is not MRSequence.UNKNOWN),
    tables=("labels.csv",),
)
