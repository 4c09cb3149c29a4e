"""Compressed pixel data: which transfer syntaxes can be read here, and frames decoded within bounds.

JPEG 2000 is decoded by OpenJPEG (pylibjpeg-openjpeg) and JPEG and JPEG-LS by GDCM, in a process that may die of it, and RLE
by pydicom, in Python. A codestream carries its own dimensions and precision, and a decoder allocates what they say: they
are compared with the header before a decoder sees them, and it is told the codestream's own.

A file over which a native decoder aborts is named, and the work continues. A worker is a process of its own with a pipe
each way, not one of :mod:`multiprocessing`: it can be started from any thread, and from joblib's and a data loader's
workers, which may have no children of that kind. It is started with the first compressed frame, kept for the next, and
ends when this process does, however that ends.
"""

from __future__ import annotations

import atexit
import os
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from core.data.formats.decoder_process import ANSWER, FAILED, NO_MEMORY, READY, REQUEST
from core.errors import DicomError, UnsupportedSyntaxError
from core.settings import PROJECT_ROOT

JPEG = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless}
)
JPEG_LS = frozenset({JPEGLSLossless, JPEGLSNearLossless})
JPEG_2000 = frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})
JPEG_START = b"\xff\xd8"
JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start of frame: JPEG (SOF0 to SOF15 without DHT, JPG and DAC) and JPEG-LS (SOF55)."""
CODEC_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    OSError,
    StopIteration,
    EOFError,
    struct.error,
)
"""What the codecs raise, down to a bare RuntimeError, on a damaged codestream."""
KEPT = 4
"""Idle workers that are kept warm; there are as many as threads that decode at once."""


@dataclass(frozen=True, slots=True)
class _Codestream:
    """What the start of a codestream says."""

    rows: int
    columns: int
    components: int
    precision: int


def check_syntax(syntax: str, bits_stored: int) -> None:
    """Make sure that a compressed transfer syntax can be decoded here.

    Parameters
    ----------
    syntax
        Transfer Syntax UID (0002,0010).
    bits_stored
        Bits Stored (0028,0101): of JPEG Extended the 8-bit kind can be read, and the 12-bit kind cannot.

    Raises
    ------
    UnsupportedSyntaxError
        It cannot; the message names it.
    """
    if syntax not in JPEG_2000 and syntax not in JPEG and syntax != RLELossless:
        raise _unsupported(syntax, "")
    if syntax == JPEGExtended12Bit and bits_stored > 8:
        raise _unsupported(syntax, f" with {bits_stored} bits a pixel")


def _unsupported(syntax: str, kind: str) -> UnsupportedSyntaxError:
    uid = UID(syntax)
    name = f"{uid.name} ({syntax})" if uid.name != syntax else syntax
    return UnsupportedSyntaxError(
        f"the transfer syntax {name}{kind} cannot be read here; convert it to Explicit VR Little Endian, "
        "for example with dcmdjpeg or gdcmconv --raw."
    )


def decode_frames(dataset: Dataset, content: bytes, syntax: str, name: str, frames: int = 1) -> list[NDArray[Any]]:
    """Decode the frames of a compressed image: stored values, each of shape (rows, columns).

    Parameters
    ----------
    dataset
        The image's attributes, without the pixel data.
    content
        The encapsulated pixel data (PS3.5 A.4), from the first item on.
    syntax
        Transfer Syntax UID (0002,0010).
    name
        The file's name, for messages.
    frames
        Number of Frames (0028,0008).

    Raises
    ------
    DicomError
        A codestream is damaged or missing, or larger than the header says.
    UnsupportedSyntaxError
        JPEG Extended whose codestream has 12 bits, whatever the header says.
    """
    try:
        found = list(islice(generate_frames(content, number_of_frames=frames), frames))
        decoded = [_decode_frame(dataset, frame, syntax, name) for frame in found]
    except UnsupportedSyntaxError as error:
        raise UnsupportedSyntaxError(f"{name}: {error}") from error
    except CODEC_ERRORS as error:
        raise DicomError(f"{name} has damaged pixel data ({UID(syntax).name}): {error}") from error
    if len(decoded) != frames:
        raise DicomError(f"{name} is cut off: it holds {len(decoded)} of {frames} compressed frames; copy it again.")
    return decoded


def _decode_frame(dataset: Dataset, frame: bytes, syntax: str, name: str) -> NDArray[Any]:
    rows, columns, allocated = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    if syntax == RLELossless:
        array = _decode_rle(dataset, frame)
    else:
        found = _check_codestream(_read_start(frame), rows, columns, allocated, name, syntax)
        array = _pool.decode(frame, "" if syntax in JPEG_2000 else syntax, rows, columns, found.precision)
        if dataset.get("PixelRepresentation") == 1 and array.dtype.kind == "u":
            array = _restore_signs(array, found.precision)
    if array.shape != (rows, columns):
        raise DicomError(f"{name} decodes to {array.shape} pixels; the header says {rows} x {columns}.")
    return array


def _check_codestream(
    found: _Codestream | None, rows: int, columns: int, allocated: int, name: str, syntax: str
) -> _Codestream:
    """Return what the codestream says of itself, where the header can be true beside it."""
    if found is None:
        raise DicomError(f"{name} holds no JPEG, JPEG-LS or JPEG 2000 image where its header says so.")
    if (found.rows, found.columns) != (rows, columns):
        raise DicomError(
            f"{name}: the compressed image states {found.rows} x {found.columns} pixels, the header {rows} x {columns}."
        )
    if syntax == JPEGExtended12Bit and found.precision > 8:
        raise _unsupported(syntax, f" with {found.precision} bits a pixel")
    if syntax in JPEG_LS and found.precision in (6, 7):  # GDCM decodes them to other values
        raise _unsupported(syntax, f" with {found.precision} bits a pixel")
    if found.components != 1 or not 2 <= found.precision <= allocated:
        raise DicomError(
            f"{name}: the compressed image has {found.components} components of {found.precision} bits; "
            f"expected one of 2 to {allocated}."
        )
    return found


def _read_start(frame: bytes) -> _Codestream | None:
    """Read size and precision from a JPEG, JPEG-LS or JPEG 2000 codestream; None where there is none."""
    start = frame.find(JPEG_2000_SIZE, 0, 4096)
    if start >= 0 and not frame.startswith(JPEG_START):
        # SIZ: marker, Lsiz, Rsiz (2 each), Xsiz, Ysiz, XOsiz, YOsiz, four of the tiles (4 each), Csiz (2), Ssiz (1);
        # ISO 15444-1 A.5.1
        right, bottom, left, top = struct.unpack(">4I", frame[start + 8 : start + 24])
        components, depth = struct.unpack(">HB", frame[start + 40 : start + 43])
        return _Codestream(bottom - top, right - left, components, (depth & 0x7F) + 1)
    at = 2 if frame.startswith(JPEG_START) else len(frame)
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in JPEG_FRAME_MARKERS:
            precision, rows, columns, components = struct.unpack(">BHHB", frame[at + 4 : at + 10])
            return _Codestream(rows, columns, components, precision)
        at += 1 if marker == 0xFF else 2 + struct.unpack(">H", frame[at + 2 : at + 4])[0]
    return None


def _restore_signs(values: NDArray[Any], precision: int) -> NDArray[Any]:
    """Give values of so many bits their signs, where the header knows of them and the codestream does not (PS3.5 8.2.4)."""
    shift = values.itemsize * 8 - precision
    return (values << shift).view(f"i{values.itemsize}") >> shift


def _decode_rle(dataset: Dataset, frame: bytes) -> NDArray[Any]:
    image = Dataset()
    image.update(dataset)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = RLELossless
    image.NumberOfFrames = 1
    image.add_new("PixelData", "OB", encapsulate([frame], has_bot=False))
    image["PixelData"].is_undefined_length = True
    array: NDArray[Any] = get_decoder(RLELossless).as_array(image, raw=True, decoding_plugin="pydicom")[0]
    return array


class DecodeError(RuntimeError):
    """A codestream that cannot be decoded; the message says why, and does not name the file."""


class _WorkerDiedError(Exception):
    """A worker ended before it answered."""


class _Worker:
    """One process, its requests and its answers."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "core.data.formats.decoder_process"],
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            raise DicomError(f"compressed pixels cannot be read here: no decoder can be started ({error}).") from error
        self._requests, self._answers = cast("FileIO", self._process.stdin), cast("FileIO", self._process.stdout)
        self.fresh = True
        """It has decoded nothing yet."""
        try:
            self._read(len(READY))
        except _WorkerDiedError as error:
            raise DicomError(f"compressed pixels cannot be read here: the decoder does not start ({error}).") from error

    def decode(self, codestream: bytes, syntax: str, rows: int, columns: int, bits: int) -> NDArray[Any]:
        """Have one frame decoded; raises _WorkerDiedError, and DecodeError with what the codec says."""
        request = REQUEST.pack(syntax.encode(), rows, columns, bits, len(codestream)) + codestream
        waiting = memoryview(request)
        try:
            while waiting:
                waiting = waiting[self._requests.write(waiting) :]
        except OSError as error:
            raise _WorkerDiedError(self._reason()) from error
        kind, length = ANSWER.unpack(self._read(ANSWER.size))
        content = self._read(length)
        self.fresh = False
        if kind == FAILED:
            said = bytes(content).decode(errors="replace")
            raise DecodeError(said) from (MemoryError() if said.startswith(NO_MEMORY) else None)
        return np.frombuffer(content, kind.strip().decode()).reshape(rows, columns)

    def _read(self, length: int) -> bytearray:
        content = bytearray(length)
        waiting = memoryview(content)
        while waiting:
            count = self._answers.readinto(waiting)
            if not count:
                raise _WorkerDiedError(self._reason())
            waiting = waiting[count:]
        return content

    def _reason(self) -> str:
        """Return how the process ended, in words."""
        self.end()
        code = self._process.returncode
        with suppress(ValueError):
            return signal.Signals(-code).name if code < 0 else f"exit {code}"
        return f"exit {code}"

    def end(self) -> None:
        """End the process, and wait for it."""
        self._requests.close()
        self._answers.close()
        self._process.wait()

    def forget(self) -> None:
        """Let go of a process that belongs to the parent of this one."""
        self._requests.close()
        self._answers.close()
        self._process.returncode = 0


