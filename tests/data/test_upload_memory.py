"""What one upload may take of a hosted installation's memory, whatever it is packed in: at most 1 GB."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import openpyxl
import pytest
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from core.settings import PROJECT_ROOT
from tests.data.dicom_files import write_deflated_bomb, write_enhanced, write_mr, write_series

LIMIT_BYTES = 10**9
ZEROS = b"\0" * 2**24
WIDEST = 5792
"""Rows and columns of the largest slice that a hosted installation reads: 5,792 squared is just below 32 x 2**20."""


def zip_of(path: Path, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        archive.writestr(name, content)
    return path


def lying_zip(folder: Path) -> Path:
    """4 GiB in 4 MB, said to be 100 bytes: pieces that end at a byte can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packer.compress(ZEROS)
    packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    path = zip_of(folder / "lying.zip", "a.dcm", piece * 256, zipfile.ZIP_STORED)
    content = path.read_bytes()
    for start, sizes, method in ((b"PK\3\4", 18, 8), (b"PK\1\2", 20, 10)):
        at = content.index(start)
        content = content[: at + method] + struct.pack("<H", 8) + content[at + method + 2 :]
        content = content[: at + sizes + 4] + struct.pack("<I", 100) + content[at + sizes + 8 :]
    path.write_bytes(content)
    return path


def large_zip(folder: Path) -> Path:
    """A zip that says that its one file has 600 MB."""
    path = zip_of(folder / "a.zip", "a.dcm", b"x" * 1000)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 1000), struct.pack("<I", 600 * 2**20)))
    return path


def overlapping_zip(folder: Path) -> Path:
    """One entry that its directory lists a hundred times."""
    path = zip_of(folder / "overlapping.zip", "a.dcm", ZEROS)
    content = path.read_bytes()
    at, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entries = [content[at:end].replace(b"a.dcm", f"{number:05}".encode()) for number in range(100)]
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 100, 100, sum(map(len, entries)), at, 0)
    path.write_bytes(content[:at] + b"".join(entries) + tail)
    return path


