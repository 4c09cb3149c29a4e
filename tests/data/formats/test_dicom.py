import dataclasses
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate

from core.data.formats.dicom import PARSER_ERRORS, looks_like_dicom, read_header, read_instance, read_pixels
from core.errors import (
    DicomError,
    LimitError,
    MGMTLabError,
    NoPixelsError,
    NotMRError,
    UnsupportedSyntaxError,
)
from core.settings import Settings
from tests.data.dicom_files import AXIAL, DEFLATED, write_deflated_bomb, write_mr

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
GRADIENT = np.arange(20, dtype=np.uint16).reshape(4, 5)


def test_the_header_holds_what_the_file_says(tmp_path: Path) -> None:
    path = write_mr(
        tmp_path / "a.dcm",
        position=(-10.5, 20, 3),
        PixelSpacing=[0.5, 0.25],
        SeriesDescription="Schädel FLAIR",
        SpecificCharacterSet="ISO_IR 192",
        EchoTime=100,
        ImageType=["ORIGINAL", "PRIMARY"],
    )
    header = read_header(path)
    assert (header.rows, header.columns) == (4, 5)
    assert header.position_mm == (-10.5, 20.0, 3.0)
    assert (header.row_direction, header.column_direction) == (AXIAL[:3], AXIAL[3:])
    assert header.pixel_spacing_mm == (0.5, 0.25)
    assert header.acquisition.series_description == "Schädel FLAIR"
    assert header.acquisition.echo_time_ms == 100
    assert header.acquisition.inversion_time_ms is None
    assert header.acquisition.image_type == ("ORIGINAL", "PRIMARY")
    assert not header.synthetic


def test_nothing_that_names_a_person_is_kept(tmp_path: Path) -> None:
    header = read_header(write_mr(tmp_path / "a.dcm", ImageComments="call Jane Doe", AccessionNumber="secret-no"))
    text = str(dataclasses.asdict(replace(header, path=Path("a.dcm"))))
    assert "Doe" not in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]
)
def test_native_syntaxes_give_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    big = syntax == "1.2.840.10008.1.2.2"
    pixels = GRADIENT.astype(">u2" if big else "<u2")
    path = write_mr(tmp_path / "a.dcm", pixels, syntax=syntax)
    array = read_pixels(path)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, GRADIENT)


def test_without_preamble_and_extension_it_is_dicom_all_the_same(tmp_path: Path) -> None:
    content = write_mr(tmp_path / "a.dcm").read_bytes()
    bare = tmp_path / "IM0001"
    bare.write_bytes(content[132:])
    np.testing.assert_array_equal(read_pixels(bare), GRADIENT)
    meta_length = 12 + int.from_bytes(content[140:144], "little")
    bare.write_bytes(content[132 + meta_length :])
    np.testing.assert_array_equal(read_pixels(bare), GRADIENT)
    assert looks_like_dicom(content)
    assert not looks_like_dicom(b"BraTS21ID,MGMT_value\n00000,1\n")
    assert not looks_like_dicom(b"")


def test_signed_values_slope_and_intercept(tmp_path: Path) -> None:
    signed = np.array([[-5, 0], [7, 2000]], dtype=np.int16)
    array = read_pixels(write_mr(tmp_path / "a.dcm", signed, RescaleSlope=0.5, RescaleIntercept=-3))
    np.testing.assert_array_equal(array, signed * 0.5 - 3)


def test_bits_beside_the_stored_ones_are_dropped(tmp_path: Path) -> None:
    stored = np.array([[-1, 5], [-2048, 2047]], dtype=np.int16)
    overlay = (stored & 0x0FFF) | 0x7000
    path = write_mr(tmp_path / "a.dcm", overlay.astype(np.int16), BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_pixels(path), stored)


@pytest.mark.parametrize(("dtype", "top"), [(np.uint16, 4095), (np.int16, -1)])
def test_monochrome1_is_inverted_so_that_larger_is_brighter(tmp_path: Path, dtype: type, top: int) -> None:
    pixels = np.array([[0, 10], [100, 1000]], dtype=dtype)
    path = write_mr(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_pixels(path), top - pixels.astype(int))


