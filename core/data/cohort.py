"""Scanning a data folder into a cohort: headers only, in parallel, whatever its layout."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from core.data.clinical.covariates import add_scanners
from core.data.clinical.labels import Target, normalise_id, read_labels
from core.data.clinical.participants import attach_labels, choose_sessions, read_levels, require_studies
from core.data.cohorts.adapter import CohortAdapter
from core.data.cohorts.registry import BY_NAME, FOLDER, RSNA_MICCAI, Recognised, find_preoperative, recognise_cohort
from core.data.formats.discovery import find_dicomdirs, relative_to, walk_files
from core.data.frames_of_reference import note_frames
from core.data.index.assign import apply_overrides, note_choices, note_doubts
from core.data.index.cache import decode_scan, encode_scan, index_key
from core.data.index.folder_stamp import FolderStamp, stamp_folders
from core.data.index.identity import person_of
from core.data.index.imagefolder import find_positive, scan_images
from core.data.index.layout import (
    COMPETITION_ID,
    LAYOUTS,
    Layout,
    detect_layout,
    is_sequence_folder,
    phase_folders,
    study_folders,
)
from core.data.index.pointers import describe_missing, describe_pointer
from core.data.index.stamped import StampedCache
from core.data.index.study_ids import name_studies
from core.data.index.subject_names import is_session_name, subject_of_folder
from core.data.study import Cohort, Fault, FolderScan, Study
from core.data.synthetic import is_synthetic
from core.errors import EmptyCohortError, LabelError
from core.mri import CLASS_NAMES, MRSequence
from core.parallel import on_cluster, run_tasks
from core.progress import Progress, silent
from core.settings import Settings, load_settings

LABEL_FILE = "train_labels.csv"
TABLES = (".csv", ".tsv", ".xlsx")
FILES_PER_PROCESS = 2000
"""Below so many files a further process costs more than it saves."""
LAYOUT_WORDS = {
    "rsna": "the competition's layout (one folder per study, one per sequence)",
    "phases": "an ImageFolder tree with phases",
    "classes": "class folders of images",
    "flat": "a flat folder of images",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _StudyFolder:
    """One study's part of the work, as it travels to another process: where it lies, not its thousands of files."""

    study_id: str
    folder: Path
    stamp: FolderStamp
    alone: bool = False
    """Whether it is all that there is."""
    adapter: str = ""
    """Name of the adapter that says which of its files are read; empty where all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What is the same for every study."""

    root: Path
    sequence: MRSequence | None
    limits: Settings
    cache: StampedCache | None
    identity: Path | None = None

    def key(self, study: _StudyFolder) -> tuple[object, ...]:
        """What a study's entry in the cache is found by: paths of faults are relative to the root."""
        places = (self.root.absolute(), study.folder.absolute())
        return index_key(self.limits, "study", *places, study.study_id, study.alone, study.adapter, self.sequence)


