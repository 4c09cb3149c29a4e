"""The files of one folder, as names: a path is made when it is asked for.

A cohort has hundreds of thousands of files, and most of what is asked of it needs only how many: making a
:class:`~pathlib.Path` of each takes longer than reading from the index what is known of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload


class FileNames(Sequence[Path]):
    """A sequence of paths; equal to a tuple of the same paths, and of the same hash.

    Parameters
    ----------
    folder
        In which they lie.
    text
        Their names relative to it, joined by :attr:`BETWEEN`; at least one.
    """

    BETWEEN = "\0"
    """No file's name holds it."""

    __slots__ = ("_count", "_names", "_text", "folder")

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self._text = text
        self._count = text.count(self.BETWEEN) + 1
        self._names: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """Their names relative to the folder."""
        if self._names is None:
            self._names = self._text.split(self.BETWEEN)
        return self._names

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Path, ...]: ...
    def __getitem__(self, index: int | slice) -> Path | tuple[Path, ...]:
        if isinstance(index, slice):
            return tuple(self.folder / name for name in self.names[index])
        return self.folder / self.names[index]

    def __iter__(self) -> Iterator[Path]:
        return (self.folder / name for name in self.names)

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FileNames) and other.folder == self.folder:
            return self._text == other._text
        return isinstance(other, FileNames | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"FileNames({str(self.folder)!r}, {self._count} files)"
