"""Headers of files that are alike: what is skipped is what is equal, and the result that of parsing in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from core.data.formats import alike as alike_module
from core.data.formats.alike import AlikeReader
from core.data.formats.dicom import InstanceHeader, find_pixels, locate_pixels, read_headers
from core.data.index.series import scan_files
from core.errors import DataError
from core.settings import Settings, load_settings
from tests.data.dicom_files import write_mr, write_series

STACK = np.arange(6 * 20, dtype=np.uint16).reshape(6, 4, 5)


def count_parses(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    parsed: list[Path] = []

    def note(content: memoryview, path: Path, settings: Settings) -> Any:
        parsed.append(path)
        return find_pixels(content, path, settings)

    monkeypatch.setattr(alike_module, "find_pixels", note)
    return parsed


def assert_alike(paths: list[Path]) -> None:
    reader = AlikeReader(load_settings())
    for path in paths:
        content = memoryview(path.read_bytes())
        assert reader.read(content, path) == find_pixels(content, path, load_settings())
    scanner = AlikeReader(load_settings())
    for path in paths:
        assert scan_with(scanner, path) == read_headers(path)


def scan_with(reader: AlikeReader, path: Path) -> tuple[InstanceHeader, ...]:
    """As an index does it: the file is not read whole."""
    alike = reader.recognise(path)
    return (alike,) if alike else reader.read_headers(path)


@pytest.mark.parametrize("attributes", [{}, {"syntax": ImplicitVRLittleEndian}])
def test_only_the_first_file_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any]
) -> None:
    paths = write_series(tmp_path, STACK, **attributes)
    parsed = count_parses(monkeypatch)
    assert_alike(paths)
    assert parsed == paths[:1]


def test_a_scan_parses_the_first_file_of_a_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [write_series(tmp_path / name, STACK) for name in ("one", "two")]
    parsed: list[Path] = []

    def note(path: Path, settings: Settings) -> Any:
        parsed.append(path)
        return locate_pixels(path, settings)

    monkeypatch.setattr(alike_module, "locate_pixels", note)
    found = scan_files([path for paths in folders for path in paths], tmp_path, load_settings())
    assert [header.path for header in found.headers] == [path for paths in folders for path in paths]
    assert parsed == [paths[0] for paths in folders]


def test_a_file_that_is_gone_is_told_in_full(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK)
    reader = AlikeReader(load_settings())
    reader.read_headers(paths[0])
    paths[1].unlink()
    assert reader.recognise(paths[1]) is None
    with pytest.raises(DataError, match="cannot be opened"):
        reader.read_headers(paths[1])


def test_what_does_not_matter_and_differs_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [
        write_mr(tmp_path / f"{n}.dcm", AcquisitionTime=f"12000{n}", WindowWidth=str(10**n), InstanceNumber=n)
        for n in range(6)
    ]
    parsed = count_parses(monkeypatch)
    assert_alike(paths)
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
    assert_alike([*usual[:2], *other, *usual[2:], other[0]])


@pytest.mark.filterwarnings("ignore::UserWarning")
@examples(max_examples=300)
@given(st.integers(0, 1000), st.integers(0, 255), st.booleans())
def test_a_changed_byte_is_treated_as_when_parsing(tmp_path_factory: Any, place: int, byte: int, cut: bool) -> None:
    folder = tmp_path_factory.mktemp("alike")
    paths = write_series(folder, STACK[:2])
    content = bytearray(paths[1].read_bytes())
    content[132 + place % (len(content) - 132)] = byte
    changed = memoryview(bytes(content[:-3] if cut else content))
    reader = AlikeReader(load_settings())
    reader.read(memoryview(paths[0].read_bytes()), paths[0])
    assert outcome(lambda: reader.read(changed, paths[1])) == outcome(
        lambda: find_pixels(changed, paths[1], load_settings())
    )
    paths[1].write_bytes(changed)
    scanner = AlikeReader(load_settings())
    scanner.read_headers(paths[0])
    assert outcome(lambda: scan_with(scanner, paths[1])) == outcome(lambda: read_headers(paths[1]))


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DataError as error:
        return type(error), str(error)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK[:2])
    reader = AlikeReader(load_settings())
    reader.read(memoryview(paths[0].read_bytes()), paths[0])
    with pytest.raises(DataError, match="is cut off"):
        reader.read(memoryview(paths[1].read_bytes()[:-1]), paths[1])


def test_several_frames_are_refused(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "one.dcm")
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData * 2
    dataset.NumberOfFrames = 2
    dataset.save_as(path)
    with pytest.raises(DataError, match="2 frames"):
        AlikeReader(load_settings()).read(memoryview(path.read_bytes()), path)


def test_the_limit_holds(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "one.dcm")
    with pytest.raises(DataError, match="at most 10"):
        AlikeReader(replace(load_settings(), file_pixels=10)).read(memoryview(path.read_bytes()), path)
