"""The map as pictures of the scan (Secondary Capture) and as a region of it (Segmentation)."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom
import numpy as np
from highdicom.sc import SCImage
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

import core
from core.data.prepare.slices import lay_on_source
from core.explain.overlay import blend, display_window
from core.explain.slices import MappedSlice
from core.models.card import CheckpointCard
from core.reports.dicom.source import SourceImage, SourceSeries, finish

CAPTURE_NUMBER, SEGMENT_NUMBER = 9100, 9200
"""Series numbers; each series of the scan has its own from there on."""
HALF = 0.5
"""The segment is where the map is at least this share of its maximum in the slice."""
STAMP = "Research use only"


def write_captures(
    series: SourceSeries, mapped: Sequence[MappedSlice], number: int, *, opacity: float
) -> list[Dataset]:
    """Return one colour picture for each mapped slice of a series: the stored slice under its map.

    It has the size and place of its source, to which it refers, and "Research use only" in a corner of its pixels.

    Parameters
    ----------
    number
        Of the series among those of the answer, from 0.
    """
    window = display_window(series.volume.array)
    series_uid = highdicom.UID()
    written = []
    for instance, one in enumerate(mapped, start=1):
        image = series.image(one.seen.slice_index)
        heat = series.to_stored(_lay_back(one))
        capture = SCImage.from_ref_dataset(
            image.header,
            pixel_array=_stamp(blend(image.pixels, heat, opacity, window)),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            series_instance_uid=series_uid,
            series_number=CAPTURE_NUMBER + number,
            sop_instance_uid=highdicom.UID(),
            instance_number=instance,
            manufacturer="MGMT Lab",
            patient_orientation=image.orientation,
            pixel_spacing=image.geometry.get("PixelSpacing"),
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
        for keyword, value in image.geometry.items():
            setattr(capture, keyword, value)
        capture.BurnedInAnnotation = "NO"
        capture.SourceImageSequence = [_refer(image)]
        written.append(finish(capture, f"Map over {one.seen.sequence}, research only", image.header))
    return written


def write_segmentation(
    series: SourceSeries, mapped: Sequence[MappedSlice], number: int, card: CheckpointCard
) -> Dataset:
    """Return where the maps of a series' slices reach half their maximum, as one binary segment over the source's slices."""
    paths = [series.volume.instances[one.seen.slice_index][0] for one in mapped]
    region = np.stack([series.to_stored(_lay_back(one, own=True)) >= HALF for one in mapped])
    headers = [series.headers[path] for path in paths]
    if "NumberOfFrames" in headers[0]:
        whole = np.zeros((int(headers[0].NumberOfFrames), *region.shape[1:]), bool)
        whole[[series.volume.instances[one.seen.slice_index][1] for one in mapped]] = region
        headers, region = headers[:1], whole
    description = SegmentDescription(
        segment_number=1,
        segment_label="Map above half",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=highdicom.sr.CodedConcept("MAP", "99MGMTLAB", "Map of a neural network above half"),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=card.name[:64], version=f"MGMT Lab {core.__version__}", family=codes.DCM.ArtificialIntelligence
        ),
        tracking_uid=highdicom.UID(),
        tracking_id="MGMT Lab map",
    )
    segmentation = Segmentation(
        source_images=headers,
        pixel_array=region.astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=highdicom.UID(),
        series_number=SEGMENT_NUMBER + number,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="MGMT Lab",
        manufacturer_model_name=card.name[:64],
        software_versions=core.__version__,
        device_serial_number="0",
        content_description="A map of a neural network, no lesion. Research use only",
    )
    return finish(segmentation, f"Map over {mapped[0].seen.sequence}, research only", headers[0])


def _lay_back(one: MappedSlice, *, own: bool = False) -> NDArray[np.float32]:
    """The map over the whole slice of the volume; `own`, relative to the slice's own maximum."""
    strongest = np.float32(one.heat.max())
    heat = one.heat / strongest if own and strongest > 0 else one.heat
    return lay_on_source(heat, one.part.prepared.frames[one.seen.example])


def _stamp(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels)
    ImageDraw.Draw(picture).text((2, 1), STAMP, fill=(255, 255, 255), font_size=max(8, pixels.shape[0] // 24))
    return np.asarray(picture)


def _refer(image: SourceImage) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.header.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.header.SOPInstanceUID
    if "NumberOfFrames" in image.header:
        reference.ReferencedFrameNumber = image.frame
    return reference
