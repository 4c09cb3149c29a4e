"""Errors that a user can correct, as one small hierarchy.

Every message names the offender, what was expected, what was found, and the remedy, in one line. The
command line prints it and exits with 2; a page shows it in one ``st.error``. Anything that is *not* an
:class:`MGMTLabError` is a bug of ours and is allowed to be loud.
"""

from __future__ import annotations


class MGMTLabError(Exception):
    """The root: an error that a user can correct, stated in one line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class ConfigError(MGMTLabError):
    """A setting, a preset or a ``--set`` that does not exist or does not fit."""


class DataError(MGMTLabError):
    """A file, folder or series that cannot be used."""


class DicomError(DataError):
    """A file that is not DICOM, or whose header cannot be used."""


class NoPixelsError(DicomError):
    """A DICOM object without pixel data."""


class NotMRError(DicomError):
    """A DICOM object of another modality than MR."""


class UnsupportedSyntaxError(DicomError):
    """A transfer syntax that no permitted codec reads; the message names it."""


class MixedSeriesError(DataError):
    """Files that do not form one volume: orientations, sizes or positions disagree."""


class FrameOfReferenceError(DataError):
    """Series that are to share one grid and state different frames of reference."""


class RawStepError(DataError):
    """A step of the processing from raw whose check failed, so that the study is refused."""


class LimitError(DataError):
    """Something larger than this installation accepts (see :mod:`core.settings`)."""


class ArchiveError(DataError):
    """A zip or gzip that is damaged, climbs out of its folder, or inflates without bound."""


class EmptyCohortError(DataError):
    """A folder in which no study was found."""


class LabelError(DataError):
    """A label table with a missing column, a bad id, or a label that is neither 0 nor 1."""


class SequenceError(DataError):
    """A sequence that a checkpoint has never seen; it is refused, never substituted."""


class SplitError(DataError):
    """A split that cannot be made: too few patients, or a class missing from a part."""


class SplitOverlapError(SplitError):
    """One patient on both sides of a split that claims to be by patient."""


class OverlapError(DataError):
    """Persons of one cohort are in another, or may be, and a figure would count them as strangers."""


class StorageError(MGMTLabError):
    """The disk is full, or a folder cannot be written."""


class WeightsUnavailableError(MGMTLabError):
    """Pretrained weights that cannot be fetched or do not fit; the message names the ways out."""


class CheckpointError(MGMTLabError):
    """A checkpoint that is damaged, of another schema, or missing."""


class RunError(MGMTLabError):
    """A run that does not exist, is damaged, or cannot do what was asked."""


class RunBusyError(RunError):
    """Another process is working on this run."""


class LostProcessError(RunError):
    """A process of a distributed training has ended."""


class SealError(MGMTLabError):
    """A plan that cannot be sealed, or a seal that was altered."""


class EvaluationError(MGMTLabError):
    """A figure that cannot be computed from the given data."""


class HostedModeError(MGMTLabError):
    """Something that a hosted demo does not offer to its visitors."""
