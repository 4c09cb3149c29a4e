"""The examinations that lie in one folder: whatever it holds, no two persons and no two sessions become one study.

Folders tell examinations apart, except those named as a sequence or a kind of file; in one folder, the names of NIfTI
files and images, and of DICOM files the Study Instance UID (0020,000D) with the digest of Patient ID (0010,0020) and the
day. Two UIDs of one patient and day whose sequences complement each other are one examination, as are series of
different geometry, and the slices of one even stack that have a UID each. What these do not tell apart is refused,
never merged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from core.data.formats.dicom import InstanceHeader
from core.data.formats.discovery import natural_key, relative_to
from core.data.index.recognise import recognise_name
from core.data.index.series import FileScan, build_series
from core.data.index.series_groups import is_even_stack, stack_key
from core.data.names.subject_names import (
    group_names,
    is_plain_folder,
    is_session_name,
    name_subject,
    read_name,
    subject_of_folder,
    words_of_image,
)
from core.data.names.timepoints import (
    drop_timepoint,
    find_series_folders,
    find_timepoint_folders,
    find_timepoint_words,
    word_of,
)
from core.data.study import Fault, ImageSize
from core.mri import MRSequence
from core.settings import Settings

SAME_EXAM_DAYS = 1
"""Days that one examination may last: one that begins before midnight ends on the next."""
Place = tuple[str, ...]
TWO_FOLDERS = (
    "refused: this folder and {other} share a Study Instance UID (0020,000D), state no Patient ID (0010,0020) and hold "
    "the same sequence in different series, so that they may be two persons' or two sessions'; put the folder of each "
    "directly into the folder that you name, or all files of one examination into one folder"
)


@dataclass(slots=True, kw_only=True)
class Examination:
    """Files of one person and one session."""

    place: Place
    """Names of the folders that set it apart, from the top."""
    name: str = ""
    """What the names of its files set it apart by."""
    number: int = 0
    """Which of several in one place, by day; 0 where there is one."""
    patient: int = 0
    """Which patient of those whose Patient ID is known, from 1; 0 where it is not."""
    headers: list[InstanceHeader] = field(default_factory=list)
    niftis: list[Path] = field(default_factory=list)
    images: dict[Path, ImageSize] = field(default_factory=dict)

    @property
    def files(self) -> FileScan:
        """Its files, to be built into series."""
        return FileScan(
            headers=tuple(self.headers),
            niftis=tuple(self.niftis),
            images=self.images,
            faults=(),
            timepoint=_timepoint_of(self.place),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinations:
    """What was told apart, and what was refused."""

    found: tuple[Examination, ...]
    refused: tuple[Fault, ...]
    """Places whose files nothing tells apart."""
    faults: tuple[Fault, ...]
    """Single files that do not say whose they are, beside others that do."""


@dataclass(slots=True, kw_only=True)
class _Cell:
    """DICOM files of one place, study and patient."""

    place: Place
    study_uid: str
    patient_key: str
    headers: list[InstanceHeader] = field(default_factory=list)
    days: tuple[int, int] | None = None
    sequences: frozenset[MRSequence] | None = None


def split_examinations(folder: Path, files: FileScan, root: Path, settings: Settings, *, alone: bool) -> Examinations:
    """Tell the examinations in one folder apart.

    Parameters
    ----------
    folder
        The folder.
    files
        What :func:`core.data.index.series.scan_files` found in it, at any depth.
    root
        Fault paths are relative to it.
    settings
        The limits.
    alone
        Whether the folder is all that was handed in: then nothing above it says that it is one person's.
    """
    described = [(header.path, header.acquisition.series_description) for header in files.headers]
    named = [(path, "") for path in (*files.niftis, *files.images)]
    series = find_series_folders((*files.niftis, *files.images))
    places = _Places(folder, find_timepoint_folders(folder, (*described, *named)), series)
    refused: list[Fault] = []
    faults: list[Fault] = []
    found = _tell_dicom(files.headers, places, root, settings, refused)
    _add_named(found, files.niftis, places, refused, faults, root, alone=alone, images={})
    _add_named(found, list(files.images), places, refused, faults, root, alone=alone, images=files.images)
    ordered = sorted(
        found, key=lambda one: ([natural_key(part) for part in one.place], natural_key(one.name), one.number)
    )
    counts = Counter((one.place, one.name) for one in ordered)
    for one in ordered:
        one.number = one.number if counts[one.place, one.name] > 1 else 0
    return Examinations(found=tuple(ordered), refused=tuple(refused), faults=tuple(faults))


def find_patients(headers: Iterable[InstanceHeader]) -> dict[str, str]:
    """Return the one patient's digest by Study Instance UID, for files of these studies that lack the Patient ID."""
    owners: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        owners[header.study_uid].add(header.patient_key)
    return {uid: max(keys) for uid, keys in owners.items() if uid and len(keys - {""}) == 1}


