"""Decoding in processes that may die: a file over which a native decoder aborts is named, and the work continues.

A worker is a process of its own with a pipe each way, not one of :mod:`multiprocessing`: it can be started from any
thread, and from joblib's and a data loader's workers, which may have no children of that kind. It is started with the
first compressed frame, kept for the next, and ends when this process does, however that ends.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from io import FileIO
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from core.data.formats.decoder_process import ANSWER, FAILED, READY, REQUEST
from core.errors import DicomError
from core.settings import PROJECT_ROOT

KEPT = 4
"""Idle workers that are kept warm; there are as many as threads that decode at once."""


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
            raise DecodeError(bytes(content).decode(errors="replace"))
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
        """Have one frame decoded by an idle worker, or by a new one; raises as :func:`decode_codestream` does."""
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
                    raise DecodeError(
                        f"the decoder died over it ({error}); export the file again, uncompressed."
                    ) from error
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


def decode_codestream(codestream: bytes, syntax: str, rows: int, columns: int, bits: int) -> NDArray[Any]:
    """Decode one grey frame in a worker: see :func:`core.data.formats.decoder_process.decode`.

    Raises
    ------
    DecodeError
        The codestream is damaged, or the worker died over it; the next frame has another worker.
    DicomError
        No worker can be started.
    """
    return _pool.decode(codestream, syntax, rows, columns, bits)
