"""Write an answer as DICOM files into a folder."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset

from core.explain.slices import MappedSlice, map_slices
from core.explain.validation.saliency_record import default_map
from core.files import replace_atomically, storage_errors
from core.inference.batch import digest_checkpoint
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.reports.dicom.images import write_captures, write_segmentation
from core.reports.dicom.source import DICOM_KINDS, DicomKind, SourceSeries, check_source, dicom_errors, read_source
from core.reports.dicom.structured_report import write_report


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenObject:
    """One DICOM file."""

    kind: DicomKind
    path: Path
    sop_instance_uid: str
    series_instance_uid: str


def write_dicom(
    kinds: Sequence[DicomKind],
    predictor: Predictor,
    prediction: Prediction,
    mapped: Sequence[MappedSlice],
    out: Path,
    *,
    prefix: str,
    opacity: float = 0.6,
    keep_identity: bool = False,
    anyway: bool = False,
) -> list[WrittenObject]:
    """Write an answer, and its maps, as DICOM that refers to the instances it rests on.

    Parameters
    ----------
    kinds
        Which objects: a report for the study; pictures and a segmentation for each of its series.
    mapped
        The maps of :func:`core.explain.slices.map_slices`; a report needs none.
    out, prefix
        The folder, and what the files' names begin with.
    keep_identity
        Carry the patient's and the study's attributes of the scan over. Otherwise they are empty; UIDs of the scan stay, for
        without them nothing could be referred to.
    anyway
        Write the answer, and its map, also where the checkpoint abstains.

    Raises
    ------
    DicomError
        As :func:`core.reports.dicom.source.check_source`, or the scan cannot be described.
    StorageError
        The folder cannot be written.
    """
    check_source(prediction, kinds, anyway=anyway)
    source = read_source(prediction, predictor.card, keep_identity=keep_identity)
    written = []
    for kind, name, dataset in _make(kinds, predictor, prediction, mapped, source, opacity, anyway):
        path = out / f"{prefix}_{kind}{name}.dcm"
        with replace_atomically(path) as beside, dicom_errors(DICOM_KINDS[kind]), storage_errors(path):
            dataset.save_as(beside, enforce_file_format=True)
        written.append(
            WrittenObject(
                kind=kind,
                path=path,
                sop_instance_uid=str(dataset.SOPInstanceUID),
                series_instance_uid=str(dataset.SeriesInstanceUID),
            )
        )
    return written


def pack_dicom(
    kinds: Sequence[DicomKind], predictor: Predictor, prediction: Prediction, *, keep_identity: bool = False
) -> bytes:
    """Return the objects of :func:`write_dicom` as a zip, with the map that a checkpoint shows first; the same is raised."""
    method, layer = default_map(predictor.card)
    target = predictor.card.class_names.index(prediction.prediction)
    mapped = map_slices(predictor, prediction, method=method, layer=layer, target=target) if set(kinds) - {"sr"} else []
    packed = io.BytesIO()
    with (
        TemporaryDirectory(prefix="mgmt-lab-") as folder,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        written = write_dicom(
            kinds, predictor, prediction, mapped, Path(folder), prefix="01", keep_identity=keep_identity
        )
        for one in written:
            archive.write(one.path, one.path.name)
    return packed.getvalue()


def _make(
    kinds: Sequence[DicomKind],
    predictor: Predictor,
    prediction: Prediction,
    mapped: Sequence[MappedSlice],
    source: Sequence[SourceSeries],
    opacity: float,
    anyway: bool,
) -> Iterator[tuple[DicomKind, str, Dataset]]:
    """Yield each object with its kind and the end of its file's name."""
    card = predictor.card
    if "sr" in kinds:
        with dicom_errors(DICOM_KINDS["sr"]):
            report = write_report(prediction, card, digest_checkpoint(predictor.path), source, anyway=anyway)
        yield "sr", "", report
    for number, part in enumerate(prediction.series if set(kinds) - {"sr"} else ()):
        series = source[number]
        of_part = sorted((one for one in mapped if one.part is part), key=lambda one: one.seen.slice_index)
        name = re.sub(r"\W", "", f"{series.series.sequence}{number}")
        if "sc" in kinds:
            with dicom_errors(DICOM_KINDS["sc"]):
                captures = write_captures(series, of_part, number, opacity=opacity)
            for instance, capture in enumerate(captures, start=1):
                yield "sc", f"_{name}_{instance:03d}", capture
        if "seg" in kinds:
            with dicom_errors(DICOM_KINDS["seg"]):
                segmentation = write_segmentation(series, of_part, number, card)
            yield "seg", f"_{name}", segmentation
