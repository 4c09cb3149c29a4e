"""A scan that is handed in: folders, files or an archive, sorted into studies."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import chain, count
from pathlib import Path
from typing import IO

from core.data.clinical.labels import normalise_id
from core.data.clinical.participants import note_sessions, order_sessions
from core.data.cohorts.adapter import CohortAdapter
from core.data.cohorts.registry import Recognised, recognise_cohort
from core.data.formats.archive import unpack
from core.data.formats.dicom import InstanceHeader
from core.data.formats.dicomdir import read_dicomdir
from core.data.formats.discovery import detect_kind, is_dicomdir, is_left_behind, walk_files
from core.data.formats.nifti import read_nifti_header
from core.data.formats.untrusted_files import Budget, remove_on_error, safe_path, write_file
from core.data.index.assign import apply_overrides, note_choices
from core.data.index.examinations import find_patients
from core.data.index.folder_scan import choose_named, name_series
from core.data.index.identity import person_of
from core.data.index.layout import COMPETITION_ID, is_sequence_folder
from core.data.index.recognise import recognise_name, strip_sequence
from core.data.index.series import FileScan, build_series, scan_files
from core.data.names.subject_names import name_patient_of_image
from core.data.study import Cohort, Fault, ImageSize, Series, Study
from core.data.synthetic import is_synthetic
from core.errors import DataError, EmptyCohortError, refusal
from core.files import storage_errors
from core.mri import MRSequence
from core.settings import Settings

ODD_CHARACTERS = re.compile(r"[^\w.\- ]")
NO_NAME = "scan"
ONE_SCAN = "its images name no patient and are taken as slices of one scan, for they lie in one folder"
UNPACKED = (".zip", ".tar", ".tgz", ".tar.gz")
"""What is unpacked where it lies in a folder; office documents are zips, too."""


@dataclass(slots=True)
class _Group:
    """Files of one study, as they are being sorted."""

    name: str
    root: Path
    """What fault paths are relative to."""
    person: str = ""
    session: str = ""
    words: str = ""
    """Where the folder is one of a public cohort: whose it is, which session, and what its name means."""
    adapter: CohortAdapter | None = None
    """What names its files, likewise."""
    kinds: dict[Path, MRSequence | None] = field(default_factory=dict)
    """The sequences that it names."""
    assumed: bool = False
    """Whether images were put together only because they lie in one folder."""
    headers: list[InstanceHeader] = field(default_factory=list)
    niftis: list[Path] = field(default_factory=list)
    images: dict[Path, ImageSize] = field(default_factory=dict)


def receive(files: Iterable[tuple[str, bytes | IO[bytes]]], workspace: Path, settings: Settings) -> list[Path]:
    """Write an upload below a folder, under its own relative names as far as they are harmless.

    Parameters
    ----------
    files
        Relative name and content of each file.
    workspace
        Folder to write below; it is created.
    settings
        The limits on bytes and files.

    Returns
    -------
    list of Path
        The files written, in the order of the input.

    Raises
    ------
    ArchiveError
        A name is absolute or climbs out of the folder. Nothing of the upload is kept.
    LimitError
        Too many bytes or files. Nothing of the upload is kept.
    StorageError
        The disk is full. Nothing of the upload is kept.
    """
    budget = Budget(settings)
    written: list[Path] = []
    with remove_on_error(written):
        for name, content in files:
            target = safe_path(workspace, name)
            source = BytesIO(content) if isinstance(content, (bytes, bytearray, memoryview)) else content
            if source.seekable():
                source.seek(0)
            write_file(target, source, budget)
            written.append(target)
    return written


def open_scan(
    paths: Sequence[Path],
    workspace: Path,
    settings: Settings,
    *,
    sequence: MRSequence | None = None,
    sequence_overrides: Mapping[str, MRSequence] | None = None,
) -> Cohort:
    """Sort what is handed in into studies and series, reading headers only.

    DICOM files belong together by Study Instance UID (0020,000D) and Patient ID, unless a folder named as the competition's
    (00430/FLAIR) says whose they are. Images belong together by the patient number in their names; without
    one, the images of one folder are taken as slices of one scan, and an image handed in by itself is a
    study of its own. A NIfTI file belongs to the study that its name states. A folder of a public cohort, or of one of its
    persons or sessions, is read as :func:`core.data.cohort.scan_cohort` reads it.

    Parameters
    ----------
    paths
        Study folders, DICOM files (with or without extension), a DICOMDIR with the files that it lists beside
        it, NIfTI files, images, archives (.zip, .tar, .tar.gz). Archives in a folder are unpacked too,
        archives in archives are not.
    workspace
        Where archives are unpacked. A folder that lies beside it is taken for an upload's own folder, whose name
        means nothing.
    settings
        The limits.
    sequence
        What series and images are that do not say which MR sequence they are.
    sequence_overrides
        Series UID to the sequence that a person assigns to it, against what was recognised; UNKNOWN sets a
        series aside.

    Raises
    ------
    ConfigError
        No series has a UID of `sequence_overrides`.
    EmptyCohortError
        Nothing in it can be used; the message gives the first reason.
    DataError
        A path does not exist; or see :func:`core.data.formats.archive.unpack`.
    LimitError
        In hosted mode, the pixels would take more than one upload may hold.

    Whatever is raised, what was unpacked is removed.
    """
    unpacked: list[Path] = []
    try:
        groups, faults, notes = _sort_paths(paths, workspace, settings, unpacked)
        cohort = _build_cohort(paths, workspace, groups, faults, settings, sequence)
        cohort = apply_overrides(replace(cohort, notes=(*notes, *cohort.notes)), sequence_overrides)
    except BaseException:
        for folder in unpacked:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return replace(cohort, notes=(*cohort.notes, *note_choices(cohort.studies)))


def _sort_paths(
    paths: Sequence[Path], workspace: Path, settings: Settings, unpacked: list[Path]
) -> tuple[list[_Group], list[Fault], list[str]]:
    """Unpack and read headers, and put every file to its study; `unpacked` receives the folders that are made.

    A folder that is laid out as a public cohort, or as one of its sessions, is read by the rules of its adapter.
    """
    groups: dict[object, _Group] = {}
    notes: list[str] = []
    faults: list[Fault] = []
    claimed = Budget(settings)
    for handed, files in _gather(paths, workspace, settings, faults, unpacked):
        root = handed if handed.is_dir() else handed.parent
        place = _below_wrapping(handed) if handed.is_dir() else handed
        recognised = recognise_cohort(handed) or recognise_cohort(place) if handed.is_dir() else None
        named = _sort_sessions(recognised, files, root) if recognised else [(files, None)]
        notes += _note_cohort(recognised, place) if recognised else []
        for chosen, group in named:
            scan = scan_files(chosen, root, settings)
            if settings.hosted:
                claimed.take_bytes(_claimed_bytes(scan, settings))
            faults += scan.faults
            if group is None:
                _sort_files(scan, handed, root, _name_of(handed, workspace), groups)
            else:
                group.niftis += scan.niftis
                group.headers += scan.headers
                group.images |= scan.images
                groups[group.root, group.name] = group
    return list(groups.values()), faults, notes


def _below_wrapping(folder: Path) -> Path:
    """Return the folder below those that hold one folder and nothing else: a browser and many zips put one around a cohort."""
    while len(inside := [one for one in folder.iterdir() if not is_left_behind(one.name)]) == 1:
        if not inside[0].is_dir():
            break
        folder = inside[0]
    return folder


def _sort_sessions(
    recognised: Recognised, files: Sequence[Path], root: Path
) -> list[tuple[Sequence[Path], _Group | None]]:
    """Return the files of each session of a public cohort that its adapter names, and the group that they belong to."""
    named: list[tuple[Sequence[Path], _Group | None]] = []
    for one in recognised.sessions:
        below = [path for path in files if one.folder in path.parents]
        kinds = (
            choose_named(one.folder, below, recognised.adapter) if recognised.adapter.files else dict.fromkeys(below)
        )
        group = _Group(name=one.study_id, root=root, person=one.person, session=one.session, kinds=kinds)
        group.adapter, group.words = recognised.adapter, one.words
        named.append((list(kinds), group))
    return named


def _note_cohort(recognised: Recognised, handed: Path) -> list[str]:
    return [f"Read as {recognised.adapter.title}.", *recognised.note_unread(handed)]


def _claimed_bytes(scan: FileScan, settings: Settings) -> int:
    """Return the bytes that the pixels will take when they are inflated, as the headers say."""
    claimed = sum(header.rows * header.columns * header.bits_allocated // 8 for header in scan.headers)
    for path in scan.niftis:
        with suppress(DataError):  # said where the series is built
            claimed += 4 * math.prod(read_nifti_header(path, settings).shape)
    return claimed + sum(map(math.prod, scan.images.values()))


def _build_cohort(
    paths: Sequence[Path],
    workspace: Path,
    groups: Sequence[_Group],
    faults: list[Fault],
    settings: Settings,
    sequence: MRSequence | None,
) -> Cohort:
    studies: dict[str, Study] = {}
    synthetic = any(is_synthetic(path) for path in paths)
    notes: list[str] = []
    for group in groups:
        study_id = _free_id(group.name, studies)
        files_of_study = FileScan(
            headers=tuple(group.headers), niftis=tuple(group.niftis), images=group.images, faults=()
        )
        found = build_series(study_id, files_of_study, group.root, settings, sequence)
        named = found.series if group.adapter is None else name_series(found.series, group.kinds, group.adapter)
        if group.assumed and len(group.images) > 1:
            named = tuple(
                replace(one, doubts=(*one.doubts, ONE_SCAN)) if one.kind == "picture" else one for one in named
            )
        series = _drop_large(named, group.headers, settings, faults)
        faults += found.faults
        notes += found.notes
        synthetic = synthetic or found.synthetic
        if series:
            studies[study_id] = Study(
                study_id=study_id,
                person=person_of(group.person or study_id),
                label=None,
                series=series,
                session=group.session,
                session_words=group.words,
            )
    if not studies:
        raise EmptyCohortError(_nothing_found(paths, workspace, faults))
    in_order = sorted(
        order_sessions(studies[study_id] for study_id in sorted(studies)),
        key=lambda study: study.person if study.session else study.study_id,
    )
    return Cohort(
        root=paths[0] if paths[0].is_dir() else paths[0].parent,
        layout="upload",
        studies=tuple(in_order),
        synthetic=synthetic,
        faults=tuple(faults),
        notes=(*note_sessions(in_order), *_note_assumptions(groups), *notes),
    )


def _drop_large(
    series: Sequence[Series], headers: Sequence[InstanceHeader], settings: Settings, faults: list[Fault]
) -> tuple[Series, ...]:
    """Leave out DICOM series of more voxels than are read at once, each with a fault."""
    voxels: Counter[Path] = Counter()
    for header in headers:
        voxels[header.path] += header.rows * header.columns
    kept = []
    for one in series:
        total = sum(voxels[path] for path in one.files)
        if total <= settings.series_pixels:
            kept.append(one)
            continue
        reason = (
            f"its slices have {total:,} voxels; at most {settings.series_pixels:,} are accepted: hand in fewer slices."
        )
        faults.append(Fault(path=f"{one.study_id}/{one.sequence}", reason=reason))
    return tuple(kept)


def _gather(
    paths: Sequence[Path], workspace: Path, settings: Settings, faults: list[Fault], unpacked: list[Path]
) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each thing handed in with its files; an unpacked archive is a thing of its own, and `unpacked` names its folder."""
    budget = Budget(settings)
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist; check its name.")
        files: list[Path] = []
        for file in walk_files(path) if path.is_dir() else [path]:
            if is_dicomdir(file):
                continue
            if detect_kind(file) != "archive" or (file != path and not file.name.lower().endswith(UNPACKED)):
                files.append(file)
                continue
            with storage_errors(workspace):
                workspace.mkdir(parents=True, exist_ok=True)
                unpacked.append(Path(tempfile.mkdtemp(dir=workspace)))
            folder = unpacked[-1] / file.stem.removesuffix(".tar")
            unpack(file, folder, settings, budget)
            yield folder, _add_listed(folder, list(walk_files(folder)), settings, faults)
        if path.is_dir() or is_dicomdir(path):
            files = _add_listed(path, files, settings, faults)
        if files:
            yield (path.parent if is_dicomdir(path) else path), files


