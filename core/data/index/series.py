"""From the files of one study to its series, by headers alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.formats.acquisition import acquisition_of_sidecar, load_sidecar, scanner_of_sidecar
from core.data.formats.dicom import InstanceHeader
from core.data.formats.discovery import detect_kind, natural_key, relative_to
from core.data.formats.images import read_image_size
from core.data.formats.nifti import find_stated_slices, is_label_map, read_nifti_header
from core.data.formats.series_reader import SeriesReader
from core.data.index.assign import series_order
from core.data.index.recognise import Recognition, SeriesEvidence, recognise_sequence, recognise_study
from core.data.index.separate import separate, set_aside
from core.data.index.series_groups import group_headers
from core.data.index.stack import Stack, arrange
from core.data.names.timepoints import drop_timepoint, word_of
from core.data.sequences.names import read_name
from core.data.study import Fault, ImageSize, Series, SeriesScan
from core.errors import DataError, refusal
from core.mri import MRSequence, Plane
from core.settings import Settings

WERE_SPLIT = "and were split."
"""The end of the note on a folder whose files are several series."""
NO_PIXEL_SPACING = (
    "it states no Pixel Spacing (0028,0030), so its pixels count as square and nothing is measured in millimetres"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScan:
    """Files by what they are; each was opened, and those that cannot be read are faults."""

    headers: tuple[InstanceHeader, ...]
    niftis: tuple[Path, ...]
    images: dict[Path, ImageSize]
    """Each with its rows, columns and pages."""
    faults: tuple[Fault, ...]
    timepoint: str = ""
    """A word in their names, and the name of a folder, that is no sequence: T1 or T2 where these are sessions."""


def scan_series(
    study_id: str, files: Iterable[Path], root: Path, settings: Settings, sequence: MRSequence | None = None
) -> SeriesScan:
    """Read the headers of one study's files and group them; see :func:`scan_files` and :func:`build_series`."""
    return build_series(study_id, scan_files(files, root, settings), root, settings, sequence)


def scan_files(files: Iterable[Path], root: Path, settings: Settings) -> FileScan:
    """Read the headers of DICOM files and images; other files are passed over. Fault paths are relative to `root`."""
    headers: list[InstanceHeader] = []
    niftis: list[Path] = []
    images: dict[Path, ImageSize] = {}
    faults: list[Fault] = []
    reader = SeriesReader(settings)
    for path in files:
        matched = reader.match_header(path)
        if matched is not None:
            headers.append(matched)
            continue
        try:
            kind = detect_kind(path)
            if kind == "dicom":
                headers += reader.read_headers(path)
            elif kind == "nifti":
                niftis.append(path)
            elif kind == "picture":
                images[path] = read_image_size(path, settings)
            elif kind == "archive":
                raise DataError(f"{path.name} is an archive among the scans; unpack it.")
            elif kind == "packed":
                raise DataError(f"{path.name} is a packed scan among the scans; unpack it.")
        except DataError as error:
            faults.append(Fault(path=relative_to(path, root), reason=str(error)))
    return FileScan(headers=tuple(headers), niftis=tuple(niftis), images=images, faults=tuple(faults))


