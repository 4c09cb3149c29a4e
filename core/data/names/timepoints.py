"""Which folders and files' names speak of time points, that are called T1 and T2 as sequences are, or 1 and 2 as series are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from core.data.index.recognise import recognise_name
from core.data.names.subject_names import BETWEEN, PLAIN_WORDS, TIMEPOINT
from core.mri import MRSequence

FOLDER = re.compile(rf"(?:.+[_\-. ])?(?P<word>{TIMEPOINT})")
"""Its name: T0, T10, P01_T2."""
FILE = re.compile(rf"(?P<before>(?:.*?[_\-. ])?)(?P<word>{TIMEPOINT})[_\-. ](?P<after>.+)")
"""Its name, the sequence behind the time point: P01_T1_flair."""
FOUR = frozenset(MRSequence) - {MRSequence.UNKNOWN}
OWN = {"t1": {MRSequence.T1W, MRSequence.T1WCE}, "t2": {MRSequence.T2W, MRSequence.FLAIR}}
"""What a folder holds that is named as a sequence."""


def word_of(name: str) -> str:
    """Return the T0 to T99 that a name is or ends with; empty where it does not."""
    match = FOLDER.fullmatch(name)
    return match["word"] if match else ""


def drop_timepoint(stem: str, word: str) -> str:
    """Take a time point out of a file's name, where a sequence stands behind it."""
    match = FILE.fullmatch(stem)
    is_it = match is not None and match["word"].lower() == word.lower() and _sequence_behind(match["after"])
    return f"{match['before']}{match['after']}" if match and is_it else stem


def find_timepoint_folders(base: Path, files: Iterable[tuple[Path, str]]) -> set[Path]:
    """Return the folders below a folder that are named T0 to T99 and are time points or persons, not sequences.

    They hold files of another sequence than the one that they are named as, or of the same as another such folder
    beside them.

    Parameters
    ----------
    base
        The folder.
    files
        Path and Series Description (0008,103E) of each file in it; the latter may be empty.
    """
    above: dict[Path, list[Path]] = {}
    held: dict[Path, set[MRSequence]] = defaultdict(set)
    for path, description in files:
        parent = path.parent
        if parent not in above:
            inside = [one for one in (parent, *parent.parents) if base in one.parents]
            above[parent] = [one for one in inside if word_of(one.name)]
        for folder in above[parent]:
            held[folder] |= _sequence_in(folder, path, description)
    beside: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for folder in held:
        beside[folder.parent, folder.name[: -len(word_of(folder.name))]].append(folder)
    found: set[Path] = set()
    for folders in beside.values():
        strange = any(held[one] - OWN.get(word_of(one.name).lower(), set()) for one in folders)
        if strange or any(held[one] & held[other] for one, other in combinations(folders, 2)):
            found.update(folders)
    return found


def find_series_folders(files: Iterable[Path]) -> set[Path]:
    """Return the folders that are named by numbers and hold one sequence each, none that another beside them holds.

    They are series of one study, not its sessions: of these, one sequence would recur.
    """
    held: dict[Path, set[MRSequence]] = defaultdict(set)
    for path in files:
        if path.parent.name.isdecimal():
            held[path.parent] |= _sequence_in(path.parent, path, "") or {MRSequence.UNKNOWN}
    beside: dict[Path, list[Path]] = defaultdict(list)
    for folder in held:
        beside[folder.parent].append(folder)
    found: set[Path] = set()
    for folders in beside.values():
        sequences = [one for folder in folders for one in held[folder]]
        if set(sequences) <= FOUR and len(sequences) == len(set(sequences)) == len(folders) > 1:
            found.update(folders)
    return found


def find_timepoint_words(stems: Sequence[str]) -> list[str]:
    """Return of each file's name the time point in it, as T1 in P01_T1_flair; empty where there is none.

    Two time points of one name must share a sequence; FLAIR does not count, for T1 FLAIR and T2 FLAIR are sequences.
    """
    matches = [FILE.fullmatch(stem) for stem in stems]
    held: dict[str, dict[str, set[MRSequence]]] = defaultdict(lambda: defaultdict(set))
    for match in matches:
        if match:
            held[match["before"]][match["word"].lower()] |= _sequence_behind(match["after"]) - {MRSequence.FLAIR}
    sure = {name for name, words in held.items() if any(a & b for a, b in combinations(words.values(), 2))}
    return [match["word"] if match and match["before"] in sure else "" for match in matches]


def _sequence_in(folder: Path, path: Path, description: str) -> set[MRSequence]:
    """Return what the names below a folder, or a file's own description, say that the file is."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii") if path.name.endswith((".nii", ".nii.gz")) else path.stem
    match = FILE.fullmatch(stem)
    if match and match["word"].lower() == word_of(folder.name).lower():
        return _sequence_behind(match["after"]) - {MRSequence.FLAIR}
    for name in (*path.parent.relative_to(folder).parts, description or stem):
        sequence = recognise_name(name)
        if sequence in FOUR:
            return {sequence}
    return set()


def _sequence_behind(text: str) -> set[MRSequence]:
    """Return the sequence that the first word of a text names, but for words that say nothing."""
    words = (word for word in BETWEEN.split(text) if word.lower() not in PLAIN_WORDS)
    sequence = recognise_name(next(words, ""))
    return {sequence} if sequence in FOUR else set()
