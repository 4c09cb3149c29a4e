"""The cohort that a run was made on, scanned again as it was named."""

from __future__ import annotations

from pathlib import Path

from core.data.clinical.labels import Target
from core.data.cohort import scan_cohort
from core.data.join import join_cohorts, leave_out, name_cohorts
from core.data.study import Cohort
from core.dataset.shuffle import shuffle_labels
from core.errors import DataError
from core.mri import MRSequence
from core.progress import Progress, silent
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings

LEFT_OUT = "the person was left out of this run: in another of its cohorts, or kept for a test"


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
    if any(not one.named for one in source.joined):
        raise DataError(
            "This run was imported and joins several cohorts, whose folders here cannot be named one by one; train it anew "
            "on them with leave-one-cohort-out."
        )
    if not source.named:
        raise DataError(
            "This run was imported, and where its data lies here has not been said; name it on the Runs page, or with: "
            "python -m core runs data RUN DATA."
        )
    cohort = _scan(source, progress, settings)
    if source.joined:
        sources = (source, *source.joined)
        names = name_cohorts(Path(one.root) for one in sources)
        others = [_scan(one, progress, settings) for one in source.joined]
        cohort = join_cohorts(dict(zip(names, [cohort, *others], strict=True)))
    if source.shuffle_seed is None:
        return cohort
    return shuffle_labels(cohort, source.shuffle_seed, by_site=source.shuffle_within == "site")


def check_content(run: RunFolder, digest: str) -> None:
    """Refuse data whose files no longer hold what the run was trained on, though they have the same names and sizes.

    Parameters
    ----------
    run
        Its environment has the digest of its data; that of an older version has none, and nothing is checked.
    digest
        ``SliceTable.content_digest`` of the data as they are now.

    Raises
    ------
    DataError
        They hold something else.
    """
    known = run.environment().get("content_digest")
    if known and known != digest:
        raise DataError(
            f"The files of {run.source.places} no longer hold what {run.name} was trained on (content digest {digest}, then "
            f"{known}), though ids and numbers are the same; restore the data, or start a new run."
        )


def _scan(source: DataSource, progress: Progress, settings: Settings | None) -> Cohort:
    """Scan one cohort, without those that another one has."""
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
    return leave_out(cohort, source.leave_out, LEFT_OUT) if source.leave_out else cohort