def scan_cohort(
    root: Path,
    *,
    labels: Path | None = None,
    patient_pattern: str | None = None,
    layout: str | None = None,
    sequence: MRSequence | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
    settings: Settings | None = None,
    sequence_overrides: Mapping[str, MRSequence] | None = None,
    identity: Path | None = None,
    target: Target | None = None,
    session: str | None = None,
) -> Cohort:
    """Read the headers of a data folder; with `settings`, only of what changed since the last time.

    Parameters
    ----------
    root
        The competition's root or its ``train`` folder (studies of DICOM, NIfTI or images), an ImageFolder
        tree with TRAIN/VAL/TEST, plain class folders, or a flat folder of images.
    labels
        The label table; by default a ``train_labels.csv`` in the folder or above it. Class folders are their
        own labels.
    patient_pattern
        Regular expression that finds the patient in an image's file name; by default its leading digits.
    layout
        "rsna", "phases", "classes" or "flat", where the detection is wrong.
    sequence
        What series and images are that do not say which MR sequence they are.
    jobs
        Processes; by default as many as this installation has threads.
    progress
        Called once per study (per file for images).
    settings
        The installation whose limits hold and in whose cache the index is kept. Without, the limits are this
        process's own and nothing is kept.
    sequence_overrides
        Series UID to the sequence that a person assigns to it, against what was recognised; UNKNOWN sets a
        series aside.
    identity
        A table of ids that are one patient, beside the known pairs (:mod:`core.data.index.identity`).
    target
        The column of the label table that is predicted; by default the MGMT status.
    session
        Which session of each person is used (:func:`core.data.clinical.participants.choose_sessions`).

    Returns
    -------
    Cohort
        With studies sorted by id. Files that cannot be used are its faults, decisions its notes.

    Raises
    ------
    EmptyCohortError
        Nothing usable was found; the message says what was expected, or what was wrong with the first file.
    LabelError
        The label table cannot be used.
    ConfigError
        The layout, the pattern or a series UID does not exist or is not valid.
    DataError
        The identity table cannot be read.
    """
    limits = settings or load_settings()
    cache = StampedCache(folder=settings.cache / "index") if settings else None
    recognised = None if layout in LAYOUTS else recognise_cohort(root, layout)
    found = Layout(name="rsna", base=root, stated=layout is not None) if recognised else _detect(root, layout)
    title = recognised.adapter.title if recognised else LAYOUT_WORDS[found.name]
    said = f"Read as {title}{', as stated' if found.stated else ''}."
    reading = _Reading(root=root, sequence=sequence, limits=limits, cache=cache, identity=identity)
    if recognised:
        cohort = _scan_sessions(recognised, reading, jobs or limits.threads, progress)
    elif found.name == "rsna":
        cohort = _scan_studies(found, reading, jobs or limits.threads, progress)
    else:
        cohort = _scan_image_tree(found, reading, patient_pattern, jobs or limits.threads, progress)
    cohort = replace(cohort, faults=tuple(_explain(fault, root) for fault in cohort.faults))
    if not cohort.studies:
        faults = cohort.faults or (Fault(path=root.name, reason="it holds no images"),)
        first = f"{faults[0].path}: {faults[0].reason}"
        raise EmptyCohortError(f"No study in {root} can be used. The first of {len(faults)} faults: {first}")
    cohort = apply_overrides(cohort, sequence_overrides)
    found_out = (*note_doubts(cohort.studies), *note_choices(cohort.studies), *note_frames(cohort.studies))
    cohort = add_scanners(replace(cohort, notes=(*cohort.notes, *found_out)))
    cohort = replace(cohort, notes=(said, *cohort.notes), synthetic=cohort.synthetic or is_synthetic(root))
    places = (root, found.base, found.base.parent, root.parent)
    adapter = BY_NAME[cohort.adapter]
    cohort = choose_sessions(cohort, session, find_preoperative(adapter, places))
    return _attach_labels(cohort, found, labels or _find_table(adapter, places), target or Target())


def _detect(root: Path, stated: str | None) -> Layout:
    """Recognise a layout; of a folder without images that holds pointers to them, or their sidecars, say so.

    Raises
    ------
    EmptyCohortError
        Nothing in it could be a cohort.
    """
    try:
        return detect_layout(root, "rsna" if stated in (FOLDER.name, RSNA_MICCAI.name) else stated)
    except EmptyCohortError as error:
        missing = describe_missing(root) if root.is_dir() else ""
        if not missing:
            raise
        raise EmptyCohortError(f"{root} holds no images: {missing}") from error


def _explain(fault: Fault, root: Path) -> Fault:
    """Say of a file that cannot be read because it is a pointer that it is one."""
    missing = describe_pointer(root / fault.path)
    return replace(fault, reason=missing) if missing else fault


def _find_table(adapter: CohortAdapter, places: Sequence[Path]) -> Path | None:
    names = [path for place in places if (path := place / LABEL_FILE).is_file()]
    return adapter.find_table(places) or next(iter(names), None)