def head(*shape: int) -> np.ndarray[Any, Any]:
    """A box of 100 grey levels in the middle of a field of zeros, which packs to little."""
    array = np.zeros(shape, np.uint16)
    levels = np.arange(shape[-1] // 2, dtype=np.uint16) * 100 // (shape[-1] // 2) + 100
    array[..., shape[-2] // 4 : shape[-2] * 3 // 4, shape[-1] // 4 : shape[-1] // 4 + len(levels)] = levels
    return array


def nifti_of(folder: Path, shape: tuple[int, int, int], claimed: tuple[int, int, int] | None = None) -> Path:
    """A head as doubles, packed; the header may claim another shape."""
    image = nibabel.Nifti1Image(head(*shape).astype(np.float64), np.diag([1.0, 1.0, 3.0, 1.0]))
    content = bytearray(image.to_bytes())
    if claimed:
        content[42:48] = struct.pack("<3h", *claimed)
    path = folder / "FLAIR.nii.gz"
    path.write_bytes(gzip.compress(bytes(content), 1))
    return path


def tar_bomb(folder: Path) -> Path:
    """4 GiB of zeros in a tar.gz of 4 MB."""
    entry = tarfile.TarInfo("a.dcm")
    entry.size = 2**32
    path = folder / "a.tar.gz"
    path.write_bytes(gzip.compress(entry.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(ZEROS, 9) * 256)
    return path


def zipped_slice(folder: Path, width: int) -> Path:
    write_mr(folder / "a.dcm", head(width, width), SeriesDescription="FLAIR")
    return zip_of(folder / "a.zip", "a.dcm", (folder / "a.dcm").read_bytes())


def claimed_slice(folder: Path) -> Path:
    """A compressed slice whose header and codestream claim 15,000 x 15,000 pixels."""
    frame = encode_array(np.zeros((64, 64), np.uint16), bits_stored=16, photometric_interpretation=2)
    at = frame.index(b"\xff\x4f\xff\x51") + 8
    frame = frame[:at] + struct.pack(">2I", 15_000, 15_000) + frame[at + 8 :]
    frame = frame[: at + 16] + struct.pack(">2I", 15_000, 15_000) + frame[at + 24 :]
    return write_mr(
        folder / "a.dcm", syntax=JPEG2000Lossless, PixelData=encapsulate([frame]), Rows=15_000, Columns=15_000
    )


def compressed_slices(folder: Path, width: int, count: int) -> Path:
    """Slices as JPEG 2000, a few kilobytes each."""
    frame = encode_array(head(width, width), bits_stored=16, photometric_interpretation=2)
    (folder / "scan").mkdir()
    for number in range(count):
        write_mr(
            folder / "scan" / f"{number}.dcm",
            np.zeros((1, 1), np.uint16),
            position=(0, 0, 3 * number),
            syntax=JPEG2000Lossless,
            PixelData=encapsulate([frame]),
            Rows=width,
            Columns=width,
            SeriesDescription="FLAIR",
        )
    return folder / "scan"


def picture(folder: Path, width: int) -> Path:
    Image.new("RGBA", (width, width)).save(folder / "00001_FLAIR_001.png", compress_level=1)
    return folder / "00001_FLAIR_001.png"


def huge_picture(folder: Path) -> Path:
    """A PNG whose header claims 60,000 x 60,000 pixels."""
    content = bytearray(picture(folder, 8).read_bytes())
    content[16:24] = struct.pack(">2I", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (folder / "00001_FLAIR_001.png").write_bytes(content)
    return folder / "00001_FLAIR_001.png"


def many_frames(folder: Path) -> Path:
    """An enhanced object that claims a million frames."""
    path = write_enhanced(folder / "a.dcm", np.zeros((4, 8, 8), np.uint16))
    dataset = dcmread(path)
    dataset.NumberOfFrames = 10**6
    dataset.save_as(path)
    return path


def long_functional_groups(folder: Path) -> Path:
    """An enhanced object with 4 MiB of functional groups."""
    path = write_enhanced(folder / "a.dcm", np.zeros((4, 8, 8), np.uint16))
    dataset = dcmread(path)
    groups = dataset.PerFrameFunctionalGroupsSequence
    size = len(path.read_bytes()) // 4
    dataset.PerFrameFunctionalGroupsSequence = list(groups) * (4 * 2**20 // (4 * size))
    dataset.save_as(path)
    return path


def nested_zip(folder: Path) -> Path:
    inner = zip_of(folder / "inner.zip", "a.dcm", ZEROS * 8)
    return zip_of(folder / "outer.zip", "inner.zip", inner.read_bytes())


def workbook(folder: Path, sheet: bytes, method: int = zipfile.ZIP_DEFLATED, claimed: int | None = None) -> Path:
    """An xlsx file of one sheet; its directory and header may claim other bytes than it holds."""
    book, path = openpyxl.Workbook(), folder / "predictions.xlsx"
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if name.endswith("sheet1.xml"))
    head, tail = parts[name].split(b"<sheetData")[0] + b"<sheetData>", b"</sheetData></worksheet>"
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for one, content in parts.items():
            archive.writestr(one, head + sheet + tail if one == name else content)
    if claimed is not None:
        size = struct.pack("<I", len(head) + len(sheet) + len(tail))
        path.write_bytes(path.read_bytes().replace(size, struct.pack("<I", claimed)))
    return path


def cells(*values: str) -> bytes:
    return b"<row>" + b"".join(f'<c t="str"><v>{value}</v></c>'.encode() for value in values) + b"</row>"


def largest_workbook(folder: Path) -> Path:
    row = cells("1", "0", ".5")
    return workbook(folder, cells("id", "label", "probability") + row * (78 * 2**20 // len(row)))


def largest_table(folder: Path) -> Path:
    """A table of predictions of nearly 16 MiB, in rows as short as they can be."""
    rows = "".join(f"{number},{number % 2},.5\n" for number in range(1_300_000))
    (folder / "predictions.csv").write_text("id,label,probability\n" + rows)
    return folder / "predictions.csv"


def whole_series(folder: Path) -> Path:
    write_series(folder / "scan" / "FLAIR", head(40, 512, 512))
    return folder / "scan"


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a zip of bzip2": (lambda folder: zip_of(folder / "a.zip", "a", ZEROS, zipfile.ZIP_BZIP2), "ArchiveError"),
    "a zip of LZMA": (lambda folder: zip_of(folder / "a.zip", "a", ZEROS, zipfile.ZIP_LZMA), "ArchiveError"),
    "a zip that lies": (lying_zip, "ArchiveError"),
    "a zip of overlapping entries": (overlapping_zip, "ArchiveError"),
    "a zip of 600 MB": (large_zip, "LimitError"),
    "a zip in a zip": (nested_zip, "EmptyCohortError"),
    "a tar.gz of 4 GiB": (tar_bomb, "LimitError"),
    "a .nii.gz that claims too much": (
        lambda folder: nifti_of(folder, (8, 8, 8), (2000, 2000, 200)),
        "EmptyCohortError",
    ),
    "the largest .nii.gz": (lambda folder: nifti_of(folder, (512, 512, 128)), ""),
    "a slice of 15,000 x 15,000": (claimed_slice, "EmptyCohortError"),
    "the largest slice": (lambda folder: zipped_slice(folder, WIDEST), ""),
    "the largest compressed slice": (lambda folder: compressed_slices(folder, WIDEST, 1), ""),
    "compressed slices of 1.3 GB": (lambda folder: compressed_slices(folder, 4096, 40), "LimitError"),
    "the largest picture": (lambda folder: picture(folder, WIDEST), ""),
    "a picture that claims too much": (huge_picture, "EmptyCohortError"),
    "a deflated data set": (lambda folder: write_deflated_bomb(folder / "a.dcm", 2**26), "EmptyCohortError"),
    "a million frames": (many_frames, "EmptyCohortError"),
    "long functional groups": (long_functional_groups, "EmptyCohortError"),
    "a series of 40 slices": (whole_series, ""),
    "a workbook of bzip2": (lambda folder: workbook(folder, ZEROS * 8, zipfile.ZIP_BZIP2), "ArchiveError"),
    "a workbook of LZMA": (lambda folder: workbook(folder, ZEROS * 8, zipfile.ZIP_LZMA), "ArchiveError"),
    "a workbook of 256 MiB": (lambda folder: workbook(folder, ZEROS * 16), "LabelError"),
    "a workbook that claims little": (lambda folder: workbook(folder, ZEROS * 64, claimed=1000), "LabelError"),
    "the largest workbook": (largest_workbook, ""),
    "the largest table": (largest_table, ""),
}
"""How each is made, and what it is refused with; empty where it is read."""

SCRIPT = """
import json, os, sys, psutil
from pathlib import Path
from core.config import PrepConfig
from core.data.prepare.slices import prepare_source
from core.data.upload import open_scan
from core.errors import DataError
from core.experiments.referee.table import read_predictions
from core.settings import load_settings
from ui.widgets.stacks import read_stack

def peak(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

settings = load_settings({"MGMT_LAB_MODE": "hosted", "MGMT_LAB_HOME": sys.argv[1]})
for path in map(Path, sys.stdin.read().splitlines()):
    for process in (psutil.Process(), *psutil.Process().children()):
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak starts anew
    before = psutil.Process().memory_info().rss
    error = ""
    try:
        table = path.name.startswith("predictions")
        scan = read_predictions(path) and () if table else open_scan([path], path.parent / "unpacked", settings).series
        for series in scan:
            prepare_source((series,), PrepConfig())
            read_stack(series)
    except DataError as found:
        error = type(found).__name__ + ": " + str(found)
    children = sum(peak(child.pid) for child in psutil.Process().children())
    left = [str(file) for file in (path.parent / "unpacked").rglob("*") if file.is_file()]
    print(json.dumps({"error": error, "bytes": peak(os.getpid()) - before + children, "left": left}), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Each opened, prepared and read for the viewer, one after the other, by one process as a hosted server is."""
    paths = [make(tmp_path_factory.mktemp("upload")) for make, _ in BOMBS.values()]
    command = [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("home"))]
    text = "\n".join(map(str, paths))
    done = subprocess.run(command, cwd=PROJECT_ROOT, input=text, stdout=subprocess.PIPE, text=True, check=True)
    return dict(zip(BOMBS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_no_upload_takes_more_than_a_gigabyte(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    found, refused = outcomes[name], BOMBS[name][1]
    print(name, found)
    assert found["bytes"] <= LIMIT_BYTES
    assert found["error"].split(":")[0] == refused, found["error"]
    assert not refused or not found["left"], "nothing of a refused upload is kept"