def build_series(
    study_id: str, files: FileScan, root: Path, settings: Settings, sequence: MRSequence | None = None
) -> SeriesScan:
    """Group one study's files into series.

    DICOM files are grouped by :func:`core.data.index.series_groups.group_headers`, images by the sequence that their
    names state; a NIfTI file is a series.

    Parameters
    ----------
    study_id
        Which study they belong to.
    files
        What :func:`scan_files` found.
    root
        Fault paths are relative to it.
    settings
        The limits.
    sequence
        What a series is that does not say so itself.

    Returns
    -------
    SeriesScan
        Series in the order of the four sequences, of each the one to be used first
        (:func:`core.data.index.assign.series_order`). A series that forms no volume is a fault.
    """
    parts = _dicom_series(study_id, files.headers, root)
    time = files.timepoint
    for path in files.niftis:
        try:
            parts.series.append(_nifti_series(study_id, path, _read_sidecar_of(path, parts.faults, root), settings))
        except DataError as error:
            parts.faults.append(Fault(path=relative_to(path, root), reason=str(error)))
    found = recognise_study([_without_timepoint(evidence, one.files[0], time) for one, evidence in parts.series])
    recognised = [
        _recognised(one, _or_stated(recognition, sequence))
        for (one, _), recognition in zip(parts.series, found, strict=True)
    ]
    recognised += image_series(study_id, files.images, sequence, time)
    return SeriesScan(
        series=tuple(sorted(recognised, key=series_order)),
        faults=(*files.faults, *parts.faults),
        synthetic=any(header.synthetic for header in files.headers)
        or any(one.acquisition is not None and one.acquisition.synthetic for _, one in parts.series),
        notes=tuple(parts.notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The series of one study, not yet recognised, each with what is known of its sequence."""

    series: list[tuple[Series, SeriesEvidence]]
    faults: list[Fault]
    notes: list[str]


def _dicom_series(study_id: str, headers: Iterable[InstanceHeader], root: Path) -> _Parts:
    found = _Parts(series=[], faults=[], notes=[])
    for folder, group in group_headers(headers):
        aside = set_aside(group, folder.name)
        if aside:
            found.faults.append(Fault(path=relative_to(folder, root), reason=aside))
            continue
        parts = separate(group)
        if parts.split_by:
            found.notes.append(
                f"The {len(group)} files of {relative_to(folder, root)} are {len(parts.groups)} series by their "
                f"{parts.split_by}, {WERE_SPLIT}"
            )
        for number, part in enumerate(parts.groups):
            try:
                stack = arrange(part)
            except DataError as error:
                found.faults.append(Fault(path=relative_to(folder, root), reason=str(error)))
                continue
            found.faults.extend(
                Fault(path=relative_to(Path(fault.path), root), reason=fault.reason) for fault in stack.faults
            )
            first = stack.headers[0]
            evidence = SeriesEvidence(folder=folder.name, file=first.path.stem, acquisition=first.acquisition)
            suffix = f"/{number + 1}" if parts.split_by else ""
            found.series.append((_series_of(study_id, stack, suffix), evidence))
    return found


def _without_timepoint(evidence: SeriesEvidence, path: Path, time: str) -> SeriesEvidence:
    """Take the time point out of the names that tell a file's sequence."""
    if not time:
        return evidence
    is_folder = word_of(path.parent.name) == time != word_of(path.parent.parent.name)
    return replace(evidence, folder="" if is_folder else evidence.folder, file=drop_timepoint(evidence.file, time))


def _recognised(series: Series, found: Recognition) -> Series:
    return replace(series, sequence=found.sequence, sequence_reason=found.reason, sequence_confidence=found.confidence)


def _series_of(study_id: str, stack: Stack, suffix: str) -> Series:
    first = stack.headers[0]
    frames = {header.frame_of_reference_uid for header in stack.headers}
    named = {keyword for header in stack.headers if not header.identity_removed for keyword in header.identifying}
    return Series(
        study_id=study_id,
        sequence=MRSequence.UNKNOWN,
        series_uid=first.series_uid + suffix,
        plane=stack.plane,
        files=tuple(dict.fromkeys(header.path for header in stack.headers)),
        rows=first.rows,
        columns=first.columns,
        spacing_mm=stack.spacing_mm if stack.spacing_known else None,
        description=first.acquisition.series_description,
        manufacturer=first.manufacturer,
        scanner=first.scanner,
        field_strength_tesla=first.field_strength_tesla,
        slice_total=len(stack.headers),
        identifying=tuple(sorted(named)),
        burned_in=any(header.burned_in for header in stack.headers),
        frame_of_reference_uid=frames.pop() if len(frames) == 1 else "",
        doubts=() if stack.spacing_known else (NO_PIXEL_SPACING,),
    )


def image_series(
    study_id: str, files: Mapping[Path, ImageSize], sequence: MRSequence | None = None, time: str = ""
) -> list[Series]:
    """Group loose images of one study by the sequence that their names state, in natural name order.

    `files` maps each image to its rows, columns and pages; a page is a slice. `time` is as :attr:`FileScan.timepoint`.
    """
    groups: dict[MRSequence, list[Path]] = defaultdict(list)
    reasons: dict[MRSequence, Recognition] = {}
    for path in files:
        evidence = _without_timepoint(SeriesEvidence(folder=path.parent.name, file=path.stem), path, time)
        found = recognise_sequence(file=evidence.file)
        if found.sequence is MRSequence.UNKNOWN:
            found = recognise_sequence(folder=evidence.folder)
        found = _or_stated(found, sequence)
        groups[found.sequence].append(path)
        reasons.setdefault(found.sequence, found)
    series = []
    for kind, paths in groups.items():
        ordered = sorted(paths, key=lambda path: natural_key(path.name))
        rows, columns, _ = files[ordered[0]]
        series.append(
            Series(
                study_id=study_id,
                sequence=kind,
                series_uid=f"{study_id}.{kind}",
                plane=Plane.UNKNOWN,
                files=tuple(ordered),
                kind="picture",
                rows=rows,
                columns=columns,
                sequence_reason=reasons[kind].reason,
                sequence_confidence=reasons[kind].confidence,
                slice_total=sum(files[path][2] for path in ordered),
            )
        )
    return series


def _nifti_series(
    study_id: str, path: Path, sidecar: Mapping[str, Any], settings: Settings
) -> tuple[Series, SeriesEvidence]:
    header = read_nifti_header(path, settings)
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    name = read_name(stem, file=True)
    if name.other == "a label map":
        raise DataError(refusal("named_labels", name=path.name))
    if is_label_map(path):
        raise DataError(refusal("label_map", name=path.name))
    slice_axis = find_stated_slices(sidecar, header.axes_mm)
    if slice_axis is not None:
        header = read_nifti_header(path, settings, slice_axis)
    evidence = SeriesEvidence(
        folder=path.parent.name if name.says_nothing else "",
        file=stem,
        acquisition=acquisition_of_sidecar(sidecar) if sidecar else None,
    )
    series = Series(
        study_id=study_id,
        sequence=MRSequence.UNKNOWN,
        series_uid=f"{study_id}.{stem}",
        plane=header.plane,
        files=(path,),
        kind="nifti",
        rows=header.shape[1],
        columns=header.shape[2],
        spacing_mm=header.spacing_mm if header.spacing_known else None,
        slice_total=header.shape[0],
        slice_axis=slice_axis,
        doubts=header.doubts,
        **scanner_of_sidecar(sidecar),
        frame_of_reference_uid=str(sidecar.get("FrameOfReferenceUID", ""))[:64],
        processing=str(sidecar.get("Processing", ""))[:256],
    )
    return series, evidence


def _read_sidecar_of(path: Path, faults: list[Fault], root: Path) -> dict[str, Any]:
    """Return what the BIDS sidecar beside a NIfTI file holds; one that cannot be read is a fault, and the scan stays."""
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    try:
        return load_sidecar(sidecar) if sidecar.is_file() else {}
    except DataError as error:
        faults.append(Fault(path=relative_to(sidecar, root), reason=str(error)))
        return {}


def _or_stated(found: Recognition, sequence: MRSequence | None) -> Recognition:
    if sequence is not None and found.sequence is MRSequence.UNKNOWN and not found.none_of_the_four:
        return Recognition(sequence=sequence, reason="as stated by you", confidence="certain")
    return found
