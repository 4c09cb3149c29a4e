"""Native decoders may die: the file is named, all others are read, and no process is left behind."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1

from core.data.formats.dicom import read_pixels
from core.data.study import Series
from core.data.volume import read_volume
from core.errors import DicomError
from core.mri import MRSequence, Plane
from tests.data.dicom_files import write_mr, write_series

HUFFMAN = "00240001000301010003010101010100030000000b0c0d0a0907080f060e050403010210"
DEADLY = bytes.fromhex("ffd8 ffc3000b100040004001011100 ff00" + HUFFMAN + "ffda0008010100010000") + b"\x5a" * 400
"""Lossless JPEG of 64 x 64 pixels of 16 bits whose Huffman table has no marker: GDCM 3.2.6 aborts the process."""
COMPRESSED = Path(str(get_testdata_file("MR_small_jpeg_ls_lossless.dcm")))


def write_deadly(path: Path, **attributes: object) -> Path:
    pixels = np.zeros((64, 64), np.uint16)
    return write_mr(path, pixels, syntax=JPEGLosslessSV1, PixelData=encapsulate([DEADLY]), **attributes)


def workers() -> list[psutil.Process]:
    """The decoders below this process."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one of another test that has just ended
            found += [child] if "core.data.formats.decoder_process" in child.cmdline() else []
    return found


def picture() -> NDArray[np.uint8]:
    y, x = np.mgrid[:64, :64]
    return ((np.hypot(x - 32, y - 32) < 24) * (40 + x)).astype(np.uint8)


@pytest.mark.parametrize(("allocated", "stored"), [(8, 8), (8, 7), (8, 5), (16, 8), (16, 12)])
def test_stored_bits_that_are_not_the_codestreams_do_not_end_the_process(
    tmp_path: Path, allocated: int, stored: int
) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(picture()).save(jpeg, "JPEG", quality=100)
    path = write_mr(
        tmp_path / "a.dcm",
        picture(),
        syntax=JPEGBaseline8Bit,
        PixelData=encapsulate([jpeg.getvalue()]),
        BitsAllocated=allocated,
        BitsStored=stored,
        HighBit=stored - 1,
    )
    assert np.abs(read_pixels(path) - picture()).max() <= 4


def test_a_file_that_ends_the_decoder_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    files = write_series(tmp_path, np.arange(3 * 64 * 64, dtype=np.uint16).reshape(3, 64, 64))
    files.append(write_deadly(tmp_path / "deadly.dcm", ImagePositionPatient=[-10.0, -20.0, -21.0]))
    series = Series(
        study_id="1", sequence=MRSequence.FLAIR, series_uid="", plane=Plane.UNKNOWN, files=(files[3], *files[:3])
    )
    volume, faults = read_volume(series)
    assert len(volume.array) == 3
    assert [fault.path for fault in faults] == ["1/FLAIR/deadly.dcm"]
    assert "deadly.dcm has damaged pixel data (JPEG Lossless" in faults[0].reason
    assert "the decoder died over it (SIGABRT); export the file again" in faults[0].reason


def test_one_worker_serves_many_files_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    expected = read_pixels(COMPRESSED)
    kept = workers()
    for _ in range(3):
        read_pixels(COMPRESSED)
    assert workers() == kept
    for worker in kept:  # as a system that runs out of memory does
        worker.kill()
    np.testing.assert_array_equal(read_pixels(COMPRESSED), expected)
    with pytest.raises(DicomError, match="SIGABRT"):
        read_pixels(write_deadly(tmp_path / "deadly.dcm"))
    np.testing.assert_array_equal(read_pixels(COMPRESSED), expected)


def test_threads_decode_side_by_side() -> None:
    expected = read_pixels(COMPRESSED)
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(lambda _: read_pixels(COMPRESSED), range(24)):
            np.testing.assert_array_equal(found, expected)
    assert len(workers()) <= 4


def _sum_in_child(pipe: multiprocessing.connection.Connection) -> None:
    pipe.send((float(read_pixels(COMPRESSED).sum()), [worker.pid for worker in workers()]))


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_daemonic_process_has_a_worker_of_its_own(method: str) -> None:
    """So are a data loader's workers, which may have no children of multiprocessing."""
    expected = float(read_pixels(COMPRESSED).sum())
    mine = {worker.pid for worker in workers()}
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=_sum_in_child, args=(there,), daemon=True)
    process.start()
    assert here.poll(60)
    total, theirs = here.recv()
    process.join()
    assert total == expected
    assert theirs
    assert not mine & set(theirs)
    assert float(read_pixels(COMPRESSED).sum()) == expected, "the parent's worker still answers"


@pytest.mark.parametrize("end", ["pass", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_no_worker_outlives_its_process(end: str) -> None:
    script = (
        "import psutil; from pathlib import Path; from core.data.formats.dicom import read_pixels\n"
        f"read_pixels(Path({str(COMPRESSED)!r}))\n"
        f"print([child.pid for child in psutil.Process().children()], flush=True)\n{end}"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == (0 if end == "pass" else -signal.SIGKILL)
    pid = int(done.stdout.strip("[]\n"))
    deadline = time.monotonic() + 120
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "it still runs"
            time.sleep(0.05)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="memory is limited where the system can")
def test_a_codestream_cannot_take_all_memory() -> None:
    script = (
        "import resource, numpy; from core.data.formats import decoder_process as process\n"
        "process.serve = lambda *_: numpy.ones(process.MEMORY_BYTES, numpy.uint8)\n"
        "process.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Unable to allocate" in done.stderr
