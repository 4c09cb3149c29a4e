"""DICOMDIR: the index of a DICOM medium, taken as a signpost to the files that it lists.

It names patients too; of its records nothing is read but Referenced File ID (0004,1500). The files themselves say
what they are.
"""

from __future__ import annotations

from pathlib import Path

from pydicom.filereader import dcmread

from core.data.formats.dicom import PARSER_ERRORS
from core.data.formats.discovery import find_dicomdirs
from core.data.formats.elements import text_of
from core.data.study import Fault
from core.errors import DataError, DicomError, LimitError
from core.settings import Settings

RECORDS = 0x00041220
"""Directory Record Sequence."""


def read_dicomdir(path: Path, settings: Settings) -> tuple[tuple[Path, ...], tuple[Fault, ...]]:
    """List the files that a DICOMDIR refers to.

    Parameters
    ----------
    path
        The DICOMDIR.
    settings
        The limits ``header_bytes`` (its own size) and ``upload_files``.

    Returns
    -------
    files, faults
        The files that are there, in the order of their records, and a fault for each that is not. Names are
        compared without regard to case, as copies of a medium often change it.

    Raises
    ------
    DicomError
        It cannot be read.
    LimitError
        It is larger, or lists more files, than this installation accepts.
    """
    if path.stat().st_size > settings.header_bytes:
        raise LimitError(f"{path.name} has more than {settings.header_bytes:,} bytes; it is no index of one study.")
    try:
        dataset = dcmread(path, force=True, specific_tags=[RECORDS])
        records = list(dataset[RECORDS].value) if RECORDS in dataset else []
        texts = [text_of(record, "ReferencedFileID") for record in records]
    except PARSER_ERRORS as error:
        raise DicomError(f"{path.name} is not a DICOMDIR that can be read: {error}.") from error
    if not records:
        raise DicomError(f"{path.name} lists no records; hand in the folder of the images instead.")
    names = [tuple(part.strip() for part in text.split("\\")) for text in texts if text]
    if len(names) > settings.upload_files:
        raise LimitError(f"{path.name} lists more than {settings.upload_files:,} files, the limit here.")
    files: list[Path] = []
    faults: list[Fault] = []
    for name in dict.fromkeys(names):
        file = _find(path.parent, name)
        if file is None:
            faults.append(Fault(path="/".join(name)[:200], reason=f"listed in {path.name} but not there"))
        else:
            files.append(file)
    return tuple(files), tuple(faults)


def check_references(folder: Path, root: Path, settings: Settings) -> list[Fault]:
    """Return a fault for each file that a folder's DICOMDIR lists and that is not there.

    Parameters
    ----------
    folder
        Where the DICOMDIR may lie.
    root
        Fault paths are relative to it.
    settings
        The limits.
    """
    faults: list[Fault] = []
    for path in find_dicomdirs(folder):
        place = f"{folder.relative_to(root)}/" if folder != root else ""
        try:
            _, missing = read_dicomdir(path, settings)
        except DataError as error:
            missing = (Fault(path=path.name, reason=str(error)),)
        faults += [Fault(path=place + fault.path, reason=fault.reason) for fault in missing]
    return faults


def _find(folder: Path, name: tuple[str, ...]) -> Path | None:
    """Return the file below `folder`; None where it is not there, or the name leads elsewhere."""
    path = folder
    for part in name:
        if not part or part in (".", "..") or {"/", "\\", "\0"} & set(part):
            return None
        child = path / part
        if not child.exists():
            same = (entry for entry in path.iterdir() if entry.name.lower() == part.lower()) if path.is_dir() else ()
            child = next(iter(same), child)
        path = child
    return path if name and path.is_file() else None
