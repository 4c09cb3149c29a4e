"""The known tumour of a synthetic patient, drawn into prepared images: the reference for maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from core.config import PrepConfig
from core.data.prepare.common_grid import Grid, resample_to, study_grid
from core.data.prepare.examples import ImageFrame, PreparedSeries
from core.data.study import Series
from core.data.volume import Volume, read_volumes
from core.data.voxels import Voxels
from core.errors import DataError
from core.mri import MRSequence, Plane
from core.settings import Settings

TRUTH_FILE = "truth.csv"
"""Biomarker and place of the tumour of each synthetic study."""
TISSUE = (1, 4)
"""Labels of the BraTS convention that form the tumour itself, whose inside the biomarker drives: necrosis and ring."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What is known of one synthetic patient."""

    study_id: str
    mgmt_value: int
    z: float
    """The latent biomarker."""
    tumour: Volume
    """1.0 in the tumour (core and ring, without oedema), 0.0 elsewhere; cut to the tumour's box."""


def has_truth(root: Path) -> bool:
    """Whether a cohort's folder (or the one above it) holds the tumours' places."""
    return _home(root) is not None


def read_truth(root: Path, study_id: str) -> Truth:
    """Read what a synthetic cohort knows of one of its patients.

    Raises
    ------
    DataError
        The cohort has no truth.csv, the study does not stand in it, or its mask is damaged.
    """
    home = _home(root)
    if home is None:
        raise DataError(f"{root} has no {TRUTH_FILE}: only a synthetic cohort knows where the tumours are.")
    table = pd.read_csv(home / TRUTH_FILE, dtype={"study_id": str})
    rows = table[table["study_id"] == study_id].to_dict("records")
    if not rows:
        raise DataError(f"{home / TRUTH_FILE} says nothing of study {study_id}.")
    row = rows[0]
    return Truth(
        study_id=study_id,
        mgmt_value=int(row["mgmt_value"]),
        z=float(row["z"]),
        tumour=_read_mask(home / str(row["mask_file"])),
    )


def draw_truth(
    truth: Truth, series: Series, prepared: PreparedSeries, settings: Settings | None = None
) -> NDArray[np.bool_]:
    """Draw the tumour into the images of a series that was prepared in its own planes; see :func:`draw_mask`."""
    return draw_mask(truth.tumour, (series,), prepared, PrepConfig(), settings)


def draw_mask(
    mask: Volume,
    source: Sequence[Series],
    prepared: PreparedSeries,
    prep: PrepConfig,
    settings: Settings | None = None,
) -> NDArray[np.bool_]:
    """Draw a mask into the examples of what was prepared.

    Parameters
    ----------
    mask
        1.0 in the tumour, 0.0 elsewhere, with its place in the patient.
    source, prepared, prep
        The series, what was prepared of them, and how; they are read once more for their place in the patient.
    settings
        The limits; this installation's by default.

    Returns
    -------
    ndarray
        bool, (examples, size, size) or, of volumes, (examples, depth, size, size): where the example shows the tumour.

    Raises
    ------
    DataError
        The series cannot be read, or have no place in the patient.
    """
    volumes = list(read_volumes(source, settings)[0].values())
    grid = Grid(shape=volumes[0].voxels.shape, affine=volumes[0].affine)
    if prep.grid_mm:
        grid = study_grid(volumes, prep, settings)
    drawn = resample_to(mask, grid).array
    size_px = prepared.pixels.shape[-1]
    layers = prepared.slice_index if prepared.layers is None else prepared.layers
    empty = np.zeros((size_px, size_px), bool)
    examples = [
        np.stack([empty if index < 0 else _draw(drawn[index], frame, size_px) for index in np.atleast_1d(indices)])
        for indices, frame in zip(layers, prepared.frames, strict=True)
    ]
    stacked = np.stack(examples)
    return stacked[:, 0] if prepared.layers is None else stacked


def _draw(mask: NDArray[np.float32], frame: ImageFrame, size_px: int) -> NDArray[np.bool_]:
    """Lay one slice of a mask into its image."""
    inner = np.ascontiguousarray(mask[frame.box])
    shape = (frame.right - frame.left, frame.bottom - frame.top)
    image = np.zeros((size_px, size_px), bool)
    resized = np.asarray(Image.fromarray(inner).resize(shape, Image.Resampling.BILINEAR))
    image[frame.top : frame.bottom, frame.left : frame.right] = resized > 0.5
    return image


def _read_mask(path: Path) -> Volume:
    try:
        with np.load(path, allow_pickle=False) as known:
            labels, affine = known["mask"], known["affine"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a mask ({type(error).__name__}); make the cohort again.") from error
    # One voxel of nothing around it: what lies outside the box is no tumour.
    shifted = affine.copy()
    shifted[:3, 3] -= affine[:3, :3].sum(axis=1)
    return Volume(
        voxels=Voxels(np.pad(np.isin(labels, TISSUE), 1).astype(np.float32)),
        affine=shifted,
        sequence=MRSequence.UNKNOWN,
        plane=Plane.AXIAL,
        files=(),
    )


def _home(root: Path) -> Path | None:
    return next((folder for folder in (root, root.parent) if (folder / TRUTH_FILE).is_file()), None)
