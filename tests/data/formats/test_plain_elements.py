"""The fast way through a header gives what pydicom gives, or says that it cannot."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from core.data.formats import dicom
from core.data.formats.dicom import read_headers, read_pixels
from core.data.formats.plain_elements import walk_plain
from core.errors import DataError
from tests.data.dicom_files import write_mr

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"


def read_both_ways(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Headers or the error's words: by the fast way where it is one, and by pydicom alone."""
    answers: list[object] = []
    for plain in (True, False):
        with monkeypatch.context() as patch:
            if not plain:
                patch.setattr(dicom, "walk_plain", lambda *arguments, **options: None)
            try:
                answers.append(read_headers(path))
            except DataError as error:
                answers.append((type(error), str(error)))
    return answers


def test_every_file_of_pydicom_s_corpus_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    for path in TEST_FILES.rglob("*"):
        if path.is_file():
            fast, slow = read_both_ways(path, monkeypatch)
            assert fast == slow, path
            read += isinstance(fast, tuple) and isinstance(fast[0], dicom.InstanceHeader)
    assert read > 5


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_an_ordinary_image_is_plain(tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8)
    path = write_mr(tmp_path / "a.dcm", pixels, syntax=syntax)
    fast, slow = read_both_ways(path, monkeypatch)
    assert fast == slow
    monkeypatch.delattr(dicom, "read_dataset")
    assert read_headers(path) == slow
    np.testing.assert_array_equal(read_pixels(path), pixels)


@given(position=st.integers(0, 2**30), change=st.binary(min_size=1, max_size=4))
def test_damage_is_judged_the_same(tmp_path_factory: pytest.TempPathFactory, position: int, change: bytes) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.dcm"
    content = bytearray(write_mr(path).read_bytes())
    position = 132 + position % (len(content) - 132)
    content[position : position + len(change)] = change
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        fast, slow = read_both_ways(path, patch)
    assert fast == slow


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def test_it_stops_where_it_is_told_and_keeps_what_is_wanted() -> None:
    head = (
        element(0x00080060, b"CS", b"MR") + element(0x00100010, b"PN", b"Nobody") + element(0x00280010, b"US", b"\1\0")
    )
    walked = walk_plain(
        head + bytes(20), 0, implicit=False, wanted={0x00080060}, stop=lambda tag, vr, length: tag == 0x00280010
    )
    assert walked is not None
    elements, begin, offset = walked
    assert {tag: raw.value for tag, raw in elements.items()} == {0x00080060: b"MR"}
    assert (begin, offset) == (len(head) - 10, len(head) - 2)


@pytest.mark.parametrize(
    "odd",
    [
        element(0x00080060, b"??", b"MR"),
        struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF),
        struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 4) + b"abcd",
        struct.pack("<HH2sH", 0x0008, 0x0060, b"CS", 6000),
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_pydicom(odd: bytes) -> None:
    assert walk_plain(odd + bytes(24), 0, implicit=False, wanted={0x00081140}) is None
