"""Reading the files of a series one after the other: by template where one fits, else by the reference reader.

The one place that chooses between :mod:`core.data.formats.template_header` and :mod:`core.data.formats.dicom`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.formats.dicom import find_pixels, locate_pixels, read_located, read_native, rescale
from core.data.formats.header import InstanceHeader
from core.data.formats.template_header import HEAD_BYTES, Template, fill_template, learn_template
from core.settings import Settings


class SeriesReader:
    """Reads headers and pixels of files that lie side by side; what it gives is what the reference reader gives."""

    def __init__(self, settings: Settings) -> None:
        """Start without a template; `settings` are the limits."""
        self._settings = settings
        self._template: Template | None = None

    def read_content(self, content: memoryview, path: Path) -> tuple[InstanceHeader, int]:
        """Return the header of an image of one frame that was read whole, and where its pixels begin.

        Parameters
        ----------
        content
            The whole file.
        path
            Where it lies; it is not opened.

        Raises
        ------
        DataError
            As :func:`core.data.formats.dicom.find_pixels` does.
        """
        head = bytes(content[:HEAD_BYTES])
        found = fill_template(self._template, head, len(content), path) if self._template else None
        if found is None:
            found = find_pixels(content, path, self._settings)
            self._template = learn_template(found[0], head, found[1], self._template)
        return found

    def match_header(self, path: Path) -> InstanceHeader | None:
        """Return the header of a file that fits the template, which is of the same folder; None for any other."""
        found = self._match(path)
        return found[0] if found else None

    def read_headers(self, path: Path) -> tuple[InstanceHeader, ...]:
        """Parse the headers of any MR object whole (:func:`core.data.formats.dicom.read_headers`), and learn from it.

        Raises as that does.
        """
        headers, offset = locate_pixels(path, self._settings)
        self._learn(headers[0], path, offset)
        return headers

    def read_frames(self, path: Path) -> tuple[tuple[InstanceHeader, ...], list[NDArray[Any]]]:
        """Read headers and frames of any MR object; see :func:`core.data.formats.dicom.read_frames`, and raises as that."""
        matched = self._match(path)
        if matched is None:
            headers, frames, offset = read_located(path, self._settings)
            self._learn(headers[0], path, offset)
            return headers, frames
        header, offset = matched
        stored = np.fromfile(path, np.uint8, header.rows * header.columns * header.bits_allocated // 8, offset=offset)
        return (header,), [rescale(read_native(stored.data, header)[0], header)]

    def _match(self, path: Path) -> tuple[InstanceHeader, int] | None:
        if self._template is None or self._template.header.path.parent != path.parent:
            return None
        return fill_template(self._template, *_read_head(path), path)

    def _learn(self, header: InstanceHeader, path: Path, offset: int | None) -> None:
        if offset is not None:
            self._template = learn_template(header, _read_head(path)[0], offset, self._template)


def _read_head(path: Path) -> tuple[bytes, int]:
    """Return a file's first bytes and its size; nothing of one that cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.open
            return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size
    except OSError:
        return b"", 0
