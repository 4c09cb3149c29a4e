"""The files of one folder, as names: a path is made when it is asked for.

A cohort has hundreds of thousands of files, and most of what is asked of it needs only how many: making a
:class:`~pathlib.Path` of each takes longer than reading from the index what is known of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

__all__ = ["FileNames"]


@dataclass(frozen=True, slots=True, eq=False)
class FileNames(Sequence[Path]):
    """A sequence of paths; equal to a tuple of the same paths, and of the same hash."""

    folder: Path
    names: tuple[str, ...]
    """Relative to the folder."""

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> FileNames: ...
    def __getitem__(self, index: int | slice) -> Path | FileNames:
        if isinstance(index, slice):
            return FileNames(self.folder, self.names[index])
        return self.folder / self.names[index]

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FileNames) and other.folder == self.folder:
            return self.names == other.names
        return isinstance(other, FileNames | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))
