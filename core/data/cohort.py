"""Scanning a data folder into a cohort: headers only, in parallel, whatever its layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.data.clinical.covariates import add_scanners
from core.data.clinical.label_table import find_table, label_studies, read_as_persons
from core.data.clinical.labels import Target
from core.data.clinical.participants import choose_sessions, count_reasons
from core.data.cohorts.adapter import list_folders
from core.data.cohorts.registry import BY_NAME, FOLDER, RSNA_MICCAI, Recognised, find_preoperative, recognise_cohort
from core.data.formats.discovery import find_dicomdirs, relative_to
from core.data.index.assign import apply_overrides, note_choices, note_doubts, note_single_series
from core.data.index.folder_stamp import stamp_folders
from core.data.index.identity import person_of
from core.data.index.imagefolder import scan_images
from core.data.index.layout import (
    COMPETITION_ID,
    LAYOUTS,
    Layout,
    detect_layout,
    phase_folders,
)
from core.data.index.other_formats import describe_formats
from core.data.index.pointers import describe_missing, describe_pointer
from core.data.index.stamped import StampedCache
from core.data.index.study_ids import name_studies
from core.data.names.class_names import choose_positive
from core.data.select import note_frames
from core.data.study import Cohort, Fault, Study
from core.data.study_folders import Reading, StudyFolder, list_studies, scan_studies
from core.data.synthetic import is_synthetic
from core.errors import EmptyCohortError
from core.mri import CLASS_NAMES, MRSequence
from core.progress import Progress, silent
from core.settings import Settings, load_settings

LAYOUT_WORDS = {
    "rsna": "the competition's layout (one folder per study, one per sequence)",
    "phases": "an ImageFolder tree with phases",
    "classes": "class folders of images",
    "flat": "a flat folder of images",
}


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
        own labels, unless a table names them: then they are studies.
    patient_pattern
        Regular expression that finds the patient in an image's file name; by default its leading digits, or the numbered
        words before the sequence.
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
        The column of the label table that is predicted; by default the MGMT status. Of class folders, which is positive.
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
    reading = Reading(root=root, sequence=sequence, limits=limits, cache=cache, identity=identity)
    recognised = None if layout in LAYOUTS else recognise_cohort(root, layout)
    found = (
        Layout(name="rsna", base=recognised.base, stated=layout is not None) if recognised else _detect(root, layout)
    )
    found = read_as_persons(found, labels, target or Target())
    if recognised:
        cohort = _scan_sessions(recognised, reading, jobs or limits.threads, progress)
    elif found.name == "rsna":
        cohort = _scan_studies(found, reading, jobs or limits.threads, progress)
    else:
        positive = target.positive if target and target.column is None else None
        cohort = _scan_image_tree(found, reading, patient_pattern, positive, jobs or limits.threads, progress)
    cohort = _require_studies(replace(cohort, faults=tuple(_explain(fault, root) for fault in cohort.faults)))
    cohort = add_scanners(_note_reading(apply_overrides(cohort, sequence_overrides), recognised, found))
    places = (root, found.base, found.base.parent, root.parent)
    adapter = BY_NAME[cohort.adapter]
    cohort = choose_sessions(cohort, session, find_preoperative(adapter, places))
    return label_studies(cohort, found, labels or find_table(adapter, places), target or Target())


def _require_studies(cohort: Cohort) -> Cohort:
    """Return a cohort that has studies; raises EmptyCohortError, with the first fault, where it has none."""
    if cohort.studies:
        return cohort
    faults = cohort.faults or (
        Fault(path=cohort.root.name, reason=describe_missing(cohort.root) or "it holds no images"),
    )
    first = f"{faults[0].path}: {faults[0].reason}"
    raise EmptyCohortError(f"No study in {cohort.root} can be used. The first of {len(faults)} faults: {first}")


def _note_reading(cohort: Cohort, recognised: Recognised | None, found: Layout) -> Cohort:
    """Say how the folder was read, what was assumed of its series, which were chosen and in which frames of reference they lie."""
    title = recognised.adapter.title if recognised else LAYOUT_WORDS[found.name]
    said = f"Read as {title}{', as stated' if found.stated else ''}."
    doubts = (
        *note_single_series(cohort.studies),
        *note_doubts(cohort.studies),
        *note_choices(cohort.studies),
        *note_frames(cohort.studies),
    )
    notes = (said, *([found.why] if found.why else []), *cohort.notes, *doubts)
    return replace(cohort, notes=notes, synthetic=cohort.synthetic or is_synthetic(cohort.root))


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
        missing = (describe_missing(root) or describe_formats(root)) if root.is_dir() else ""
        if not missing:
            raise
        raise EmptyCohortError(f"{root} holds no images: {missing}") from error


def _explain(fault: Fault, root: Path) -> Fault:
    """Say of a file that cannot be read because it is a pointer that it is one."""
    missing = describe_pointer(root / fault.path)
    return replace(fault, reason=missing) if missing else fault


def _scan_sessions(found: Recognised, reading: Reading, jobs: int, progress: Progress) -> Cohort:
    """Read the sessions that an adapter found, of each the files that it names."""
    root, adapter = reading.root, found.adapter
    stamps = stamp_folders([one.folder for one in found.sessions], jobs)
    work = [
        StudyFolder(study_id=one.study_id, folder=one.folder, stamp=stamp, adapter=adapter.name)
        for one, stamp in zip(found.sessions, stamps, strict=True)
    ]
    scans = scan_studies(work, reading, jobs, progress)
    studies: list[Study] = []
    faults: list[Fault] = []
    for one, scan in zip(found.sessions, scans, strict=True):
        faults += scan.faults
        missing = one.refused
        if not missing and not scan.examinations:
            missing = describe_missing(one.folder) or "no image of the four sequences"
            faults.append(Fault(path=relative_to(one.folder, root), reason=missing))
        studies.append(
            Study(
                study_id=one.study_id,
                person=person_of(one.person, reading.identity),
                label=None,
                series=tuple(series for examination in scan.examinations for series in examination.series),
                session=one.session,
                session_words=one.words,
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


def _scan_studies(layout: Layout, reading: Reading, jobs: int, progress: Progress) -> Cohort:
    root = reading.root
    work = list_studies(layout.base, jobs)
    scans = scan_studies(work, reading, jobs, progress)
    excluded: list[Study] = []
    faults: list[Fault] = []
    for item, scan in zip(work, scans, strict=True):
        faults += scan.faults
        faults += _check_dicomdir(item.folder, root, reading.limits)
        faults += [
            Fault(path=relative_to(path, root), reason=describe_missing(path) or "an empty folder")
            for path in item.stamp.empty_folders
        ]
        excluded += [
            _refuse(fault.path if scan.examinations or len(scan.refused) > 1 else item.study_id, fault.reason)
            for fault in scan.refused
        ]
        if not item.stamp.file_count:
            missing = describe_missing(item.folder) or "a study without images"
            faults.append(Fault(path=relative_to(item.folder, root), reason=missing))
        elif not (scan.examinations or scan.refused or scan.faults) and (formats := describe_formats(item.folder)):
            reason = f"a study without readable images: {formats}"
            faults.append(Fault(path=relative_to(item.folder, root), reason=reason))
            excluded.append(_refuse(item.study_id, reason))
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
    is_rsna = _is_competition([item.folder for item in work], layout.base, studies)
    other = [folder.name for _, folder in phase_folders(root) if layout.base not in (root, folder)]
    notes = [f"Only {layout.base.name}/ was read, not {', '.join(other)}/."] if other else []
    return Cohort(
        root=root,
        layout="rsna",
        adapter=RSNA_MICCAI.name if is_rsna else FOLDER.name,
        studies=tuple(sorted(studies, key=lambda study: study.study_id)),
        excluded=tuple(excluded),
        synthetic=any(scan.synthetic for scan in scans),
        faults=tuple(faults),
        notes=(*notes, *(note for scan in scans for note in scan.notes), *_note_same_persons(studies)),
    )


def _is_competition(folders: Sequence[Path], base: Path, studies: Sequence[Study]) -> bool:
    """Whether studies are the competition's: folders of five digits, with its sequence folders or its table beside them.

    An id is padded with zeros, so that only the folder's name as it is written tells.
    """
    named = {
        one.name: one for folder in folders for one in (folder, folder.parent) if COMPETITION_ID.fullmatch(one.name)
    }
    if not studies or any(study.study_id not in named for study in studies):
        return False
    if any((place / name).is_file() for place in (base, base.parent) for name in RSNA_MICCAI.tables):
        return True
    sequences = {str(one) for one in MRSequence}
    return any(child.name in sequences for folder in named.values() for child in list_folders(folder))


def _refuse(study_id: str, reason: str) -> Study:
    return Study(study_id=study_id, person=study_id, label=None, series=(), excluded=reason)


def _check_dicomdir(folder: Path, root: Path, settings: Settings) -> list[Fault]:
    """Return a fault for each file that a study's DICOMDIR lists and that is not there."""
    if not find_dicomdirs(folder):
        return []
    from core.data.formats.dicomdir import check_references  # and with it pydicom: not needed without a DICOMDIR

    return check_references(folder, root, settings)