class _Places:
    """Where files lie below a folder, without the folders that say nothing of persons and sessions."""

    def __init__(self, folder: Path, timepoints: set[Path], series: set[Path]) -> None:
        self._folder = folder
        self._timepoints = timepoints
        self._series = series
        self._known: dict[Path, Place] = {}

    def __call__(self, path: Path) -> Place:
        parent = path.parent
        if parent not in self._known:
            above = (one for one in (parent, *parent.parents) if self._folder in one.parents)
            inside = [one for one in above if one not in self._series]
            kept = (
                one.name if one in self._timepoints or not is_plain_folder(one.name) else subject_of_folder(one.name)
                for one in reversed(inside)
            )
            self._known[parent] = tuple(part for part in kept if part)
        return self._known[parent]


def _tell_dicom(
    headers: Sequence[InstanceHeader], places: _Places, root: Path, settings: Settings, refused: list[Fault]
) -> list[Examination]:
    cells: dict[tuple[Place, str, str], _Cell] = {}
    known = find_patients(headers)
    for header in headers:
        key = (places(header.path), header.study_uid, header.patient_key or known.get(header.study_uid, ""))
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = _Cell(place=key[0], study_uid=key[1], patient_key=key[2])
        cell.headers.append(header)
        if header.day is not None:
            first, last = cell.days or (header.day, header.day)
            cell.days = min(first, header.day), max(last, header.day)
    if not cells:
        return []

    def sequences_of(cell: _Cell) -> frozenset[MRSequence]:
        if cell.sequences is None:
            scan = FileScan(headers=tuple(cell.headers), niftis=(), images={}, faults=())
            built = build_series("", scan, root, settings).series
            cell.sequences = frozenset(one.sequence for one in built) - {MRSequence.UNKNOWN}
        return cell.sequences

    parts = [part for cell in _gather_slices(cells.values()) for part in _split_days(cell)]
    contested = _find_contested(parts)
    for place in contested:
        here = [cell for cell in parts if cell.place == place]
        patients = len({cell.patient_key for cell in here})
        where = relative_to(here[0].headers[0].path.parent, root)
        refused.append(Fault(path=where, reason=_refusal(f"DICOM files of {patients} patients (by their Patient ID)")))
    left = [cell for cell in parts if cell.place not in contested]
    for one, other in combinations(left, 2):
        both = {one.place, other.place}
        if not both <= contested and _may_be_two(one, other) and sequences_of(one) & sequences_of(other):
            contested |= both
            folders = [relative_to(cell.headers[0].path.parent, root) for cell in (one, other)]
            refused.append(Fault(path=folders[0], reason=TWO_FOLDERS.format(other=folders[1])))
    groups = _join([cell for cell in left if cell.place not in contested], sequences_of)
    return _to_examinations(groups)


def _gather_slices(cells: Iterable[_Cell]) -> list[_Cell]:
    """Put the slices of each stack together that an export gave a Study Instance UID each.

    They are of one place and one known patient, and lie evenly one behind the other; of unknown patients they may be several.
    """
    gathered: list[_Cell] = []
    stacks: dict[tuple[Place, str, Hashable], list[_Cell]] = defaultdict(list)
    for cell in cells:
        if len(cell.headers) == 1 and cell.patient_key:
            stacks[cell.place, cell.patient_key, stack_key(cell.headers[0])].append(cell)
        else:
            gathered.append(cell)
    for stack in stacks.values():
        headers = [header for cell in stack for header in cell.headers]
        if not is_even_stack(headers):
            gathered += stack
            continue
        days = [day for cell in stack for day in cell.days or ()]
        gathered.append(replace(stack[0], headers=headers, days=(min(days), max(days)) if days else None))
    return gathered


