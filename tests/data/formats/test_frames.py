from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

from core.data.formats.dicom import read_frames, read_headers, read_pixels
from core.data.index.series import scan_series
from core.data.volume import read_volume
from core.errors import DicomError, LimitError
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.dicom_files import CORONAL, write_enhanced, write_mr

STACK = np.random.default_rng(0).integers(0, 4000, (12, 4, 5)).astype(np.uint16)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_an_enhanced_object_is_a_volume(tmp_path: Path, settings: Settings, syntax: str, shared: bool) -> None:
    order = np.random.default_rng(1).permutation(len(STACK))
    stored = STACK.astype(">u2") if syntax.endswith("2.2") else STACK
    path = write_enhanced(tmp_path / "T2w" / "IM1", stored, syntax=syntax, shared=shared)
    dataset = pydicom.dcmread(path)
    groups = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [groups[index] for index in order]
    dataset.PixelData = stored[order].tobytes()
    dataset.save_as(path)

    scan = scan_series("00001", [path], tmp_path, settings)
    assert not scan.faults
    (series,) = scan.series
    assert (series.sequence, series.plane, series.slice_total) == (MRSequence.T2W, Plane.AXIAL, 12)
    assert series.files == (path,)
    assert series.spacing_mm == pytest.approx((3, 0.5, 0.25))
    volume, faults = read_volume(series, settings)
    assert not faults
    np.testing.assert_array_equal(volume.array, STACK)
    np.testing.assert_allclose(volume.positions_mm, -30 + 3 * np.arange(12))


def test_each_frame_has_its_own_values(tmp_path: Path) -> None:
    slopes = [1 + index / 4 for index in range(12)]
    path = write_enhanced(tmp_path / "a.dcm", STACK, slopes=slopes, orientation=CORONAL, AcquisitionContrast="T2")
    headers, frames = read_frames(path)
    assert [header.slope for header in headers] == slopes
    for frame, stored, slope in zip(frames, STACK, slopes, strict=True):
        np.testing.assert_array_equal(frame, (stored * slope + 1).astype(np.float32))
    first = headers[3]
    assert (first.frame, first.frames) == (3, 12)
    assert first.position_mm == pytest.approx((-10, -20 + 9, -30))
    assert (first.acquisition.echo_time_ms, first.acquisition.repetition_time_ms, first.slice_thickness_mm) == (
        98.5,
        4500,
        2,
    )
    assert first.acquisition.acquisition_contrast == "T2"


def test_compressed_frames_are_decoded_one_by_one(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", STACK)
    dataset = pydicom.dcmread(path)
    runner = {"rows": 4, "columns": 5, "samples_per_pixel": 1, "bits_allocated": 16, "bits_stored": 16}
    runner |= {"pixel_representation": 0, "photometric_interpretation": "MONOCHROME2", "number_of_frames": 1}
    packed = [RLELosslessEncoder.encode(frame.tobytes(), **runner) for frame in STACK]
    for count in (12, 11):
        dataset.PixelData = encapsulate(packed[:count])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
        dataset.save_as(path)
        if count == 12:
            np.testing.assert_array_equal(read_frames(path)[1], STACK.astype(np.float32))
        else:
            with pytest.raises(DicomError, match=r"11 of 12 compressed frames|damaged"):
                read_frames(path)


def test_frames_that_do_not_say_where_they_lie_are_refused(tmp_path: Path) -> None:
    plain = write_mr(tmp_path / "a.dcm", NumberOfFrames=3)
    with pytest.raises(DicomError, match=r"a\.dcm holds 3 frames and does not say where they lie"):
        read_headers(plain)
    path = write_enhanced(tmp_path / "b.dcm", STACK, NumberOfFrames=11)
    with pytest.raises(DicomError, match=r"b\.dcm holds 11 frames and describes 12"):
        read_headers(path)
    with pytest.raises(DicomError, match="12 frames where one image was expected"):
        read_pixels(write_enhanced(tmp_path / "c.dcm", STACK))


def test_an_enhanced_time_series_is_refused(tmp_path: Path, settings: Settings) -> None:
    path = write_enhanced(tmp_path / "a.dcm", STACK, step_mm=0, NumberOfTemporalPositions=12)
    scan = scan_series("00001", [path], tmp_path, settings)
    assert not scan.series
    assert "a time series of 12 points" in scan.faults[0].reason


def test_what_no_memory_could_hold_is_refused_by_its_claim(tmp_path: Path, settings: Settings) -> None:
    import tracemalloc

    path = write_enhanced(tmp_path / "a.dcm", STACK, Rows=65535, Columns=65535, NumberOfFrames=10000)
    tracemalloc.start()
    with pytest.raises(LimitError, match=r"a\.dcm claims 65535 x 65535 x 10000 frames"):
        read_frames(path, settings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_phase_frames_beside_magnitude_frames_are_left_out(tmp_path: Path, settings: Settings) -> None:
    path = write_enhanced(tmp_path / "T2w" / "IM1", np.concatenate([STACK, STACK[::-1]]))
    dataset = pydicom.dcmread(path)
    groups = dataset.PerFrameFunctionalGroupsSequence
    for number, group in enumerate(groups):
        kind = pydicom.Dataset()
        component = "MAGNITUDE" if number < len(STACK) else "PHASE"
        kind.FrameType, kind.ComplexImageComponent = ["ORIGINAL", "PRIMARY", "T2", "NONE"], component
        group.MRImageFrameTypeSequence = [kind]
        group.PlanePositionSequence = groups[number % len(STACK)].PlanePositionSequence
    dataset.save_as(path)
    scan = scan_series("00001", [path], tmp_path, settings)
    (series,) = scan.series
    assert (series.sequence, series.slice_total) == (MRSequence.T2W, 12)
    assert [fault.reason for fault in scan.faults] == [
        "left out: 12 of its frames, each a phase image beside plain ones"
    ]
    np.testing.assert_array_equal(read_volume(series, settings)[0].array, STACK)


def test_an_enhanced_object_says_how_its_echoes_were_made(tmp_path: Path) -> None:
    for pulse, expected in (("GRADIENT", ("GR",)), ("SPIN", ("SE",)), ("BOTH", ("SE", "GR")), ("odd", ())):
        path = write_enhanced(tmp_path / "a.dcm", STACK, EchoPulseSequence=pulse, EchoPlanarPulseSequence="YES")
        acquisition = read_headers(path)[0].acquisition
        assert (acquisition.scanning_sequence, acquisition.echo_planar) == (expected, True)


def test_a_word_for_a_time_of_an_enhanced_object_counts_as_not_stated(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", STACK)
    assert read_headers(path)[0].acquisition.repetition_time_ms == 4500
    stated = b"\x18\x00\x80\x00DS\x06\x004500.0"
    content = path.read_bytes()
    assert stated in content
    path.write_bytes(content.replace(stated, stated[:8] + b"ANONYM"))
    assert {header.acquisition.repetition_time_ms for header in read_headers(path)} == {None}