def test_eight_bits_and_floats(tmp_path: Path) -> None:
    eight = np.array([[0, 200, 7]], dtype=np.uint8)
    np.testing.assert_array_equal(read_pixels(write_mr(tmp_path / "a.dcm", eight)), eight)
    real = np.array([[-0.5, 1e4]], dtype=np.float32)
    path = write_mr(tmp_path / "b.dcm", real, PixelData=None, FloatPixelData=real.tobytes(), BitsStored=None)
    np.testing.assert_array_equal(read_pixels(path), real)


def text_file(path: Path) -> None:
    path.write_text("this is not DICOM at all\n" * 20)


def cut_off(path: Path) -> None:
    content = write_mr(path).read_bytes()
    path.write_bytes(content[:-9])


def in_colour(path: Path) -> None:
    write_mr(path, np.zeros((4, 15), np.uint8), Columns=5, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (text_file, DicomError, "not a DICOM file"),
        (lambda path: path.write_bytes(b""), DicomError, "empty"),
        (lambda path: write_mr(path, Modality="CT"), NotMRError, "Modality CT"),
        (lambda path: write_mr(path, PixelData=None), NoPixelsError, "without pixel data"),
        (lambda path: write_mr(path, Rows=None), NoPixelsError, "without pixel data"),
        (lambda path: write_mr(path, NumberOfFrames=3), DicomError, "3 frames"),
        (lambda path: write_mr(path, Rows=60_000, Columns=60_000), LimitError, "60000 x 60000"),
        (lambda path: write_mr(path, Rows=600, Columns=600), DicomError, "cut off"),
        (lambda path: write_mr(path, RescaleSlope=0), DicomError, "RescaleSlope"),
        (lambda path: write_mr(path, BitsStored=17, HighBit=16), DicomError, "BitsStored"),
        (lambda path: write_mr(path, orientation=(1, 0, 0, 1, 0, 0)), DicomError, "perpendicular"),
        (cut_off, DicomError, "cut off"),
        (in_colour, DicomError, "colour"),
        (lambda path: None, DicomError, "cannot be opened"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, make: Callable[[Path], object], error: type[MGMTLabError], says: str
) -> None:
    path = tmp_path / "odd.dcm"
    make(path)
    for read in (read_header, read_pixels):
        with pytest.raises(error, match=says) as caught:
            read(path)
        assert "odd.dcm" in str(caught.value)
        assert type(caught.value) is error


def test_an_unsupported_syntax_is_named(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "a.dcm", syntax="1.2.840.10008.1.2.4.100", PixelData=encapsulate([b"\0" * 8]))
    with pytest.raises(UnsupportedSyntaxError, match=r"MPEG2.*1\.2\.840\.10008\.1\.2\.4\.100"):
        read_header(path)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
@pytest.mark.parametrize("said", [12, 8])
def test_jpeg_extended_of_12_bits_is_named_and_nothing_else_said(tmp_path: Path, name: str, said: int) -> None:
    def change(dataset: pydicom.Dataset) -> None:
        dataset.Modality = "MR"
        dataset.BitsStored, dataset.HighBit = said, said - 1

    path = compressed_copy(tmp_path, name, change)
    with pytest.raises(UnsupportedSyntaxError, match=r"JPEG Extended.*1\.2\.840\.10008\.1\.2\.4\.51.* 12 bits"):
        read_pixels(path)
    if said == 12:  # the header alone is enough
        with pytest.raises(UnsupportedSyntaxError, match=rf"{name}: the transfer syntax JPEG Extended"):
            read_header(path)


def test_an_attribute_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    content = write_mr(tmp_path / "a.dcm", syntax="1.2.840.10008.1.2", SeriesDescription="FLAIR").read_bytes()
    at = content.index(b"\x08\x00\x3e\x10") + 4
    path = tmp_path / "b.dcm"
    path.write_bytes(content[:at] + (2**31).to_bytes(4, "little") + content[at + 4 :])
    tracemalloc.start()
    with pytest.raises(DicomError, match=r"b\.dcm: the attribute 0008,103E claims 2,147,483,648 bytes"):
        read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_a_bad_number_is_named_with_its_attribute(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "a.dcm", position=(1.5, 2.5, 3.5))
    path.write_bytes(path.read_bytes().replace(b"1.5\\2.5\\3.5", b"1.5\\two\\3.5"))
    with pytest.raises(DicomError, match=r"a\.dcm: ImagePositionPatient.*two"):
        read_header(path)


def test_a_deflated_bomb_is_refused_without_inflating_it(tmp_path: Path, settings: Settings) -> None:
    bomb = write_deflated_bomb(tmp_path / "bomb.dcm", 128 * 2**20)
    assert bomb.stat().st_size < 2**18
    small = replace(settings, header_bytes=2**20)
    tracemalloc.start()
    with pytest.raises(LimitError, match="inflates to more than 1,048,576 bytes"):
        read_header(bomb, small)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_damaged_deflated_file_is_named(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "a.dcm", syntax=DEFLATED)
    content = bytearray(path.read_bytes())
    content[-20:-10] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(DicomError, match=r"a\.dcm"):
        read_pixels(path)


def compressed_copy(tmp_path: Path, name: str, change: Callable[[pydicom.Dataset], None]) -> Path:
    dataset = pydicom.dcmread(TEST_FILES / name)
    change(dataset)
    dataset.save_as(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_a_codestream_larger_than_its_header_is_refused(tmp_path: Path, name: str) -> None:
    path = compressed_copy(tmp_path, name, lambda dataset: setattr(dataset, "Rows", 32))
    with pytest.raises(DicomError, match="compressed image states 64 x 64"):
        read_pixels(path)


@pytest.mark.parametrize(
    ("name", "start", "offset"),
    [("MR_small_jpeg_ls_lossless.dcm", b"\xff\xf7", 4), ("MR_small_jp2klossless.dcm", b"\xff\x4f\xff\x51", 42)],
)
def test_an_impossible_precision_never_reaches_the_codec(tmp_path: Path, name: str, start: bytes, offset: int) -> None:
    # GDCM ends the whole process over it
    content = bytearray((TEST_FILES / name).read_bytes())
    content[content.index(start) + offset] = 114
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DicomError, match="expected one of 2 to 16"):
        read_pixels(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_bigendian.dcm"]
)
def test_lossless_syntaxes_give_the_pixels_of_the_native_file(name: str) -> None:
    np.testing.assert_array_equal(read_pixels(TEST_FILES / name), read_pixels(TEST_FILES / "MR_small.dcm"))


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_every_file_of_pydicoms_corpus_is_read_or_named() -> None:
    read: dict[str, NDArray[np.float32]] = {}
    for path in sorted(path for path in TEST_FILES.parent.rglob("*") if path.is_file()):
        try:
            header, read[path.name] = read_instance(path)
        except MGMTLabError:
            continue
        assert read[path.name].shape == (header.rows, header.columns)
    assert {"MR_small.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm", "MR_small_padded.dcm"} <= read.keys()
    assert "MR_truncated.dcm" not in read
    assert "CT_small.dcm" not in read


def test_one_slice_in_seven_transfer_syntaxes(shared_data: Path) -> None:
    paths = sorted((shared_data / "dicom_transfer_syntaxes" / "In").iterdir())
    arrays = [read_pixels(path) for path in paths]
    assert len({read_header(path).transfer_syntax for path in paths}) == 7
    assert arrays[0].max() > 0
    for array in arrays[1:]:
        np.testing.assert_array_equal(array, arrays[0])


def test_each_error_of_the_parser_is_one_that_a_reader_names() -> None:
    errors = [kind for kind in vars(pydicom.errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) >= 2
    assert all(issubclass(kind, PARSER_ERRORS) for kind in errors)


def test_code_strings_in_small_letters_are_read(tmp_path: Path) -> None:
    pixels = np.array([[1, 2], [3, 4]], np.uint16)
    plain = write_mr(tmp_path / "a.dcm", pixels, Modality="mr", PhotometricInterpretation="monochrome2")
    assert (read_pixels(plain) == pixels).all()
    assert read_header(write_mr(tmp_path / "b.dcm", pixels, PhotometricInterpretation="Monochrome1")).inverted