def _scan_sessions(found: Recognised, reading: _Reading, jobs: int, progress: Progress) -> Cohort:
    """Read the sessions that an adapter found, of each the files that it names."""
    root, adapter = reading.root, found.adapter
    stamps = stamp_folders([one.folder for one in found.sessions], jobs)
    work = [
        _StudyFolder(study_id=one.study_id, folder=one.folder, stamp=stamp, adapter=adapter.name)
        for one, stamp in zip(found.sessions, stamps, strict=True)
    ]
    scans = _scan_all(work, reading, jobs, progress)
    studies: list[Study] = []
    faults: list[Fault] = []
    for one, scan in zip(found.sessions, scans, strict=True):
        faults += scan.faults
        missing = "" if scan.examinations else describe_missing(one.folder) or "no image of the four sequences"
        if missing:
            faults.append(Fault(path=relative_to(one.folder, root), reason=missing))
        studies.append(
            Study(
                study_id=one.study_id,
                person=person_of(one.person, reading.identity),
                label=None,
                series=tuple(series for examination in scan.examinations for series in examination.series),
                session=one.session,
                excluded=missing,
                covariates={"site": one.site} if one.site else {},
            )
        )
    notes = found.note_unread(root)
    notes += [f"Not verified on files of {adapter.title}: {text}." for text in adapter.unverified]
    if adapter.post_operative:
        notes.append(f"All sessions of {adapter.title} are after the operation.")
    return Cohort(
        root=root,
        layout="rsna",
        adapter=adapter.name,
        studies=tuple(study for study in studies if not study.excluded),
        excluded=tuple(study for study in studies if study.excluded),
        synthetic=any(scan.synthetic for scan in scans),
        faults=tuple(faults),
        notes=(*notes, *(note for scan in scans for note in scan.notes), *_note_same_persons(studies)),
    )


def _scan_studies(layout: Layout, reading: _Reading, jobs: int, progress: Progress) -> Cohort:
    root = reading.root
    work = _list_studies(layout.base, jobs)
    scans = _scan_all(work, reading, jobs, progress)
    excluded: list[Study] = []
    faults: list[Fault] = []
    for item, scan in zip(work, scans, strict=True):
        faults += scan.faults
        faults += _check_dicomdir(item.folder, root, reading.limits)
        faults += [Fault(path=relative_to(path, root), reason="an empty folder") for path in item.stamp.empty_folders]
        excluded += [
            _refuse(fault.path if scan.examinations or len(scan.refused) > 1 else item.study_id, fault.reason)
            for fault in scan.refused
        ]
        if not item.stamp.file_count:
            faults.append(Fault(path=relative_to(item.folder, root), reason="a study without images"))
    named = name_studies(
        [(item.study_id, scan.examinations) for item, scan in zip(work, scans, strict=True)],
        alone=len(work) == 1 and work[0].folder == layout.base,
    )
    studies = [
        Study(
            study_id=one.study_id,
            person=person_of(one.person, reading.identity),
            label=None,
            series=one.series,
            session=one.session,
        )
        for one in named
    ]
    is_rsna = all(COMPETITION_ID.fullmatch(study.study_id) for study in studies)
    other = [folder.name for _, folder in phase_folders(root) if layout.base not in (root, folder)]
    notes = [f"Only {layout.base.name}/ was read, not {', '.join(other)}/."] if other else []
    return Cohort(
        root=root,
        layout="rsna",
        adapter=RSNA_MICCAI.name if studies and is_rsna else FOLDER.name,
        studies=tuple(sorted(studies, key=lambda study: study.study_id)),
        excluded=tuple(excluded),
        synthetic=any(scan.synthetic for scan in scans),
        faults=tuple(faults),
        notes=(*notes, *(note for scan in scans for note in scan.notes), *_note_same_persons(studies)),
    )


def _refuse(study_id: str, reason: str) -> Study:
    return Study(study_id=study_id, person=study_id, label=None, series=(), excluded=reason)


def _check_dicomdir(folder: Path, root: Path, settings: Settings) -> list[Fault]:
    """Return a fault for each file that a study's DICOMDIR lists and that is not there."""
    if not find_dicomdirs(folder):
        return []
    from core.data.formats.dicomdir import check_references  # and with it pydicom: not needed without a DICOMDIR

    return check_references(folder, root, settings)


def _list_studies(base: Path, jobs: int) -> list[_StudyFolder]:
    """List the studies and the state of their folders, without opening a file."""
    folders = study_folders(base)
    if len(folders) > 1 and not any(map(_is_numbered, folders[:2])) and _scanner().share_series(folders[0], folders[1]):
        folders = [base]
    ids = [normalise_id((folder.parent if is_sequence_folder(folder) else folder).name) for folder in folders]
    clashes = {study_id for study_id, count in Counter(ids).items() if count > 1}
    return [
        _StudyFolder(
            study_id=folder.name if study_id in clashes else study_id, folder=folder, stamp=stamp, alone=folder == base
        )
        for folder, study_id, stamp in zip(folders, ids, stamp_folders(folders, jobs), strict=True)
    ]


