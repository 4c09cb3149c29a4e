"""Tumour masks for a table's examples: those of a synthetic cohort, or segmentations beside the scans."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.cohorts.registry import BY_NAME
from core.data.formats.nifti import read_nifti
from core.data.prepare.cache import load_prepared
from core.data.select import select_sources
from core.data.study import Cohort, Study
from core.data.volume import Volume, find_turn
from core.data.voxels import Voxels
from core.dataset.slice_table import SliceTable
from core.errors import DataError
from core.mri import MRSequence
from core.phantom.truth import draw_mask, has_truth, read_truth
from core.progress import Progress, silent
from core.settings import Settings

SEGMENTATION = re.compile(r"(^|[-_.])seg([-_.]|$)|(^|[-_.])mask([-_.]|$)", re.IGNORECASE)
"""Names of segmentations, as BraTS has them: BraTS2021_00000_seg.nii.gz, BraTS-GLI-00000-000-seg.nii.gz."""


def load_masks(
    cohort: Cohort,
    table: SliceTable,
    rows: NDArray[np.int64],
    prep: PrepConfig,
    settings: Settings,
    progress: Progress = silent,
) -> dict[int, NDArray[np.bool_]]:
    """Draw the tumour into examples that are volumes of a whole study.

    Parameters
    ----------
    cohort, table, prep
        What was prepared, and how (``prep.combines``).
    rows
        Row numbers of the examples.
    settings
        The limits, and where the cache lies.
    progress
        Called per example.

    Returns
    -------
    dict
        Row number -> bool (depth, size, size); a study without a mask is left out.

    Raises
    ------
    DataError
        None of the studies has a mask, or one is damaged.
    """
    masks: dict[int, NDArray[np.bool_]] = {}
    for done, row in enumerate(rows, start=1):
        study = cohort[str(table.rows["study_id"].iloc[row])]
        mask = find_mask(cohort, study, settings)
        if mask is not None:
            (source,) = select_sources(study, prep)
            masks[int(row)] = draw_mask(mask, source, load_prepared(source, prep, settings), prep, settings)[0]
        progress(done, len(rows), f"mask of {study.study_id}")
    if not masks:
        raise DataError(
            f"None of {len(rows)} studies in {cohort.root} has a mask of its tumour, and the first stage learns from masks. "
            "Put a segmentation (…_seg.nii.gz, labels as in BraTS) beside each study's scans, use a synthetic cohort, or "
            "choose another architecture."
        )
    return masks


def find_mask(cohort: Cohort, study: Study, settings: Settings) -> Volume | None:
    """Return a study's tumour mask: 1.0 inside, 0.0 elsewhere; None where there is none.

    It is the phantom's truth, a segmentation by the names of the cohort's adapter, or one beside the scans by BraTS' names.

    Raises
    ------
    DataError
        The mask is damaged.
    """
    if has_truth(cohort.root):
        return read_truth(cohort.root, study.study_id).tumour
    adapter = BY_NAME[cohort.adapter]
    folders = sorted({file.parent for series in study.series for file in series.files})
    found = adapter.find_masks(study.study_id, folders) or [
        path for folder in folders for path in sorted(folder.glob("*.nii*")) if SEGMENTATION.search(_stem(path))
    ]
    if not found:
        return None
    array, header = read_nifti(found[0], settings)
    turn = find_turn(header.affine, array.shape)
    tumour = np.isin(np.rint(turn.apply(array)).astype(np.int64), adapter.tumour_labels).astype(np.float32)
    return Volume(
        voxels=Voxels(tumour),
        affine=turn.affine,
        sequence=MRSequence.UNKNOWN,
        plane=header.plane,
        files=(),
        in_mm=header.in_mm,
    )


def _stem(path: Path) -> str:
    return path.name.split(".nii")[0]
