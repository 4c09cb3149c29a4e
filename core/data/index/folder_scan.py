"""From a folder to the examinations in it, with their series: what a process is given to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.data.cohorts.adapter import CohortAdapter
from core.data.formats.dicom import read_header
from core.data.formats.discovery import walk_files
from core.data.index.assign import series_order
from core.data.index.examinations import split_examinations
from core.data.index.series import build_series, scan_files
from core.data.names.subject_names import may_number_series
from core.data.study import ExaminationScan, FolderScan, Series
from core.errors import DataError
from core.mri import MRSequence
from core.settings import Settings

SAMPLED = 8
"""Folders that are looked into to tell whether they are one study."""


def scan_folder(
    study_id: str,
    folder: Path,
    files: Iterable[Path],
    root: Path,
    settings: Settings,
    *,
    sequence: MRSequence | None = None,
    alone: bool = False,
    adapter: CohortAdapter | None = None,
) -> FolderScan:
    """Read the headers of a folder's files, tell its examinations apart, and group the files of each into series.

    Parameters
    ----------
    study_id
        What the folder is called; series bear it.
    folder, files
        The folder, and its files at any depth.
    root
        Fault paths are relative to it.
    settings
        The limits.
    sequence
        What a series is that does not say so itself.
    alone
        Whether the folder is all that was handed in (:func:`core.data.index.examinations.split_examinations`).
    adapter
        What says which files of the folder, one session's, are read, and of which sequence each is.
    """
    if adapter is not None:
        return _scan_named(study_id, folder, files, root, settings, adapter, sequence)
    scanned = scan_files(files, root, settings)
    parts = split_examinations(folder, scanned, root, settings, alone=alone)
    built = [build_series(study_id, one.files, root, settings, sequence) for one in parts.found]
    return FolderScan(
        examinations=tuple(
            ExaminationScan(series=scan.series, place=one.place, name=one.name, number=one.number, patient=one.patient)
            for one, scan in zip(parts.found, built, strict=True)
            if scan.series
        ),
        faults=(*scanned.faults, *parts.refused, *parts.faults, *(fault for scan in built for fault in scan.faults)),
        refused=parts.refused,
        synthetic=any(scan.synthetic for scan in built),
        notes=tuple(note for scan in built for note in scan.notes),
    )


def _scan_named(
    study_id: str,
    folder: Path,
    files: Iterable[Path],
    root: Path,
    settings: Settings,
    adapter: CohortAdapter,
    sequence: MRSequence | None,
) -> FolderScan:
    """Read the files that an adapter names, as what it names them."""
    kinds = choose_named(folder, files, adapter)
    scanned = scan_files(kinds, root, settings)
    built = build_series(study_id, scanned, root, settings, sequence)
    series = name_series(built.series, kinds, adapter)
    return FolderScan(
        examinations=(ExaminationScan(series=series),) if series else (),
        faults=(*scanned.faults, *built.faults),
        synthetic=built.synthetic,
        notes=built.notes,
    )


def choose_named(folder: Path, files: Iterable[Path], adapter: CohortAdapter) -> dict[Path, MRSequence | None]:
    """Return which files of a session's folder an adapter names, and the sequence of each that it knows."""
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {names[name]: kind for name, kind in adapter.choose_files(names).items()}


def name_series(
    series: Iterable[Series], kinds: Mapping[Path, MRSequence | None], adapter: CohortAdapter
) -> tuple[Series, ...]:
    """Return series with the sequences that an adapter knows of their files (:func:`choose_named`), in order."""
    reason = f"file names of {adapter.title}"
    known = {path: kind for path, kind in kinds.items() if kind is not None}
    named = [
        replace(one, sequence=known[one.files[0]], sequence_reason=reason, sequence_confidence="certain")
        if one.files[0] in known
        else one
        for one in series
    ]
    return tuple(sorted(named, key=series_order))


def share_study(folders: Sequence[Path]) -> bool:
    """Whether folders hold parts of one study, by the first DICOM file of each of the first few.

    They do where these are different slices of one series, or where the folders are named by numbers, as series are, and
    these are of different series, of one Study Instance UID (0020,000D) and patient and of several descriptions: studies
    whose UIDs were all made one have the same.
    """
    try:
        first, *others = (read_header(next(walk_files(folder))) for folder in folders[:SAMPLED])
    except (StopIteration, DataError):
        return False
    if first.series_uid and first.series_uid == others[0].series_uid:
        return first.position_mm != others[0].position_mm
    found = [first, *others]
    one_study = bool(first.study_uid) and len({(one.study_uid, one.patient_key) for one in found}) == 1
    series = len({one.series_uid for one in found}) == len(found)
    described = len({one.acquisition.series_description for one in found}) > 1
    return all(may_number_series(one.name) for one in folders) and one_study and series and described
