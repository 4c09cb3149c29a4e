"""What a data folder is laid out as, by what lies in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from core.data.formats.discovery import FileKind, detect_kind, is_left_behind, natural_key, walk_files
from core.data.index.recognise import recognise_name
from core.data.names.subject_names import may_number_series
from core.data.study import Phase
from core.errors import ConfigError, EmptyCohortError
from core.mri import MRSequence

LayoutName = Literal["rsna", "phases", "classes", "flat"]
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)

PHASES: dict[str, Phase] = {
    "train": "TRAIN",
    "training": "TRAIN",
    "val": "VAL",
    "valid": "VAL",
    "validation": "VAL",
    "test": "TEST",
    "testing": "TEST",
}
COMPETITION_ID = re.compile(r"\d{5}")
SCANS: frozenset[FileKind] = frozenset({"dicom", "nifti", "packed"})
"""Kinds of files that make a folder a study."""
SAMPLED = 64
"""Files of a folder that are opened to tell what it holds."""
EXPECTED = (
    "expected studies as ID/SEQUENCE/*.dcm (the competition's root or its train folder), TRAIN/VAL/TEST or plain "
    "class folders of images, or images with a label table"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A recognised layout."""

    name: LayoutName
    base: Path
    """The folder in which studies, phases, classes or images lie."""
    stated: bool = False
    """Whether a person said so; otherwise it was detected."""
    why: str = ""
    """What decided, as a sentence, where a person should know."""


def detect_layout(root: Path, stated: str | None = None) -> Layout:
    """Tell what a data folder is laid out as.

    Parameters
    ----------
    root
        The folder that a person named.
    stated
        A layout that a person insists on: one of "rsna", "phases", "classes", "flat".

    Raises
    ------
    EmptyCohortError
        The folder does not exist, is a file, or holds nothing that could be a cohort; or its folders, named by numbers, may
        be classes or the series of one study.
    ConfigError
        `stated` is none of the layouts.
    """
    insisted = next((name for name in LAYOUTS if name == stated), None)
    if stated is not None and insisted is None:
        raise ConfigError(f"There is no layout {stated!r}; choose one of: {', '.join(LAYOUTS)}.")
    if not root.exists():
        raise EmptyCohortError(f"The folder {root} does not exist; check its name.")
    if not root.is_dir():
        raise EmptyCohortError(f"{root} is a file; name the folder that holds the data, or predict on the file.")
    train = next((folder for folder in subfolders(root) if folder.name.lower() == "train"), root)
    studies = train if _holds(train, "study") else root
    if insisted is not None:
        return Layout(name=insisted, base=studies if insisted == "rsna" else root, stated=True)
    if any(_holds(folder, "class") for _, folder in phase_folders(root)):
        return Layout(name="phases", base=root)
    if _holds(studies, "study") or _is_study(root):
        return Layout(name="rsna", base=studies)
    if _holds(root, "class"):
        _refuse_series(root)
        return Layout(name="classes", base=root)
    if "picture" in _kinds(_files(root)):
        return Layout(name="flat", base=root)
    raise EmptyCohortError(f"No study was found in {root}: {EXPECTED}.")


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, in natural order."""
    found = [path for path in folder.iterdir() if path.is_dir() and not is_left_behind(path.name)]
    return sorted(found, key=lambda path: natural_key(path.name))


def phase_folders(root: Path) -> list[tuple[Phase, Path]]:
    """Return the folders that are named as phases (TRAIN, val, Test, ...), training first."""
    named = [(PHASES[folder.name.lower()], folder) for folder in subfolders(root) if folder.name.lower() in PHASES]
    return sorted(named, key=lambda pair: list(PHASES.values()).index(pair[0]))


def study_folders(base: Path) -> list[Path]:
    """Return the folders that are studies; `base` itself where it is one."""
    return [base] if _is_study(base) else subfolders(base)


def is_sequence_folder(folder: Path) -> bool:
    """Whether a folder is named as one of the four sequences."""
    return recognise_name(folder.name) not in (None, MRSequence.UNKNOWN)


def holds_images(folder: Path) -> bool:
    """Whether a folder holds scans or images, at any depth, by the first of its files."""
    return bool(_kinds(walk_files(folder)))


def _holds(folder: Path, what: Literal["study", "class"]) -> bool:
    """Whether a folder's subfolders are studies, or classes of images."""
    return any(_kind_of_folder(child) == what for child in subfolders(folder))


def _kind_of_folder(folder: Path) -> Literal["study", "class"] | None:
    if is_sequence_folder(folder):
        return None
    if any(is_sequence_folder(child) for child in subfolders(folder)):
        return "study"
    direct = _kinds(_files(folder))
    if "picture" in direct:
        return "study" if COMPETITION_ID.fullmatch(folder.name) else "class"
    deep = direct or _kinds(walk_files(folder))
    return "study" if deep & SCANS else None


def _is_study(folder: Path) -> bool:
    """Whether a folder is one study: most of its folders are sequences, or it holds scans directly."""
    sequences = sum(is_sequence_folder(child) for child in subfolders(folder))
    return 2 * sequences > len(subfolders(folder)) or bool(_kinds(_files(folder)) & SCANS)


def _refuse_series(root: Path) -> None:
    """Refuse folders of images that are named by numbers and may be series: 0 and 1 are classes as well.

    They may be series where most names of files recur in another of them, as those of slices that are counted anew do,
    where each holds one sequence, and not all the same, or where they are named SE0001.
    """
    folders = [one for one in subfolders(root) if may_number_series(one.name)]
    stems = [{path.stem for path in _files(folder)} for folder in folders]
    counts = Counter(stem for one in stems for stem in one)
    recurring = sum(sum(counts[stem] > 1 for stem in one) > len(one) / 2 for one in stems)
    held = [{recognise_name(stem) for stem in list(one)[:SAMPLED]} for one in stems]
    apart = all(len(one) == 1 for one in held) and len(set.union(set(), *held) - {None}) > 1
    named = not any(one.name.isdecimal() for one in folders)
    if len(folders) > 1 and (recurring > 1 or apart or named):
        why = "the names of their files recur" if recurring > 1 else "so series are named"
        why = "each holds another sequence" if apart else why
        raise EmptyCohortError(
            f"{root} holds folders named by numbers ({', '.join(one.name for one in folders[:5])}) that may be classes or the "
            f"series of one study, for {why}. If they are classes, say --layout classes (on the page: Layout); if they are "
            "series, name each after its sequence (FLAIR, T1w, T1wCE, T2w), in a folder for each patient."
        )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _kinds(files: Iterator[Path]) -> set[FileKind]:
    return {kind for kind in map(detect_kind, islice(files, SAMPLED)) if kind}