def _may_be_two(one: _Cell, other: _Cell) -> bool:
    """Whether two folders of several series each share nothing but a study UID, and may be two persons' all the same."""
    if not one.study_uid or one.study_uid != other.study_uid or one.patient_key or other.patient_key:
        return False
    if one.place == other.place or _is_below(one, other) or _is_below(other, one):
        return False
    series = [{header.series_uid for header in cell.headers} for cell in (one, other)]
    return (
        not _differ_in_names(one.place, other.place) and min(map(len, series)) > 1 and series[0].isdisjoint(series[1])
    )


def _split_days(cell: _Cell) -> list[_Cell]:
    """Split files of one study UID whose days lie further apart than an examination lasts."""
    if cell.days is None or cell.days[1] - cell.days[0] <= SAME_EXAM_DAYS:
        return [cell]
    clusters: list[_Cell] = []
    for header in sorted(cell.headers, key=lambda one: one.day or 0):
        day = header.day or cell.days[0]
        if not clusters or day - (clusters[-1].days or (day, day))[1] > SAME_EXAM_DAYS:
            clusters.append(
                _Cell(place=cell.place, study_uid=cell.study_uid, patient_key=cell.patient_key, days=(day, day))
            )
        clusters[-1].headers.append(header)
        clusters[-1].days = ((clusters[-1].days or (day, day))[0], day)
    return clusters


