"""What a template does not parse is what is equal, and the result is that of the reference reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from core.data.formats import series_reader
from core.data.formats.dicom import InstanceHeader, load_file, locate_pixels, read_headers, read_stored
from core.data.formats.series_reader import SeriesReader
from core.data.index.series import scan_files
from core.errors import DataError
from core.settings import Settings, load_settings
from tests.data.dicom_files import write_mr, write_series

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"
STACK = np.arange(6 * 20, dtype=np.uint16).reshape(6, 4, 5)


def count_parses(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    parsed: list[Path] = []

    def note(content: memoryview, path: Path, settings: Settings) -> Any:
        parsed.append(path)
        return read_stored(content, path, settings)

    monkeypatch.setattr(series_reader, "read_stored", note)
    return parsed


def assert_same_as_the_reference(paths: list[Path]) -> None:
    assert_same_frames(paths)
    scanner = SeriesReader(load_settings())
    for path in paths:
        assert scan_with(scanner, path) == read_headers(path)


def assert_same_frames(paths: list[Path]) -> None:
    reader = SeriesReader(load_settings())
    for path in paths:
        content = load_file(path)
        found, expected = (
            outcome(lambda path=path, content=content: reader.read_frames(path, content)),
            outcome(lambda path=path, content=content: read_stored(content, path, load_settings())[:2]),
        )
        assert found[0] == expected[0], path
        if isinstance(expected[1], str):
            assert found == expected
            continue
        for one, other in zip(found[1], expected[1], strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def scan_with(reader: SeriesReader, path: Path) -> tuple[InstanceHeader, ...]:
    """As an index does it: the file is not read whole."""
    matched = reader.match_header(path)
    return (matched,) if matched else reader.read_headers(path)


@pytest.mark.parametrize("attributes", [{}, {"syntax": ImplicitVRLittleEndian}])
def test_only_the_first_file_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any]
) -> None:
    paths = write_series(tmp_path, STACK, **attributes)
    parsed = count_parses(monkeypatch)
    assert_same_as_the_reference(paths)
    assert parsed == paths[:1]


def test_a_scan_parses_the_first_file_of_a_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [write_series(tmp_path / name, STACK) for name in ("one", "two")]
    parsed: list[Path] = []

    def note(path: Path, settings: Settings) -> Any:
        parsed.append(path)
        return locate_pixels(path, settings)

    monkeypatch.setattr(series_reader, "locate_pixels", note)
    found = scan_files([path for paths in folders for path in paths], tmp_path, load_settings())
    assert [header.path for header in found.headers] == [path for paths in folders for path in paths]
    assert parsed == [paths[0] for paths in folders]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_file_of_pydicom_s_corpus_reads_as_by_the_reference() -> None:
    files = sorted(path for path in TEST_FILES.rglob("*") if path.is_file())
    assert_same_frames([path for path in files for _ in range(2)])  # each fits the template of itself
    reader = SeriesReader(load_settings())
    matched = 0
    for path in files:
        if isinstance(outcome(lambda path=path: reader.read_headers(path))[0], InstanceHeader):
            matched += reader.match_header(path) == read_headers(path)[0]
    assert matched >= 3


def test_a_file_that_is_gone_is_told_in_full(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK)
    reader = SeriesReader(load_settings())
    reader.read_headers(paths[0])
    paths[1].unlink()
    assert reader.match_header(paths[1]) is None
    with pytest.raises(DataError, match="cannot be opened"):
        reader.read_headers(paths[1])


def test_what_does_not_matter_and_differs_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [
        write_mr(tmp_path / f"{n}.dcm", AcquisitionTime=f"12000{n}", WindowWidth=str(10**n), InstanceNumber=n)
        for n in range(6)
    ]
    parsed = count_parses(monkeypatch)
    assert_same_as_the_reference(paths)
    assert parsed == paths[:2]


CHANGES: dict[str, dict[str, Any]] = {
    "size": {"pixels": np.zeros((6, 8), np.uint16)},
    "spacing": {"PixelSpacing": [2.0, 1.0]},
    "orientation": {"orientation": (0, 1, 0, 0, 0, -1)},
    "slope": {"RescaleSlope": 2.5, "RescaleIntercept": 1},
    "bits": {"BitsStored": 12, "HighBit": 11},
    "sign": {"PixelRepresentation": 1},
    "inverted": {"PhotometricInterpretation": "MONOCHROME1"},
    "echo time": {"EchoTime": 100},
    "image type": {"ImageType": ["DERIVED", "SECONDARY"]},
    "no position": {"position": None},
    "no name": {"PatientName": ""},
    "an institution": {"InstitutionName": "Somewhere"},
    "name removed": {"PatientIdentityRemoved": "YES"},
    "series": {"SeriesInstanceUID": "1.2.3.5"},
    "synthetic": {"ImageComments": "MGMT Lab synthetic phantom"},
    "syntax": {"syntax": ImplicitVRLittleEndian},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_matters_and_differs_is_seen(tmp_path: Path, change: dict[str, Any]) -> None:
    usual = [write_mr(tmp_path / f"usual-{n}.dcm", InstanceNumber=n) for n in range(4)]
    other = [write_mr(tmp_path / f"other-{n}.dcm", InstanceNumber=n, **change) for n in range(2)]
    assert_same_as_the_reference([*usual[:2], *other, *usual[2:], other[0]])


@pytest.mark.filterwarnings("ignore::UserWarning")
@examples(max_examples=300)
@given(st.integers(0, 1000), st.integers(0, 255), st.booleans())
def test_a_changed_byte_is_treated_as_when_parsing(tmp_path_factory: Any, place: int, byte: int, cut: bool) -> None:
    folder = tmp_path_factory.mktemp("alike")
    paths = write_series(folder, STACK[:2])
    content = bytearray(paths[1].read_bytes())
    content[132 + place % (len(content) - 132)] = byte
    paths[1].write_bytes(content[:-3] if cut else content)
    scanner = SeriesReader(load_settings())
    scanner.read_headers(paths[0])
    assert outcome(lambda: scan_with(scanner, paths[1])) == outcome(lambda: read_headers(paths[1]))
    assert_same_frames(paths)


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DataError as error:
        return type(error), str(error)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK[:2])
    reader = SeriesReader(load_settings())
    reader.read_frames(paths[0], load_file(paths[0]))
    with pytest.raises(DataError, match="is cut off"):
        reader.read_frames(paths[1], load_file(paths[1])[:-1])


def test_several_frames_are_refused(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "one.dcm")
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData * 2
    dataset.NumberOfFrames = 2
    dataset.save_as(path)
    with pytest.raises(DataError, match="2 frames"):
        SeriesReader(load_settings()).read_frames(path, load_file(path))


def test_the_limit_holds(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "one.dcm")
    with pytest.raises(DataError, match="at most 10"):
        SeriesReader(replace(load_settings(), file_pixels=10)).read_frames(path, load_file(path))
