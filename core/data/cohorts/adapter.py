"""What an adapter says of a cohort: how its folders, files and tables are named. Facts only; the reading is elsewhere."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.data.formats.discovery import is_left_behind, natural_key
from core.mri import MRSequence

FilePattern = tuple[str, MRSequence | None]
"""A pattern of a file's path below its session's folder, and its sequence; None where the file itself must tell. A group
``variant`` names one of several versions of one image."""
NIFTI = r"\.nii(?:\.gz)?"


SAMPLED = 20
"""Sessions that are read to tell whether a cohort is this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFolder:
    """One session of one person, and where its files lie."""

    study_id: str
    person: str
    session: str
    folder: Path
    site: str = ""
    words: str = ""
    """What the session's name means."""
    refused: str = ""
    """Why it takes no part, where that is known already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortAdapter:
    """How one cohort is laid out."""

    name: str
    """As ``index --json`` gives it and ``--layout`` takes it."""
    title: str
    study: str
    """Pattern of a study folder's name, with the group ``person``, and ``session``, ``site`` and ``id`` where it has them."""
    visit: str = ""
    """Pattern of the folders of sessions in it, with the group ``session``."""
    files: tuple[FilePattern, ...] = ()
    """The four sequences; the first pattern that fits decides. Empty: every file is read and says itself what it is."""
    masks: str = ""
    """Pattern of the names of its segmentations of the tumour."""
    mask_folders: tuple[str, ...] = ()
    """Where they lie if not beside the scans, from a session's folder; "{id}" stands for the study."""
    tumour_labels: tuple[int, ...] = (1, 3, 4)
    """Their labels of the tumour's core; BraTS: necrosis 1, enhancing 4 (3 since 2023). Oedema, 2, is not part of it."""
    bases: tuple[str, ...] = ("",)
    """Folders below the one that a person names in which session folders lie; the first that holds some is used."""
    variants: tuple[str, ...] = ("",)
    """Versions of an image in the order of preference; of one study only one is used."""
    tables: tuple[str, ...] = ()
    """Names of its clinical table (patterns of a shell), beside the studies or above them."""
    required: str = ""
    """Pattern of a file that no other cohort of such folders has; one session of those must hold it."""
    ratings: str = ""
    """Name of a table whose rows say "Pre-Op" of a person and a session."""
    post_operative: bool = False
    """Whether all of its sessions are after the operation."""
    session_words: Mapping[str, str] = field(default_factory=dict)
    """What the names of its sessions mean."""
    unverified: tuple[str, ...] = ()
    """What of this no stored file of the cohort has shown."""

    def find_sessions(self, root: Path) -> list[SessionFolder]:
        """Return the sessions below a folder, or the folder itself where it is one or one person's; none where it is another's."""
        found = self.find_below(root)
        if found:
            return found
        around = [one for base in (root.parent, root.parent.parent) for one in self._sessions_in(base)]
        own = [one for one in around if one.folder == root or root in one.folder.parents]
        return own if any(self._holds_images(one.folder) for one in own) else []

    def find_below(self, root: Path) -> list[SessionFolder]:
        """Return the sessions below a folder; none where it is another's."""
        for base in self.bases:
            found = list(self._sessions_in(root / base)) if (root / base).is_dir() else []
            if any(self._holds_images(one.folder) for one in found[:SAMPLED]) or (found and not self.files):
                return found
        return []

    def choose_files(self, names: Iterable[str]) -> dict[str, MRSequence | None]:
        """Return which of a session's files (paths below its folder) are read, and each one's sequence where it is known."""
        found: list[tuple[str, str, MRSequence | None]] = []
        for name in names:
            for pattern, sequence in self.files:
                match = re.fullmatch(pattern, name)
                if match:
                    variant = (match.groupdict().get("variant") or "") if "variant" in pattern else ""
                    found.append((name, variant, sequence))
                    break
        counts = Counter(variant for _, variant, _ in found)
        best = max(self.variants, key=lambda variant: (counts[variant], -self.variants.index(variant)))
        return {name: sequence for name, variant, sequence in found if variant == best}

    def find_masks(self, study_id: str, folders: Iterable[Path]) -> list[Path]:
        """Return a study's segmentations by this cohort's names, beside its files or where the cohort keeps them."""
        if not self.masks:
            return []
        beside = list(folders)
        apart = [folder / place.format(id=study_id) for folder in beside for place in self.mask_folders]
        found = [path for folder in (*beside, *apart) if folder.is_dir() for path in sorted(folder.iterdir())]
        named = [path for path in found if re.fullmatch(self.masks, path.name)]
        return [path for path in named if path.parent in beside or path.name.startswith(study_id)]

    def find_table(self, places: Iterable[Path]) -> Path | None:
        """Return the clinical table, the newest by its name where there are several."""
        for place in places:
            for pattern in self.tables:
                found = sorted(place.glob(pattern), key=lambda path: natural_key(path.name))
                if found:
                    return found[-1]
        return None

    def _sessions_in(self, base: Path) -> Iterator[SessionFolder]:
        for folder, groups in list_matching(base, self.study):
            person, session = groups["person"] or "", groups.get("session") or ""
            visits = list_matching(folder, self.visit) if self.visit else []
            for visit, found in visits or [(folder, {"session": session})]:
                name = found["session"] or ""
                yield SessionFolder(
                    study_id=groups.get("id") or (f"{person}_{name}" if name else person),
                    person=person,
                    session=name,
                    folder=visit,
                    site=groups.get("site") or "",
                    words=self.session_words.get(name, "post-operative" if name and self.post_operative else ""),
                )

    def _holds_images(self, folder: Path) -> bool:
        """Whether one of its images lies in a folder, be it as a pointer to nowhere."""
        names = (
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()
        )
        if self.required:
            return any(re.fullmatch(self.required, name) for name in names)
        return not self.files or any(self.choose_files([name]) for name in names)


def list_folders(base: Path) -> list[Path]:
    """Return the visible folders in a folder, in natural order."""
    return [folder for folder, _ in list_matching(base, "(?s:.*)")]


def list_matching(base: Path, pattern: str) -> list[tuple[Path, dict[str, str | None]]]:
    """Return those whose names fit a pattern, each with what the pattern's groups found in its name."""
    try:
        with os.scandir(base) as found:
            groups = {
                one.name: match.groupdict()
                for one in found
                if (match := re.fullmatch(pattern, one.name)) and one.is_dir() and not is_left_behind(one.name)
            }
    except OSError:
        return []
    return [(base / name, groups[name]) for name in sorted(groups, key=natural_key)]
