"""What a cohort consists of: series, studies, the cohort. Plain values, cheap to import, no pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.mri import CLASS_NAMES, MRSequence, Plane

Phase = Literal["TRAIN", "VAL", "TEST"]
"""A part of an ImageFolder tree that was split before it came to us."""

SeriesKind = Literal["dicom", "picture", "nifti"]

ImageSize = tuple[int, int, int]
"""Rows, columns and pages of a loose image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file or folder that could not be used; the rest goes on.

    ``path`` is as the person gave it, relative to the cohort's root where it lies below it.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One acquisition of one study: the files of one volume, or one or more loose images.

    ``files`` are in spatial order for DICOM (by position along the slice normal, in the direction of
    increasing L, P or S patient coordinate) and in natural name order for images.
    """

    study_id: str
    sequence: MRSequence
    series_uid: str
    plane: Plane
    files: Sequence[Path]
    kind: SeriesKind = "dicom"
    rows: int = 0
    columns: int = 0
    spacing_mm: tuple[float, float, float] | None = None
    """Distance between slices, rows and columns; None for images, and where the files do not state it."""
    description: str = ""
    """SeriesDescription (0008,103E), from the allow-list; may be empty. Escape it before it becomes HTML."""
    manufacturer: str = ""
    scanner: str = ""
    """Manufacturer's Model Name (0008,1090), or that of the sidecar."""
    field_strength_tesla: float | None = None
    site: str = ""
    """InstitutionName of a BIDS sidecar; that of a DICOM header is identifying and is not read."""
    sequence_reason: str = ""
    """Why the sequence was recognised as it was ("folder name", "file name", "SeriesDescription", ...)."""
    sequence_confidence: Literal["certain", "likely", "guess", ""] = ""
    """How sure that is (:mod:`core.data.index.recognise`); empty where the sequence is unknown."""
    slice_total: int = 0
    """Slices, which are more than the files where one file holds a volume; 0 where only the pixels tell."""
    identifying: tuple[str, ...] = ()
    """Keywords, never values, of the identifying attributes that the files hold (:mod:`core.data.privacy`)."""
    burned_in: bool = False
    """Whether text may be burned into the pixels."""
    frame_of_reference_uid: str = ""
    """Frame of Reference UID (0020,0052) of all its files, or of the sidecar of NIfTI; empty where none is stated or they differ."""
    slice_axis: int | None = None
    """Which stored axis the slices of a NIfTI volume are stacked along, as its sidecar states it; None where it does not."""
    doubts: tuple[str, ...] = ()
    """What was assumed in reading it because its files do not state it, a clause each: "it is read as axial, ..."."""
    processing: str = ""
    """What was done to it here (:class:`core.data.raw.config.RawConfig`), as its sidecar says; empty for a scan as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesScan:
    """What the files of one study hold."""

    series: tuple[Series, ...]
    faults: tuple[Fault, ...]
    synthetic: bool = False
    """Whether a file says that the phantom wrote it."""
    notes: tuple[str, ...] = ()
    """What was decided on the way, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminationScan:
    """The series of one of the examinations in a folder, and what sets it apart from the others."""

    series: tuple[Series, ...]
    place: tuple[str, ...] = ()
    """Names of folders below the folder, from the top."""
    name: str = ""
    """What the names of its files have in common, where these tell examinations apart."""
    number: int = 0
    """Which of several in one place, by day; 0 where there is one."""
    patient: int = 0
    """Which patient of those in the folder whose Patient ID is known, from 1; 0 where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderScan:
    """What one folder holds: mostly one examination."""

    examinations: tuple[ExaminationScan, ...]
    faults: tuple[Fault, ...] = ()
    refused: tuple[Fault, ...] = ()
    """Files of several people or sessions that could not be told apart."""
    synthetic: bool = False
    """Whether a file says that the phantom wrote it."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One examination of one patient.

    ``study_id`` stays a string (RSNA-MICCAI: five digits, zero-padded). ``person`` groups ids that are one
    human being (:mod:`core.data.index.identity`); splits are made over persons. ``label`` indexes
    ``Cohort.class_names`` and is ``mgmt_value`` in the RSNA-MICCAI cohort; None is unlabelled.
    """

    study_id: str
    person: str
    label: int | None
    series: tuple[Series, ...]
    phase: Phase | None = None
    session: str = ""
    """Which of the person's examinations it is, as the cohort names it; empty where the layout knows none."""
    session_words: str = ""
    """What that name means, where the cohort's documents say it."""
    excluded: str = ""
    """Why it takes no part: a clause such as "MGMT status is 'unknown'". Set only in ``Cohort.excluded``."""
    covariates: Mapping[str, str | float] = field(default_factory=dict, hash=False)
    """What the clinical table says of the person, by the names of an allow-list (:mod:`core.data.clinical.covariates`)."""

    @property
    def mgmt_value(self) -> int | None:
        """1 methylated, 0 unmethylated, None unknown: another name of ``label``."""
        return self.label

    def find(self, sequence: MRSequence) -> Series | None:
        """The study's series of one sequence, or None."""
        return next((series for series in self.series if series.sequence == sequence), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A data set: studies, what their labels mean, and what could not be read.

    ``layout`` says what the folder was recognised as: ``rsna`` (id/sequence/*.dcm), ``phases``
    (TRAIN/VAL/TEST of class folders), ``classes`` (plain class folders), ``flat`` (images with a label
    table). ``positive_class`` indexes ``class_names``: ImageFolder sorts names, so "methylated" would
    silently become class 0; the meaning of a label is therefore carried along, always.
    """

    root: Path
    layout: Literal["rsna", "phases", "classes", "flat", "upload"]
    studies: tuple[Study, ...]
    """Those that take part; a study without a label can still be predicted."""
    excluded: tuple[Study, ...] = ()
    """Those that were found and take no part, each with the reason (``Study.excluded``); without a label."""
    adapter: str = "folder"
    """Which cohort it was recognised as (:mod:`core.data.cohorts`): "rsna-miccai", "upenn-gbm", "bids", "folder", ..."""
    class_names: tuple[str, ...] = CLASS_NAMES
    positive_class: int = 1
    synthetic: bool = False
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    """What was decided on the way and a person should know (one sentence each)."""
    labels_without_study: tuple[str, ...] = ()
    """Ids in the label table that no study here has, sorted."""
    _by_id: Mapping[str, Study] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {study.study_id: study for study in self.studies})

    def __getitem__(self, study_id: str) -> Study:
        return self._by_id[study_id]

    def __len__(self) -> int:
        return len(self.studies)

    def __iter__(self) -> Iterator[Study]:
        return iter(self.studies)

    @property
    def series(self) -> Iterator[Series]:
        """Every series of every study."""
        return (series for study in self.studies for series in study.series)

    @property
    def file_count(self) -> int:
        """How many image files the series hold."""
        return sum(len(series.files) for series in self.series)

    @property
    def labelled(self) -> tuple[Study, ...]:
        """The studies that have a label."""
        return tuple(study for study in self.studies if study.label is not None)

    @property
    def digest(self) -> str:
        """Twelve hex digits over ids, labels and series sizes: the same cohort gives the same digest anywhere.

        Independent of where the cohort lies and of the order in which it was found.
        """
        lines = sorted(
            f"{study.study_id}|{study.label}|{series.sequence}|{series.series_uid}|{len(series.files)}"
            for study in self.studies
            for series in study.series
        )
        return hashlib.sha256("\n".join([*self.class_names, *lines]).encode()).hexdigest()[:12]

    def label_counts(self) -> dict[int, int]:
        """Number of labelled studies per class index; every class has an entry."""
        counts = Counter(study.label for study in self.labelled)
        return {index: counts.get(index, 0) for index in range(len(self.class_names))}
