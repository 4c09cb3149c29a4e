"""Images as studies: ImageFolder trees (with or without phases), class folders, and flat folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.data.clinical.labels import normalise_id
from core.data.formats.discovery import relative_to
from core.data.index.identity import person_of
from core.data.index.image_index import list_images
from core.data.index.layout import phase_folders, subfolders
from core.data.index.stamped import StampedCache
from core.data.names.class_names import find_unknown, merge_classes
from core.data.study import Fault, ImageSize, Phase, Study
from core.errors import ConfigError
from core.mri import MRSequence
from core.progress import Progress
from core.settings import Settings

DEFAULT_PATTERN = r"^\d+"
"""The patient is the leading digits of the file name, as in 00430_FLAIR_012.png."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStudies:
    """The studies of a tree of images; labels index ``class_names``."""

    studies: tuple[Study, ...]
    """Those of a class folder that says that the status is not known are excluded, with this reason."""
    class_names: tuple[str, ...]
    """Sorted, as ImageFolder sorts them; empty for a flat folder."""
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an image lies."""

    phase: Phase | None
    class_name: str | None


def scan_images(
    base: Path,
    layout: str,
    *,
    patient_pattern: str | None,
    sequence: MRSequence | None,
    settings: Settings,
    progress: Progress,
    cache: StampedCache | None = None,
    jobs: int = 1,
    identity: Path | None = None,
) -> ImageStudies:
    """Read the headers of a tree of images and group them into studies, one per patient, phase and class.

    Parameters
    ----------
    base
        The folder of phases, of classes, or of the images themselves.
    layout
        "phases", "classes" or "flat".
    patient_pattern
        Regular expression that finds the patient in a file name (its first group, if it has one); the leading
        digits by default.
    sequence
        What an image is that does not say so in its name.
    settings, progress
        The limits; called once per file.
    cache, jobs
        Where to keep what the files are, and how many processes may look at them.
    identity
        A table of ids that are one patient (:mod:`core.data.index.identity`).

    Raises
    ------
    ConfigError
        The pattern is not a regular expression.
    """
    pattern = _compile(patient_pattern or DEFAULT_PATTERN)
    folders = _class_folders(base, layout)
    patients: dict[tuple[_Place, str], list[Path]] = defaultdict(list)
    loose: list[tuple[_Place, Path]] = []
    faults: list[Fault] = []
    sizes: dict[Path, ImageSize] = {}
    listed = list_images([folder for _, folder in folders], settings, cache, jobs, progress)
    filled = {place.class_name for (place, _), found in zip(folders, listed, strict=True) if found.sizes}
    named = {name for name in filled if name is not None}
    class_names = tuple(sorted(named - find_unknown(named)))
    empty = sorted({place.class_name or "" for place, _ in folders} - {name or "" for name in filled})
    for (place, _), found in zip(folders, listed, strict=True):
        sizes.update(found.sizes)
        faults += [Fault(path=relative_to(path, base), reason=reason) for path, reason in found.faults]
        for path in found.sizes:
            patient = _patient_of(path, pattern)
            if patient:
                patients[place, patient].append(path)
            else:
                loose.append((place, path))
    groups = [(place, patient, True, paths) for (place, patient), paths in patients.items()]
    groups += [(place, _clean(path.stem), False, [path]) for place, path in loose]
    studies = _build_studies(groups, class_names, sizes, sequence, identity)
    notes = (*_describe(studies, len(loose), patient_pattern), *_note_spellings(folders))
    if empty and class_names:
        notes = (*notes, f"No class: {name_some(empty)}, without an image.")
    return ImageStudies(studies=studies, class_names=class_names, faults=tuple(faults), notes=notes)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"The patient pattern {pattern!r} is not a regular expression: {error}; for example {DEFAULT_PATTERN}."
        ) from error


def _class_folders(base: Path, layout: str) -> list[tuple[_Place, Path]]:
    """Return the folders of images with their phases and classes."""
    if layout == "flat":
        return [(_Place(None, None), base)]
    phases = phase_folders(base) if layout == "phases" else [(None, base)]
    found = [(phase, child) for phase, folder in phases for child in subfolders(folder)]
    merged = merge_classes([child.name for _, child in found])
    return [(_Place(phase, merged[child.name]), child) for phase, child in found]


def _note_spellings(folders: Iterable[tuple[_Place, Path]]) -> list[str]:
    """Say which names of folders, other than in case and spaces, were read as one class."""
    other = {
        f"{folder.name} is read as {place.class_name}"
        for place, folder in folders
        if place.class_name and folder.name.strip().casefold() != place.class_name.strip().casefold()
    }
    return [f"One class: {name_some(sorted(other))}."] if other else []


def _patient_of(path: Path, pattern: re.Pattern[str]) -> str:
    match = pattern.search(path.name)
    text = (match[1] if pattern.groups else match[0]) if match else None
    return _clean(normalise_id(text)) if text else ""


def _clean(text: str) -> str:
    return re.sub(r"[^\w.\- ]", "_", text)


def _build_studies(
    groups: Iterable[tuple[_Place, str, bool, list[Path]]],
    class_names: tuple[str, ...],
    sizes: Mapping[Path, ImageSize],
    sequence: MRSequence | None,
    identity: Path | None,
) -> tuple[Study, ...]:
    """Make one study per group; a name that is taken gets its phase, its class, then a number."""
    from core.data.index.series import image_series

    phases = ["TRAIN", "VAL", "TEST"]
    ordered = sorted(
        groups,
        key=lambda group: (group[1], phases.index(group[0].phase) if group[0].phase else 0, group[0].class_name or ""),
    )
    studies: dict[str, Study] = {}
    for place, name, is_patient, paths in ordered:
        study_id = _free_id(name, place, studies)
        studies[study_id] = Study(
            study_id=study_id,
            person=person_of(name, identity) if is_patient else study_id,
            label=class_names.index(place.class_name) if place.class_name in class_names else None,
            series=tuple(image_series(study_id, {path: sizes[path] for path in paths}, sequence)),
            phase=place.phase,
            excluded="" if place.class_name in (None, *class_names) else f"class folder is {place.class_name!r}",
        )
    return tuple(studies.values())


def _free_id(name: str, place: _Place, taken: dict[str, Study]) -> str:
    candidate = name
    for suffix in (place.phase, place.class_name):
        if candidate in taken and suffix:
            candidate = f"{candidate}-{_clean(suffix)}"
    number, base = 1, candidate
    while candidate in taken:
        number += 1
        candidate = f"{base}-{number}"
    return candidate


def _describe(studies: tuple[Study, ...], loose: int, patient_pattern: str | None) -> tuple[str, ...]:
    notes = []
    if loose:
        how = f"the pattern {patient_pattern}" if patient_pattern else "leading digits"
        notes.append(
            f"{loose} images name no patient ({how}): each counts as a person of its own, so slices of one patient "
            "may stand on both sides of a split."
        )
    phases: dict[str, set[str]] = defaultdict(set)
    labels: dict[str, set[int | None]] = defaultdict(set)
    for study in studies:
        phases[study.person].add(study.phase or "")
        labels[study.person].add(study.label)
    shared = sorted(person for person, found in phases.items() if len(found) > 1)
    if shared:
        notes.append(f"{len(shared)} persons stand in more than one phase ({name_some(shared)}): these phases leak.")
    torn = sorted(person for person, found in labels.items() if len(found) > 1)
    if torn:
        notes.append(
            f"{len(torn)} persons stand in more than one class ({name_some(torn)}): check the patient pattern."
        )
    return tuple(notes)


def name_some(names: Sequence[str]) -> str:
    """Write the first five names, for a note."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
