"""Radiomics as a baseline: the features of the tumour in one sequence, where masks of it are there.

The features are those of mirp (Zwanenburg et al. 2024, doi 10.21105/joss.06413), which follows the Image Biomarker
Standardisation Initiative; it is an extra under the EUPL-1.2 (requirements-radiomics.txt). Image and mask are resampled to
1 mm around the tumour, grey values are z-scores of what is above zero, and 32 bins hold those inside the mask. mirp's
defaults hold elsewhere; no filtered images are measured.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.prepare.common_grid import AXIAL, Grid, resample_to
from core.data.select import select_sources
from core.data.study import Cohort, Study
from core.data.volume import Volume, read_volume
from core.dataset.masks import find_mask
from core.errors import ConfigError, DataError, EvaluationError
from core.mri import MRSequence
from core.progress import Progress, silent
from core.settings import Settings

INSTALL = "pip install -r requirements-radiomics.txt (mirp, EUPL-1.2; 1.5 GB with ITK)"
BINS = 32
MARGIN_MM = 5
FEWEST_VOXELS = 64
"""Of 1 cubic millimetre inside the mask: of fewer, textures mean nothing."""
PREFIX = "radiomics "


def measure_radiomics(
    cohort: Cohort, sequence: MRSequence, settings: Settings, progress: Progress = silent
) -> tuple[pd.DataFrame, list[str]]:
    """Return the features of each labelled person's tumour, and who has none and why.

    Returns
    -------
    DataFrame
        A row a person, by his id, and a column a feature; what is the same in all is left out.
    list of str
        A sentence each.

    Raises
    ------
    ConfigError
        mirp is not installed.
    EvaluationError
        Nobody has a mask and the sequence.
    """
    if find_spec("mirp") is None:
        raise ConfigError(f"Radiomics need mirp, which is not installed: {INSTALL}.")
    studies = {study.person: study for study in sorted(cohort.labelled, key=lambda one: one.study_id)}
    found: dict[str, dict[str, float]] = {}
    notes = []
    for number, (person, study) in enumerate(studies.items()):
        progress(number, len(studies), f"radiomics of {study.study_id}")
        try:
            found[person] = _measure(*_lay_around_tumour(cohort, study, sequence, settings))
        except DataError as error:
            notes.append(f"No radiomics of {study.study_id}: {error}")
    progress(len(studies), len(studies), "")
    if not found:
        raise EvaluationError(
            f"None of {len(studies)} persons has a mask of the tumour and {sequence}; {notes[0] if notes else 'none is labelled.'}"
        )
    frame = pd.DataFrame.from_dict(found, orient="index").astype(float).add_prefix(PREFIX)
    return frame.loc[:, frame.nunique() > 1], notes


def _lay_around_tumour(
    cohort: Cohort, study: Study, sequence: MRSequence, settings: Settings
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The image in z-scores and the mask, both on an axial grid of 1 mm around the tumour."""
    mask = find_mask(cohort, study, settings)
    sources = select_sources(study, PrepConfig(sequences=(sequence,)))
    if mask is None or not sources:
        raise DataError("it has no mask of the tumour." if mask is None else f"it has no {sequence}.")
    volume, _ = read_volume(sources[0][0], settings)
    head = volume.array[volume.array > 0]
    grid = _surround(mask)
    inside = resample_to(mask, grid).array >= 0.5
    if len(head) == 0 or np.count_nonzero(inside) < FEWEST_VOXELS:
        raise DataError(f"its mask holds {np.count_nonzero(inside)} cubic millimetres; {FEWEST_VOXELS} are needed.")
    image = (resample_to(volume, grid).array - head.mean()) / (head.std() or 1)
    return image.astype(np.float32), inside.astype(np.uint8)


def _surround(mask: Volume) -> Grid:
    """Return an axial grid of 1 mm that holds a mask and a margin."""
    index = np.argwhere(mask.array >= 0.5)
    if len(index) == 0:
        raise DataError("its mask is empty.")
    places = index @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    low, high = places.min(axis=0) - MARGIN_MM, places.max(axis=0) + MARGIN_MM
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = AXIAL, low
    left, posterior, superior = np.ceil(high - low).astype(int) + 1
    return Grid(shape=(int(superior), int(posterior), int(left)), affine=affine)


def _measure(image: NDArray[np.float32], mask: NDArray[np.uint8]) -> dict[str, float]:
    from mirp import extract_features

    # mirp writes its log to standard output unless somebody listens already.
    logging.getLogger().addHandler(logging.NullHandler())
    (table,) = extract_features(
        image=image, mask=mask, image_modality="mr", base_discretisation_method="fixed_bin_number", base_discretisation_n_bins=BINS,
        write_features=False, export_features=True,
    )  # fmt: skip
    of_tumour = [name for name in table if not str(name).startswith(("sample_", "image_"))]
    return {name: float(table[name].iloc[0]) for name in of_tumour}