def _add_listed(handed: Path, files: Sequence[Path], settings: Settings, faults: list[Fault]) -> list[Path]:
    """Add what a DICOMDIR lists to the files found; what it lists in vain, or cannot be read, becomes a fault."""
    found = dict.fromkeys(files)
    for path in [handed] if handed.is_file() else sorted(filter(is_dicomdir, handed.rglob("*"))):
        try:
            listed, missing = read_dicomdir(path, settings)
            found.update(dict.fromkeys(listed))
            faults += missing
        except DataError as error:
            faults.append(Fault(path=path.name, reason=str(error)))
    return list(found)


def _is_upload(handed: Path, workspace: Path) -> bool:
    """Whether a folder is an upload's own, whose name was given by no person."""
    return handed.parent == workspace.parent and handed.is_dir()


def _name_of(handed: Path, workspace: Path) -> str:
    """Return the name that a thing handed in gives to a study; an upload's own folder gives none."""
    if _is_upload(handed, workspace):
        return NO_NAME
    folder = handed.parent if is_sequence_folder(handed) else handed
    return folder.name if handed.is_dir() else NO_NAME


def _sort_files(scan: FileScan, handed: Path, root: Path, name: str, groups: dict[object, _Group]) -> None:
    """Put every file to its study; what a study is called comes from folders and file names only."""

    def group_of(path: Path, key: object, own_name: str, patient: str = "") -> _Group:
        number = _competition_id(path)
        if number:
            return groups.setdefault((number, patient), _Group(name=number, root=root))
        return groups.setdefault(key, _Group(name=own_name, root=root))

    known = find_patients(scan.headers)
    for header in scan.headers:
        folder = _folder_name(header.path, handed, name)
        patient = header.patient_key or known.get(header.study_uid, "")
        key = ("study", header.study_uid or header.path.parent, patient)
        group_of(header.path, key, folder, patient).headers.append(header)
    for path in scan.niftis:
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        own = strip_sequence(stem)
        if own == stem and recognise_name(stem):
            own = _folder_name(path, handed, name)
        group_of(path, ("nifti", path.parent, own), own).niftis.append(path)
    for path, size in scan.images.items():
        patient, _ = name_patient_of_image(path.stem)
        if patient and not path.stem.isdecimal():  # a number alone is a slice's
            number = normalise_id(patient)
            groups.setdefault((number, ""), _Group(name=number, root=root)).images[path] = size
        elif path == handed:
            group_of(path, path, path.stem).images[path] = size
        else:
            folder = _folder_name(path, handed, name)
            group = group_of(path, ("pictures", path.parent), folder)
            group.assumed = group.assumed or not _competition_id(path)
            group.images[path] = size