def _find_contested(cells: Sequence[_Cell]) -> set[Place]:
    """Places where files of several patients lie, or of a patient and of nobody known, and their names do not tell whose."""
    found: dict[Place, list[_Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.place].append(cell)
    return {
        place
        for place, here in found.items()
        if len({cell.patient_key for cell in here}) > 1 and not _are_told_by_name(here)
    }


def _are_told_by_name(cells: Sequence[_Cell]) -> bool:
    """Whether the names of all files hold words that no file of another patient has."""
    owners: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for cell in cells:
        for name in _names_of(cell):
            owners[name].add(cell.patient_key)
    return (
        () not in owners
        and len(owners) < sum(len(cell.headers) for cell in cells)
        and max(map(len, owners.values())) == 1
    )


def _join(cells: Sequence[_Cell], sequences_of: Callable[[_Cell], frozenset[MRSequence]]) -> list[list[_Cell]]:
    """Put the cells of one examination together."""
    groups: list[list[_Cell]] = []
    for cell in sorted(cells, key=lambda one: (one.days or (0, 0), one.study_uid)):
        home = next((group for group in groups if all(_are_one(cell, other, sequences_of) for other in group)), None)
        if home is None:
            groups.append([cell])
        else:
            home.append(cell)
    return groups


def _are_one(one: _Cell, other: _Cell, sequences_of: Callable[[_Cell], frozenset[MRSequence]]) -> bool:
    days = [*(one.days or ()), *(other.days or ())]
    if one.patient_key != other.patient_key or (days and max(days) - min(days) > SAME_EXAM_DAYS):
        return False
    if one.place != other.place:
        same_study = bool(one.study_uid) and one.study_uid == other.study_uid
        if not same_study or _differ_in_names(one.place, other.place):
            return False
        return _is_below(one, other) or _is_below(other, one) or not _overlap(one, other)
    names = (_names_of(one), _names_of(other))
    if all(len(name) == 1 for name in names) and names[0] != names[1]:
        return False
    return not sequences_of(one) & sequences_of(other)


def _names_of(cell: _Cell) -> set[tuple[str, ...]]:
    """The words of its files' names that can tell whose they are."""
    return {read_name(header.path.stem.rstrip("0123456789")).subject for header in cell.headers}


def _timepoint_of(place: Place) -> str:
    """The last word like T1 that a place is named with: a sequence's folder is no part of a place."""
    return next(filter(None, map(word_of, reversed(place))), "")


def _differ_in_names(one: Place, other: Place) -> bool:
    """Whether one of the folders that two places do not share is named as a person or a session is."""
    pairs = enumerate(zip(one, other, strict=False))
    shared = next((at for at, parts in pairs if len(set(parts)) > 1), min(len(one), len(other)))
    apart = (*one[shared:], *other[shared:])
    return any(is_session_name(part) or subject_of_folder(part) for part in apart)


def _is_below(one: _Cell, other: _Cell) -> bool:
    """Whether all folders of a cell lie in folders that hold files of another."""
    above = {header.path.parent for header in other.headers}
    return all(above & set(folder.parents) for folder in {header.path.parent for header in one.headers})


def _overlap(one: _Cell, other: _Cell) -> bool:
    """Whether two folders hold the same slices of one series, so that its UID says nothing."""
    taken = {(header.series_uid, header.position_mm, header.frame) for header in one.headers}
    return not taken.isdisjoint((header.series_uid, header.position_mm, header.frame) for header in other.headers)


def _to_examinations(groups: Sequence[Sequence[_Cell]]) -> list[Examination]:
    patients: dict[str, int] = {}
    places = [_common([cell.place for cell in group]) for group in groups]
    found: list[Examination] = []
    for group, place in zip(groups, places, strict=True):
        key = group[0].patient_key
        several = places.count(place) > 1
        name = _name_of(group) if several else ""
        found.append(
            Examination(
                place=place,
                name=name,
                number=1 + sum((one.place, one.name) == (place, name) for one in found) if several else 0,
                patient=patients.setdefault(key, len(patients) + 1) if key else 0,
                headers=[header for cell in group for header in cell.headers],
            )
        )
    return found


def _name_of(group: Sequence[_Cell]) -> str:
    """What the names of DICOM files say of whose they are, where all say the same."""
    names = {name for cell in group for name in _names_of(cell)}
    stem = group[0].headers[0].path.stem
    return name_subject(stem, names.pop()) if len(names) == 1 else ""


def _common(places: Sequence[Place]) -> Place:
    shared = [parts[0] for parts in zip(*places, strict=False) if len(set(parts)) == 1]
    return tuple(shared) if len(set(places)) > 1 else places[0]


def _add_named(
    found: list[Examination],
    paths: Sequence[Path],
    places: _Places,
    refused: list[Fault],
    faults: list[Fault],
    root: Path,
    *,
    alone: bool,
    images: dict[Path, ImageSize],
) -> None:
    """Add NIfTI files or images, which only folders and names tell apart, to the examinations or as new ones."""
    by_place: dict[Place, list[Path]] = defaultdict(list)
    for path in paths:
        by_place[places(path)].append(path)
    by_time: dict[tuple[Place, str], list[Path]] = defaultdict(list)
    for place, members in by_place.items():
        for path, word in zip(members, find_timepoint_words([_stem(path) for path in members]), strict=True):
            by_time[place, "" if word in place else word].append(path)
    for (folders, time), members in by_time.items():
        place = (*folders, time) if time else folders
        stems = [drop_timepoint(_stem(path), _timepoint_of(place)) for path in members]
        if images:
            keys: list[tuple[str, ...]] | None = list(map(words_of_image, stems))
        else:
            named = [(stem, _sequence_of(stem, path)) for stem, path in zip(stems, members, strict=True)]
            keys = group_names(named, alone=alone and not folders)
        if keys is None:
            where = relative_to(members[0].parent, root)
            refused.append(Fault(path=where, reason=_refusal("files whose numbers can be patients' or series'")))
            continue
        owners = {key: name_subject(stem, key) for stem, key in zip(stems, keys, strict=True) if key}
        for path, key in zip(members, keys, strict=True):
            if len(owners) > 1 and not key:
                reason = f"left out: it does not say whose it is, and its folder holds files of {len(owners)} persons or sessions"
                faults.append(Fault(path=relative_to(path, root), reason=reason))
                continue
            name = owners[key] if len(owners) > 1 or (time and key) else ""
            home = _home(found, place, name)
            if images:
                home.images[path] = images[path]
            else:
                home.niftis.append(path)


def _home(found: list[Examination], place: Place, name: str) -> Examination:
    """Return the examination of a place and name, a new one where there is none."""
    same = [one for one in found if one.place == place and one.name == name]
    if len(same) == 1:
        return same[0]
    unnumbered = next((one for one in same if not one.headers), None)
    if unnumbered is None:
        unnumbered = Examination(place=place, name=name, number=len(same) + 1 if same else 0)
        found.append(unnumbered)
    return unnumbered


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii") if path.name.endswith((".nii", ".nii.gz")) else path.stem


def _sequence_of(stem: str, path: Path) -> MRSequence | None:
    found = recognise_name(stem)
    return recognise_name(path.parent.name) if found is None else found


def _refusal(what: str) -> str:
    return f"refused: it holds {what} that no folder tells apart; put each patient's files, and each session's, in a folder of its own"
