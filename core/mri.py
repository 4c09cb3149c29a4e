"""The field's own words: MR sequences, anatomical planes, and what the label means."""

from __future__ import annotations

from enum import StrEnum


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


CLASS_NAMES: tuple[str, str] = ("unmethylated", "methylated")
"""Names of ``MGMT_value`` 0 and 1: 1 means that the MGMT promoter *is* methylated."""

READER_VERSION = 2
"""How files are read today that leave something open (``PrepConfig.reader_version``)."""