def _competition_id(path: Path) -> str:
    """Return the five digits of the nearest folder that is named so, as in 00430/FLAIR/Image-1.dcm."""
    return next((folder.name for folder in list(path.parents)[:3] if COMPETITION_ID.fullmatch(folder.name)), "")


def _folder_name(path: Path, handed: Path, name: str) -> str:
    """Return the first folder below what was handed in that is not a sequence's, else `name`."""
    folders = path.relative_to(handed).parents if handed.is_dir() else ()
    named = [folder for folder in folders if folder.name and not is_sequence_folder(folder)]
    return named[-1].name if named else name


def _free_id(name: str, taken: Iterable[str]) -> str:
    name = ODD_CHARACTERS.sub("_", name)
    numbered = (f"{name}-{number}" for number in count(2))
    return next(candidate for candidate in chain([name], numbered) if candidate not in set(taken))


def _nothing_found(paths: Sequence[Path], workspace: Path, faults: Sequence[Fault]) -> str:
    shown = ("the upload" if _is_upload(path, workspace) else path.name for path in paths[:3])
    names = ", ".join(shown) + (", ..." if len(paths) > 3 else "")
    if not faults:
        return refusal("nothing_found", names=names or "nothing")
    more = f" {len(faults) - 1} more have faults." if len(faults) > 1 else ""
    return refusal("nothing_readable", names=names, reason=faults[0].reason, more=more)


def _note_assumptions(groups: Iterable[_Group]) -> tuple[str, ...]:
    return tuple(
        f"{len(group.images)} images name no patient and are taken as slices of one scan, {group.name}."
        for group in groups
        if group.assumed and len(group.images) > 1
    )
