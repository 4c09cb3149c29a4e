"""The studies below a folder: which there are, and what is in each, from the cache or read in several processes."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from core.data.clinical.labels import normalise_id
from core.data.cohorts.registry import BY_NAME
from core.data.formats.discovery import walk_files
from core.data.index.cache import decode_scan, encode_scan, index_key
from core.data.index.folder_stamp import FolderStamp, stamp_folders
from core.data.index.layout import COMPETITION_ID, is_sequence_folder, study_folders
from core.data.index.stamped import StampedCache
from core.data.names.subject_names import is_session_name, subject_of_folder
from core.data.study import FolderScan
from core.mri import MRSequence
from core.parallel import on_cluster, run_tasks
from core.progress import Progress
from core.settings import Settings

FILES_PER_PROCESS = 2000
"""Below so many files a further process costs more than it saves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """One study's part of the work, as it travels to another process: where it lies, not its thousands of files."""

    study_id: str
    folder: Path
    stamp: FolderStamp
    alone: bool = False
    """Whether it is all that there is."""
    adapter: str = ""
    """Name of the adapter that says which of its files are read; empty where all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is the same for every study."""

    root: Path
    sequence: MRSequence | None
    limits: Settings
    cache: StampedCache | None
    identity: Path | None = None

    def key(self, study: StudyFolder) -> tuple[object, ...]:
        """What a study's entry in the cache is found by: paths of faults are relative to the root."""
        places = (self.root.absolute(), study.folder.absolute())
        return index_key(self.limits, "study", *places, study.study_id, study.alone, study.adapter, self.sequence)


def list_studies(base: Path, jobs: int) -> list[StudyFolder]:
    """List the studies and the state of their folders, without opening a file."""
    folders = study_folders(base)
    if len(folders) > 1 and not any(map(_is_numbered, folders[:2])) and _scanner().share_study(folders):
        folders = [base]
    ids = [normalise_id((folder.parent if is_sequence_folder(folder) else folder).name) for folder in folders]
    clashes = {study_id for study_id, count in Counter(ids).items() if count > 1}
    return [
        StudyFolder(
            study_id=folder.name if study_id in clashes else study_id, folder=folder, stamp=stamp, alone=folder == base
        )
        for folder, study_id, stamp in zip(folders, ids, stamp_folders(folders, jobs), strict=True)
    ]


def _is_numbered(folder: Path) -> bool:
    """Whether a folder is named as a person or a session is."""
    return bool(COMPETITION_ID.fullmatch(folder.name) or subject_of_folder(folder.name)) or is_session_name(folder.name)


def scan_studies(work: Sequence[StudyFolder], reading: Reading, jobs: int, progress: Progress) -> list[FolderScan]:
    """Take the studies that did not change from the cache, and read the others in processes."""
    with _without_collecting():
        scans = [_recall(study, reading) for study in work]
    missing = [number for number, scan in enumerate(scans) if scan is None]
    done = len(work) - len(missing)
    if done:
        progress(done, len(work), "from the cache")
    file_count = sum(work[number].stamp.file_count for number in missing)
    processes = jobs if on_cluster() else min(jobs, 1 + file_count // FILES_PER_PROCESS)
    found = run_tasks(_scan_study, [(work[number], reading) for number in missing], jobs=processes)
    for number, scan in zip(missing, found, strict=True):
        scans[number] = scan
        done += 1
        progress(done, len(work), work[number].study_id)
    if missing and reading.cache:
        reading.cache.prune()
    return [scan for scan in scans if scan is not None]


def _recall(study: StudyFolder, reading: Reading) -> FolderScan | None:
    document = reading.cache.find(reading.key(study), study.stamp.digest) if reading.cache else None
    return decode_scan(document, study.folder) if document else None


def _scan_study(study: StudyFolder, reading: Reading) -> FolderScan:
    scan: FolderScan = _scanner().scan_folder(
        study.study_id,
        study.folder,
        walk_files(study.folder),
        reading.root,
        reading.limits,
        sequence=reading.sequence,
        alone=study.alone,
        adapter=BY_NAME[study.adapter] if study.adapter else None,
    )
    if reading.cache:
        reading.cache.keep(reading.key(study), study.stamp.digest, encode_scan(scan, study.folder))
    return scan


def _scanner() -> ModuleType:
    """What reads headers, and with it pydicom: not needed where nothing changed."""
    from core.data.index import folder_scan

    return folder_scan


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Keep the garbage collector from searching, again and again, what is made by the hundred thousand and kept."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
