"""Errors that a user can correct, as one small hierarchy.

Every message names the offender, what was expected, what was found, and the remedy, in one line. The
command line prints it and exits with 2; a page shows it in one ``st.error``. Anything that is *not* an
:class:`MGMTLabError` is a bug of ours and is allowed to be loud.
"""

from __future__ import annotations

import errno

PASSING = "This may be a fault of the moment: try again."
"""Ends the message of a :class:`DataError` that came of memory or a disk that gave out; see :func:`may_pass`."""
OF_THE_MOMENT = frozenset(
    {errno.EIO, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ENOSPC}
    | {errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT, errno.ESTALE}
)
"""Of an OSError: the file itself may be sound."""
REFUSALS = {
    "no_image": "{name} is not a DICOM image: it has neither Modality, SOP Class UID nor pixels.",
    "other_modality": "{name} has Modality {modality}; only MR images can be used here.",
    "no_pixels": "{name} is an MR object without pixel data; hand in the images of the series.",
    "colour": "{name} is a colour image ({found}); MR signal is grey.",
    "cut_off": "{name} is cut off: {claimed} pixels need {expected} bytes, {available} are there; copy it again.",
    "number": "{keyword} is '{found}'; expected {expected}.",
    "frame_count": "NumberOfFrames is {frames}; expected 1 or more.",
    "bits": "BitsAllocated is {allocated}; 8, 16 and 32 bits a pixel can be read.",
    "bits_misfit": "RescaleSlope {slope}, BitsAllocated {allocated}, BitsStored {stored}, HighBit {high_bit} do not fit.",
    "directions": "ImageOrientationPatient ({values}) is not two perpendicular unit vectors.",
    "frames_unplaced": "{name} holds {frames} frames and does not say where they lie (it has no functional groups); convert it "
    "to enhanced MR or to one file per slice.",
    "frames_miscounted": "{name} holds {frames} frames and describes {described}; it is damaged, export it again.",
    "mosaic": "{name} is a Siemens mosaic (many slices tiled into one image), not an anatomical slice; hand in the structural "
    "series.",
    "no_volume": "The {count} files of {place} do not form one volume, which has one size and one orientation: found {found}. "
    "Hand in one series.",
    "repeated": "The {count} images of {place} lie at only {positions} positions, up to {most} at one: {what}. Hand in one image "
    "per position.",
    "uneven": "The slices of {place} are unevenly spaced, from {least} to {most} mm apart without a common step: several series "
    "in one, or many slices missing. Hand in one complete series.",
    "not_nifti": "{name} is not a NIfTI image.",
    "dimensions": "{name} has {count} dimensions ({shape}): a time series, not one volume.",
    "shape": "{name} has the shape ({shape}); expected a three-dimensional image.",
    "affine": "{name} has no usable affine; save it again with its orientation.",
    "named_labels": "{name} is a segmentation by its name, not a scan.",
    "label_map": "{name} is a label map by its voxels or its intent code, not a scan.",
    "blank": "All {count} slices of the {sequence} series ({file}) are blank; a head was expected. Leave this series out, or "
    "hand in another.",
    "loose_images": "Study {study}: loose images have no place in the patient, so they form no volume and have no neighbours. "
    "Hand in DICOM or NIfTI, or choose form 'slice' with channels 'grey'.",
    "unplaced": "files do not state how large a voxel is and how it lies in the patient, without which nothing can be laid on a "
    "common grid; export the scan again with its geometry, or prepare each series in its own planes (grid_mm=0)",
    "frames_of_reference": "Study {study}: its series lie in different frames of reference ({found}), so a common grid would "
    "lay different places over each other. Register them (prepare --from raw does it), or, where you know that they are "
    "registered, train with --set frames=assume_registered.",
    "other_sequences": "Study {study}: checkpoint '{checkpoint}' was trained on {known}, and the study has {found}. {remedy}",
    "unknown_sequence": "Name the sequence of the scan if you know it (--sequence on the command line), or hand in one that says what "
    "it is.",
    "hand_in_others": "Hand in one of those sequences, or train a checkpoint on the sequence at hand.",
    "nothing_found": "No scan was found in {names}: hand in DICOM, NIfTI, PNG or JPEG files, or a zip of them.",
    "nothing_readable": "No scan in {names} can be read: {reason}{more}",
}
"""Words in which a scan is refused, by core and by the page in the browser alike."""


def refusal(key: str, **values: object) -> str:
    """Return one of the :data:`REFUSALS`, filled in."""
    return REFUSALS[key].format(**values)


def may_pass(reason: str) -> bool:
    """Whether what was said of a file may be otherwise the next time, though the file is the same: no cache keeps that."""
    return PASSING in reason


class MGMTLabError(Exception):
    """The root: an error that a user can correct, stated in one line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class ConfigError(MGMTLabError):
    """A setting, a preset or a ``--set`` that does not exist or does not fit."""


class DataError(MGMTLabError):
    """A file, folder or series that cannot be used; the message says where that may be for the moment only."""

    def __str__(self) -> str:
        words, cause = super().__str__(), self.__cause__
        while cause and not isinstance(cause, MemoryError) and getattr(cause, "errno", None) not in OF_THE_MOMENT:
            cause = cause.__cause__
        return f"{words} {PASSING}" if cause and not may_pass(words) else words


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


class DocumentError(MGMTLabError, ValueError):
    """A stored document or table that is damaged: no JSON, CSV or parquet, nested too deeply, or too large."""


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


class ServerError(MGMTLabError):
    """A DICOMweb server that cannot be reached, refuses, or answers what is no answer."""


class HostedModeError(MGMTLabError):
    """Something that a hosted demo does not offer to its visitors."""
