"""Images in formats that are not read, so that whoever has nothing else is named."""

from __future__ import annotations

from pathlib import Path

from core.data.formats.discovery import walk_files

OTHER_FORMATS = frozenset(
    (".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".par", ".head", ".brik", ".npy", ".npz", ".mnc", ".img", ".hdr")
)
"""MetaImage, NRRD, FreeSurfer, Philips, AFNI, NumPy, MINC and Analyze."""
PACKED_TWICE = ".nii.gz.gz"


def describe_formats(folder: Path) -> str:
    """Return which files below a folder are images that are not read, and the remedy; empty where there are none."""
    names = [path.name.lower().removesuffix(".gz") for path in walk_files(folder)]
    suffixes = {Path(name).suffix for name in names} & OTHER_FORMATS
    suffixes |= {PACKED_TWICE for name in names if f"{name}.gz".endswith(PACKED_TWICE)}
    return f"{', '.join(sorted(suffixes))} files are not read; convert them to NIfTI (.nii.gz)" if suffixes else ""