def _is_numbered(folder: Path) -> bool:
    """Whether a folder is named as a person or a session is."""
    return bool(COMPETITION_ID.fullmatch(folder.name) or subject_of_folder(folder.name)) or is_session_name(folder.name)


def _scanner() -> ModuleType:
    """What reads headers, and with it pydicom: not needed where nothing changed."""
    from core.data.index import folder_scan

    return folder_scan


def _scan_all(work: Sequence[_StudyFolder], reading: _Reading, jobs: int, progress: Progress) -> list[FolderScan]:
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


def _recall(study: _StudyFolder, reading: _Reading) -> FolderScan | None:
    document = reading.cache.find(reading.key(study), study.stamp.digest) if reading.cache else None
    return decode_scan(document, study.folder) if document else None


def _scan_study(study: _StudyFolder, reading: _Reading) -> FolderScan:
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


def _scan_image_tree(
    layout: Layout, reading: _Reading, patient_pattern: str | None, jobs: int, progress: Progress
) -> Cohort:
    found = scan_images(
        layout.base,
        layout.name,
        patient_pattern=patient_pattern,
        sequence=reading.sequence,
        settings=reading.limits,
        progress=progress,
        cache=reading.cache,
        jobs=jobs,
        identity=reading.identity,
    )
    notes = list(found.notes)
    names, positive = CLASS_NAMES, 1
    if found.class_names:
        names, positive = found.class_names, find_positive(found.class_names)  # type: ignore[assignment]
        notes.append(
            f"Classes in the order of their names: {', '.join(names)}; {names[positive]!r} counts as positive."
        )
    if any(series.sequence is MRSequence.UNKNOWN for study in found.studies for series in study.series):
        notes.append("Images do not say which MR sequence they are; state it with --sequence.")
    return Cohort(
        root=reading.root,
        layout=layout.name,
        studies=tuple(sorted(found.studies, key=lambda study: study.study_id)),
        class_names=names,
        positive_class=positive,
        faults=found.faults,
        notes=(*notes, *_note_same_persons(found.studies)),
    )


def _attach_labels(cohort: Cohort, layout: Layout, labels: Path | None, target: Target) -> Cohort:
    """Give studies without class folders their labels, and say what did not fit."""
    if layout.name in ("phases", "classes"):
        if labels is None:
            return cohort
        return replace(cohort, notes=(*cohort.notes, f"{labels.name} was not used: the class folders are the labels."))
    known = [study_id for study in cohort for study_id in (study.study_id, study.person)]
    if labels is None and layout.name == "rsna" and cohort.adapter == FOLDER.name:
        labels = _find_any_table((cohort.root, layout.base), target, known)
    if labels is None:
        note = f"No label table: name one with --labels, or put {LABEL_FILE} beside the studies."
        return replace(cohort, notes=(*cohort.notes, note))
    table = read_labels(labels, target=target, known_ids=known)
    return require_studies(attach_labels(cohort, table, read_levels(labels)))


def _find_any_table(places: Iterable[Path], target: Target, known: Sequence[str]) -> Path | None:
    """Return the one table beside the studies that holds labels of theirs; None where there is none, or several."""
    found = []
    for path in {path for place in places for path in place.iterdir() if path.suffix.lower() in TABLES}:
        try:
            table = read_labels(path, target=target, known_ids=known)
        except LabelError:
            continue
        if table.find(*known):
            found.append(path)
    return found[0] if len(found) == 1 else None


def _note_same_persons(studies: Iterable[Study]) -> list[str]:
    """Name the ids that are one person by the identity table; phases and sessions of one patient are another matter."""
    groups: dict[str, list[str]] = {}
    for study in studies:
        if study.phase is None and not study.session:
            groups.setdefault(study.person, []).append(study.study_id)
    return [f"Studies {' and '.join(sorted(ids))} are one person." for ids in groups.values() if len(ids) > 1]
