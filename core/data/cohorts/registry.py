"""The adapters, and which of them a folder is laid out for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.data.clinical.spreadsheet import read_sheets
from core.data.cohorts.adapter import CohortAdapter, SessionFolder, list_folders
from core.data.cohorts.bids import BIDS
from core.data.cohorts.brats21 import BRATS21
from core.data.cohorts.brats_gli import BRATS_GLI
from core.data.cohorts.ds007045 import DS007045
from core.data.cohorts.lumiere import LUMIERE
from core.data.cohorts.mu_glioma_post import MU_GLIOMA_POST
from core.data.cohorts.processed import PROCESSED
from core.data.cohorts.rsna_miccai import RSNA_MICCAI
from core.data.cohorts.tcga_gbm import TCGA_GBM
from core.data.cohorts.ucsf_pdgm import UCSF_PDGM
from core.data.cohorts.upenn_gbm import UPENN_GBM
from core.data.cohorts.utsw_glioma import UTSW_GLIOMA
from core.data.index.imagefolder import name_some
from core.data.index.layout import holds_images
from core.errors import ConfigError, EmptyCohortError

FOLDER = CohortAdapter(name="folder", title="a folder of studies", study=r"(?P<person>.+)")
"""Any other tree: its names and headers tell what it holds."""
ADAPTERS = (
    PROCESSED,
    *(UPENN_GBM, UCSF_PDGM, BRATS21, BRATS_GLI, DS007045, UTSW_GLIOMA, MU_GLIOMA_POST, LUMIERE, TCGA_GBM),
    BIDS,
)
"""The special before the general. RSNA-MICCAI is read as any other folder is, and only recognised by its names."""
BY_NAME = {adapter.name: adapter for adapter in (*ADAPTERS, RSNA_MICCAI, FOLDER)}
REMEDY = "To read them, name each by itself, or move them into one folder of their own and name that one."
MOST_BESIDE = 20
"""A folder around a cohort holds no more folders than this; one with more holds studies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """A cohort with an adapter, and its sessions."""

    adapter: CohortAdapter
    sessions: tuple[SessionFolder, ...]
    base: Path
    """The cohort's folder: the one that was named, or one below it."""

    def note_unread(self, root: Path) -> list[str]:
        """Name the folders with images below the one that was named that are not read, and say how to read them."""
        inside = self.sessions[0].folder.parent
        above = [one for one in self.base.parents if one == root or root in one.parents]
        notes = []
        if above:
            notes.append(f"Only {self.base.relative_to(root)}/ was read, which is laid out as {self.adapter.title}.")
        beside = [folder.name for level in above for folder in self._list_unread(level, root)]
        if beside:
            notes.append(f"Not read: {len(beside)} folders with images beside it ({name_some(beside)}). {REMEDY}")
        other = [folder.name for folder in self._list_unread(inside, root)]
        if other:
            what = f"folders with images that are no sessions of {self.adapter.title}"
            notes.append(f"Not read: {len(other)} {what} ({name_some(other)}). {REMEDY}")
        return notes

    def _list_unread(self, level: Path, root: Path) -> list[Path]:
        """Return the folders with images in a folder, at or below the one that was named, that hold no session."""
        read = {self.base, *self.base.parents}.union(*({one.folder, *one.folder.parents} for one in self.sessions))
        beside = list_folders(level) if level == root or root in level.parents else []
        return [folder for folder in beside if folder not in read and holds_images(folder)]


def recognise_cohort(root: Path, stated: str | None = None) -> Recognised | None:
    """Return the cohort that a folder holds, or one folder in it; None where no adapter fits, so that it is read as any folder.

    Parameters
    ----------
    root
        The folder that a person named.
    stated
        The name of an adapter that a person insists on.

    Raises
    ------
    ConfigError
        The stated adapter finds no session.
    EmptyCohortError
        Several cohorts lie in the folder.
    """
    adapters = [one for one in ADAPTERS if stated in (None, one.name)]
    for adapter in adapters:
        sessions = adapter.find_sessions(root)
        if sessions:
            return Recognised(adapter=adapter, sessions=tuple(sessions), base=root)
    below = list(_find_inside(root, adapters, levels=2)) if adapters else []
    if len(below) == 1:
        return below[0]
    if any(one.adapter is not BIDS for one in below):
        named = ", ".join(f"{one.base.relative_to(root)}/ ({one.adapter.title})" for one in below)
        raise EmptyCohortError(
            f"{root} holds {len(below)} cohorts: {named}; name one of these folders, or read all as plain folders with --layout folder."
        )
    if stated in BY_NAME and BY_NAME[stated] in ADAPTERS:
        adapter = BY_NAME[stated]
        raise ConfigError(
            f"{root} holds no session of {adapter.title} (folders named {adapter.study}); leave out --layout."
        )
    return None


def _find_inside(root: Path, adapters: Sequence[CohortAdapter], levels: int) -> Iterator[Recognised]:
    """Yield the cohorts in the folders of a folder that holds few, down to so many levels; several of BIDS are any folders."""
    folders = [folder for folder in list_folders(root) if folder.name != "derivatives"]
    for folder in folders if len(folders) <= MOST_BESIDE else ():
        if not list_folders(folder):
            continue
        found = next(((one, sessions) for one in adapters if (sessions := one.find_below(folder))), None)
        if found:
            yield Recognised(adapter=found[0], sessions=tuple(found[1]), base=folder)
        elif levels > 1:
            yield from _find_inside(folder, adapters, levels - 1)


def find_preoperative(adapter: CohortAdapter, places: tuple[Path, ...]) -> set[tuple[str, str]]:
    """Return the (person, session) of which a cohort's table of ratings says that they are before the operation."""
    tables = [path for place in places for path in sorted(place.glob(adapter.ratings))] if adapter.ratings else []
    found: set[tuple[str, str]] = set()
    for sheet in read_sheets(tables[0]) if tables else ():
        for _, cells in sheet.rows:
            if any(cell.lower().replace("-", "").startswith("preop") for cell in cells):
                found |= {(one, other) for one in cells for other in cells if one != other}
    return found