def _scan_image_tree(
    layout: Layout, reading: Reading, patient_pattern: str | None, positive: str | None, jobs: int, progress: Progress
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
    names: tuple[str, ...] = CLASS_NAMES
    positive_class = 1
    if found.class_names:
        names = found.class_names
        positive_class, how = choose_positive(names, positive)
        notes.append(how)
    excluded = tuple(study for study in found.studies if study.excluded)
    if excluded:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in count_reasons(excluded).items())
        notes.append(f"Excluded studies: {len(excluded)} ({reasons}).")
    if any(series.sequence is MRSequence.UNKNOWN for study in found.studies for series in study.series):
        notes.append("Images do not say which MR sequence they are; state it with --sequence.")
    return Cohort(
        root=reading.root,
        layout=layout.name,
        studies=tuple(sorted((one for one in found.studies if not one.excluded), key=lambda study: study.study_id)),
        excluded=excluded,
        class_names=names,
        positive_class=positive_class,
        faults=found.faults,
        notes=(*notes, *_note_same_persons(found.studies)),
    )


def _note_same_persons(studies: Iterable[Study]) -> list[str]:
    """Name the ids that are one person by the identity table; phases and sessions of one patient are another matter."""
    groups: dict[str, list[str]] = {}
    for study in studies:
        if study.phase is None and not study.session:
            groups.setdefault(study.person, []).append(study.study_id)
    return [f"Studies {' and '.join(sorted(ids))} are one person." for ids in groups.values() if len(ids) > 1]
