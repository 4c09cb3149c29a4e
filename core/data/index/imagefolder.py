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
from core.data.names.subject_names import name_patient_of_image
from core.data.names.timepoints import drop_timepoint, find_timepoint_words
from core.data.study import Fault, ImageSize, Phase, Study
from core.errors import ConfigError
from core.mri import MRSequence
from core.progress import Progress
from core.settings import Settings

EXAMPLE_PATTERN = r"^\d+"
OTHERWISE = "--patient-pattern REGEX (on the page: Patient pattern)"


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


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose an image is."""

    study: str
    person: str
    time: str = ""
    """A time point called T1 or T2 in its name."""

    @property
    def session(self) -> str:
        """What the study's name says beyond the person's."""
        return self.study.replace(self.person, "", 1).strip("_-. ") if self.study != self.person else ""


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
        Regular expression that finds the patient in a file name (its first group, if it has one); by default what
        :func:`core.data.names.subject_names.name_patient_of_image` reads.
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
    pattern = _compile(patient_pattern) if patient_pattern else None
    folders = _class_folders(base, layout)
    patients: dict[tuple[_Place, _Owner], list[Path]] = defaultdict(list)
    owners: dict[Path, _Owner] = {}
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
        own = _find_owners(list(found.sizes), pattern)
        for path in found.sizes:
            if path in own:
                patients[place, own[path]].append(path)
            else:
                loose.append((place, path))
        owners |= own
    groups = [(place, owner, paths) for (place, owner), paths in patients.items()]
    groups += [(place, _Owner(_clean(path.stem), ""), [path]) for place, path in loose]
    studies = _build_studies(groups, class_names, sizes, sequence, identity)
    notes = (
        *_note_names(owners, [path for _, path in loose], patient_pattern),
        *_describe(studies),
        *_note_spellings(folders),
    )
    if empty and class_names:
        notes = (*notes, f"No class: {name_some(empty)}, without an image.")
    return ImageStudies(studies=studies, class_names=class_names, faults=tuple(faults), notes=notes)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"The patient pattern {pattern!r} is not a regular expression: {error}; for example {EXAMPLE_PATTERN}."
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


def _find_owners(paths: Sequence[Path], pattern: re.Pattern[str] | None) -> dict[Path, _Owner]:
    """Return whose each image of a folder is; those that do not say it are left out."""
    owners = {}
    for path, time in zip(paths, find_timepoint_words([path.stem for path in paths]), strict=True):
        if pattern:
            match = pattern.search(path.name)
            study = person = (match[1] if pattern.groups else match[0]) or "" if match else ""
            time = ""
        else:
            study, person = name_patient_of_image(drop_timepoint(path.stem, time))
        study, person = (_clean(normalise_id(name)) if name else "" for name in (study, person))
        if person:
            owners[path] = _Owner(f"{study}_{time}" if time else study, person, time)
    return owners


def _clean(text: str) -> str:
    return re.sub(r"[^\w.\- ]", "_", text)


def _build_studies(
    groups: Iterable[tuple[_Place, _Owner, list[Path]]],
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
        key=lambda group: (
            group[1].study,
            phases.index(group[0].phase) if group[0].phase else 0,
            group[0].class_name or "",
        ),
    )
    studies: dict[str, Study] = {}
    for place, owner, paths in ordered:
        study_id = _free_id(owner.study, place, studies)
        studies[study_id] = Study(
            study_id=study_id,
            person=person_of(owner.person, identity) if owner.person else study_id,
            label=class_names.index(place.class_name) if place.class_name in class_names else None,
            series=tuple(image_series(study_id, {path: sizes[path] for path in paths}, sequence, owner.time)),
            session=owner.session,
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


def _note_names(owners: Mapping[Path, _Owner], loose: Sequence[Path], pattern: str | None) -> list[str]:
    """Say of how many images the patient is not known, or a guess where no pattern states it, and how to state it."""
    notes = []
    if loose:
        how = f" by the pattern {pattern}" if pattern else ""
        notes.append(
            f"{len(loose)} images name no patient{how}, such as {loose[0].name}: each counts as a person of its own, so slices "
            f"of one patient may stand on both sides of a split. {OTHERWISE} says where a name states the patient."
        )
    if pattern:
        return notes
    alone = [path for path in owners if path.stem.isdecimal()]
    if len(alone) > 1:
        notes.append(
            f"{len(alone)} images are named by a number alone, such as {alone[0].name}: it counts as the patient's. Where it is "
            "the slice's, put the images of each patient into a folder of its own."
        )
    by_words = {path: owner for path, owner in owners.items() if not owner.person.isdecimal()}
    if by_words:
        first, owner = next(iter(by_words.items()))
        persons = len({one.person for one in by_words.values()})
        notes.append(
            f"{len(by_words)} images are of {persons} patients by the words of their names, such as {first.name} of "
            f"{owner.person}; {OTHERWISE} reads the names otherwise."
        )
    return notes


def _describe(studies: tuple[Study, ...]) -> tuple[str, ...]:
    notes = []
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
