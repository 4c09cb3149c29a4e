"""The cohort that a run was made on, scanned again as it was named."""

from __future__ import annotations

from pathlib import Path

from core.data.clinical.labels import Target
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.dataset.shuffle import shuffle_labels
from core.errors import DataError
from core.mri import MRSequence
from core.progress import Progress, silent
from core.runs.records import DataSource
from core.settings import Settings


def open_cohort(source: DataSource, progress: Progress = silent, settings: Settings | None = None) -> Cohort:
    """Scan the cohort that a data source names; its labels are shuffled among the patients where the source says so.

    Parameters
    ----------
    source
        Folder, labels and the other options of the scan.
    progress
        Called per file.
    settings
        With it, headers come from the index cache.

    Raises
    ------
    DataError
        The cohort cannot be read.
    """
    if not source.named:
        raise DataError(
            "This run was imported, and where its data lies here has not been said; name it on the Runs page, or with: "
            "python -m core runs data RUN DATA."
        )
    cohort = scan_cohort(
        Path(source.root),
        labels=Path(source.labels) if source.labels else None,
        patient_pattern=source.patient_pattern,
        layout=source.layout,
        sequence=MRSequence(source.sequence) if source.sequence else None,
        progress=progress,
        settings=settings,
        identity=Path(source.identity) if source.identity else None,
        sequence_overrides=dict(source.assign),
        target=Target(column=source.target, positive=source.positive, cutoff=source.cutoff),
        session=source.session,
    )
    return cohort if source.shuffle_seed is None else shuffle_labels(cohort, source.shuffle_seed)
