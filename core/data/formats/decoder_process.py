"""The process that decodes compressed frames with native code, and may die of it.

It is started by :mod:`core.data.formats.codestream` as ``python -m core.data.formats.decoder_process``, answers one
request after the other, and ends when its input does. It imports little, so that it starts in a tenth of a second.
GDCM decodes JPEG and JPEG-LS, OpenJPEG JPEG 2000.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
from typing import Any, BinaryIO

import gdcm
import numpy as np
import openjpeg

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

REQUEST = struct.Struct("<64sIIHQ")
"""Transfer Syntax UID (empty for JPEG 2000), rows, columns, bits of a value, bytes of the codestream that follows."""
ANSWER = struct.Struct("<3sQ")
"""Kind of the values, as NumPy writes it (``u2``), or ``err``; bytes of the values, or of the message, that follow."""
READY = b"ready"
"""What is written first."""
FAILED = b"err"
NO_MEMORY = "there is too little memory"
"""How the message of a failure begins that says nothing of the codestream."""
MEMORY_BYTES = 3 * 2**29
"""What the process may take: a codestream can ask for more than its image has."""
FRAME_BYTES = 20
"""For each pixel, at most, of what a frame takes while it is decoded."""
SECONDS = 120
"""After so long over one frame the process ends itself."""


def decode(codestream: bytes, syntax: str, rows: int, columns: int, bits: int) -> np.ndarray[Any, Any]:
    """Decode one grey frame: the values as the codestream holds them, of shape (rows, columns).

    JPEG and JPEG-LS have no signs: their values are unsigned, of one byte or two. The process may die here.

    Parameters
    ----------
    codestream
        Of one frame.
    syntax
        Transfer Syntax UID of JPEG or JPEG-LS; empty for JPEG 2000.
    rows, columns, bits
        What the codestream says of itself. What the file's header says GDCM is not told: where the two differ, it
        ends the process.
    """
    if not syntax:
        array: np.ndarray[Any, Any] = openjpeg.decode(codestream)
        return array
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(1, 8 if bits <= 8 else 16, bits, bits - 1, 0))
    content = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(content, "<u1" if bits <= 8 else "<u2").reshape(rows, columns)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    answers.write(READY)
    answers.flush()
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        syntax, rows, columns, bits, length = REQUEST.unpack(head)
        codestream = requests.read(length)
        _allow(SECONDS)
        try:
            array = np.ascontiguousarray(decode(codestream, syntax.rstrip(b"\0").decode(), rows, columns, bits))
            kind = array.dtype.str[1:].encode().ljust(ANSWER.size - 8)
            content: Any = array.reshape(-1).view(np.uint8)
        except (Exception, SystemError) as error:  # noqa: BLE001 - whatever a codec raises, the answer is its message
            lacking = f"{NO_MEMORY}; " if _lacks_memory(FRAME_BYTES * rows * columns) else ""
            kind, content = FAILED, f"{lacking}{type(error).__name__}: {error}"[:500].encode()
        _allow(0)
        answers.write(ANSWER.pack(kind, len(content)))
        answers.write(content)
        answers.flush()


def _lacks_memory(count: int) -> bool:
    """Whether so many bytes, or one MiB, cannot be had: a codec that got too few says so in words of its own."""
    try:
        bytearray(max(count, 2**20))
    except MemoryError:
        return True
    return False


def _allow(seconds: int) -> None:
    """Let the process end itself after so long, even within native code; 0 is no limit."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def main() -> None:
    """Limit this process, keep what libraries print away from the answers, and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent
    if resource is not None:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        with contextlib.suppress(BrokenPipeError):
            serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