class _Pool:
    """The workers of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    def decode(self, codestream: bytes, syntax: str, rows: int, columns: int, bits: int) -> NDArray[Any]:
        """Have one frame decoded by an idle worker, or by a new one; see :func:`core.data.formats.decoder_process.decode`.

        Raises
        ------
        DecodeError
            The codestream is damaged, or the worker died over it; the next frame has another worker.
        DicomError
            No worker can be started.
        """
        while True:
            worker = self._take()
            fresh = worker.fresh
            try:
                array = worker.decode(codestream, syntax, rows, columns, bits)
            except DecodeError:
                self._give_back(worker)
                raise
            except _WorkerDiedError as error:
                self._drop(worker)
                if fresh:  # one that had waited may have been ended by others
                    ended = str(error) == signal.SIGKILL.name  # as a system does whose memory gives out
                    raise DecodeError(
                        f"the decoder died over it ({error}); export the file again, uncompressed."
                    ) from (MemoryError() if ended else error)
            except BaseException:
                self._drop(worker)
                worker.end()
                raise
            else:
                self._give_back(worker)
                return array

    def end(self) -> None:
        """End all idle workers."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            self._drop(worker)
            worker.end()

    def forget(self) -> None:
        """Let go of the workers of the parent process, in a process that was forked from it."""
        for worker in self._all:
            worker.forget()
        self.__init__()  # type: ignore[misc]

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        worker = _Worker()
        with self._lock:
            self._all.add(worker)
        return worker

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            kept = len(self._idle) < KEPT
            if kept:
                self._idle.append(worker)
        if not kept:
            self._drop(worker)
            worker.end()

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)


_pool = _Pool()
atexit.register(_pool.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)
