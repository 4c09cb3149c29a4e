"""Write prepared images as an ImageFolder tree, as the paper and torchvision read them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from PIL import Image

from core.dataset.slice_table import SliceTable
from core.dataset.split import PARTS, Split
from core.errors import DataError
from core.files import storage_errors
from core.progress import Progress, silent

PATIENT_PATTERN = r"^(.+)_[^_]+_\d+\.png$"
"""Finds the patient in the file names that are written here, whatever the ids look like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What was written where."""

    folder: Path
    images: dict[str, dict[str, int]]
    """Phase (TRAIN, VAL, TEST) -> class name -> number of images."""
    unlabelled_studies: int
    """Studies left out because they have no label."""
    leaky: bool
    """Whether one person's images may stand in two phases."""
    patient_pattern: str | None
    """What to give as ``--patient-pattern`` to read the tree back; None where the default, leading digits, does."""


def export_imagefolder(table: SliceTable, split: Split, folder: Path, *, progress: Progress = silent) -> ExportSummary:
    """Write ``PHASE/class name/patient_sequence_slice.png``, one 8-bit grey PNG per prepared image.

    The patient's id is part of each file name, so that a split by patient stays possible. A second series of
    one sequence is written as ``patient_sequence-2_slice.png``. The folder appears when it is complete.

    Parameters
    ----------
    table, split
        The prepared cohort, and who is in which phase. Unlabelled studies are left out.
    folder
        Must not exist, or be empty.
    progress
        Called per image; may raise to cancel, and nothing is left behind.

    Raises
    ------
    DataError
        The folder is not empty, or the split names nobody in this cohort.
    StorageError
        The disk is full or the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty, and nothing in it is overwritten; name a new folder, or empty it.")
    rows = {part.upper(): split.indices(table, part) for part in PARTS}
    total = sum(len(indices) for indices in rows.values())
    if not total:
        raise DataError(
            "The split names no image of this cohort, so there is nothing to export; make the split from this cohort."
        )
    beside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    written: dict[str, dict[str, int]] = {}
    with storage_errors(folder):
        try:
            for phase, indices in rows.items():
                if len(indices):
                    written[phase] = dict.fromkeys(table.class_names, 0)
                for index in indices:
                    written[phase][_write_image(table, int(index), beside / phase)] += 1
                    progress(sum(sum(counts.values()) for counts in written.values()), total, phase)
            beside.replace(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    unlabelled = table.rows.loc[table.rows["label"] < 0, "study_id"].nunique()
    labelled = table.rows.loc[table.rows["label"] >= 0, "study_id"]
    return ExportSummary(
        folder=folder,
        images=written,
        unlabelled_studies=int(unlabelled),
        leaky=split.leaky,
        patient_pattern=None if labelled.str.fullmatch(r"\d+(-TRAIN|-VAL|-TEST)?").all() else PATIENT_PATTERN,
    )


def _write_image(table: SliceTable, index: int, phase: Path) -> str:
    """Write one image below its phase's folder; return the name of its class."""
    row = table.rows.iloc[index]
    series_number = int(row["key"].rsplit("|", 2)[1])
    sequence = row["sequence"] if not series_number else f"{row['sequence']}-{series_number + 1}"
    class_name = table.class_names[row["label"]]
    path = phase / class_name / f"{row['study_id']}_{sequence}_{row['slice_index']}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(table.arrays[row["array"]][row["offset"]]).save(path, compress_level=1)
    return class_name
