"""The counterfactual of a synthetic study: the same head, the same noise, another biomarker.

What differs between the two is what the biomarker drives, and so the only thing in the image that says anything of
the label: the truth of a map, pixel by pixel. No real data have it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core.data.cohort import scan_cohort
from core.data.prepare.examples import PreparedSeries
from core.data.study import Study
from core.data.synthetic import SYNTHETIC_FILE
from core.errors import ConfigError, StorageError
from core.files import read_document
from core.phantom.cohort import plan_cohort
from core.phantom.config import PhantomConfig
from core.phantom.study import SAMPLE_SIGNAL, write_study
from core.settings import Settings

CHANGE = 24
"""Grey levels of 255 by which a pixel must differ to count as changed: more than rounding and a window that moved."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counterfactual:
    """A study that differs from another in its biomarker alone."""

    study: Study
    z: float
    """Its biomarker."""
    original_z: float


def make_counterfactual(root: Path, study_id: str, settings: Settings) -> Counterfactual | None:
    """Draw the counterfactual of a study of a synthetic cohort, or find it where it was drawn before.

    Its biomarker is the mean of a class at signal 3 (0 or 3), the one that lies further away.

    Parameters
    ----------
    root
        The cohort's folder, or its ``train`` folder.
    study_id
        Whose.
    settings
        In whose cache it is kept.

    Returns
    -------
    Counterfactual or None
        None where the study cannot be drawn again: it is not of a synthetic cohort, or faults were planted in it.

    Raises
    ------
    StorageError
        The cache cannot be written.
    """
    config = _read_config(root)
    plan = next((plan for plan in plan_cohort(config) if plan.study_id == study_id), None) if config else None
    if config is None or plan is None or config.faults:
        return None
    z = max((0.0, SAMPLE_SIGNAL), key=lambda value: abs(value - plan.z))
    name = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
    folder = settings.cache / "counterfactual" / name / study_id
    if not (folder / study_id).is_dir():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock")):
                if not (folder / study_id).is_dir():  # another process may have drawn it meanwhile
                    write_study(folder, replace(plan, z=z))
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be written ({error.strerror or error}); free space, or move MGMT_LAB_HOME."
            ) from error
    (study,) = scan_cohort(folder, jobs=1, settings=settings)
    return Counterfactual(study=study, z=z, original_z=plan.z)


def find_changes(prepared: PreparedSeries, other: PreparedSeries) -> NDArray[np.bool_] | None:
    """Where two prepared forms of one head differ.

    Parameters
    ----------
    prepared, other
        Of a study and of its counterfactual, prepared alike.

    Returns
    -------
    ndarray or None
        bool (examples, size, size), of volumes (examples, depth, size, size): where any channel differs by at least
        :data:`CHANGE`. None where the two cannot be laid over each other: another box, or other slices.
    """
    if prepared.frames != other.frames or not np.array_equal(prepared.slice_index, other.slice_index):
        return None
    changed = np.abs(prepared.pixels.astype(np.int16) - other.pixels) >= CHANGE
    channels = changed.ndim == (5 if prepared.layers is not None else 4)
    return changed.any(axis=1) if channels else changed


def _read_config(root: Path) -> PhantomConfig | None:
    """How a synthetic cohort was made; None where that is not written down, or for another program."""
    for folder in (root, root.parent):
        try:
            return PhantomConfig.model_validate(read_document(folder / SYNTHETIC_FILE)["config"])
        except (OSError, ValueError, KeyError, TypeError, ConfigError):
            continue
    return None
