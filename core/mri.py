"""The field's own words: MR sequences, anatomical planes, and what the label means."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MRSequence(StrEnum):
    """The four sequences of the RSNA-MICCAI cohort, named as its folders are."""

    FLAIR = "FLAIR"
    T1W = "T1w"
    T1WCE = "T1wCE"
    T2W = "T2w"
    UNKNOWN = "unknown"
    """An image or a series that does not say what it is; never guessed."""


class Plane(StrEnum):
    """The anatomical plane in which a series was acquired."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    UNKNOWN = "unknown"
    """An image without geometry."""


PLANE_AXES: dict[Plane, int] = {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}
"""The patient axis along which a plane's slices are stacked: L, P or S."""


def plane_of(normal: NDArray[np.float64]) -> Plane:
    """Return the anatomical plane whose axis is nearest to a slice normal (LPS), of either sign."""
    axis = max(range(3), key=lambda index: float(abs(normal[index])))
    return next(plane for plane, index in PLANE_AXES.items() if index == axis)


CLASS_NAMES: tuple[str, str] = ("unmethylated", "methylated")
"""Names of ``MGMT_value`` 0 and 1: 1 means that the MGMT promoter *is* methylated."""

READER_VERSION = 2
"""How files are read today that leave something open (``PrepConfig.reader_version``)."""
