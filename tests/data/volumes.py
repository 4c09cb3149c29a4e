"""Volumes and image files made by rule, for the tests of what comes after reading."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.study import Cohort, Phase, Series, Study
from core.data.volume import Volume
from core.data.voxels import Voxels
from core.mri import MRSequence, Plane


def draw_head(
    slices: int = 12, rows: int = 40, columns: int = 30, blank: int = 0, seed: int = 0
) -> NDArray[np.float32]:
    """An ellipsoid of tissue with texture in air that is exactly zero; `blank` empty slices at either end."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in (slices, rows, columns)), indexing="ij")
    inside = (0.5 * z) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2 < 1
    texture = np.random.default_rng(seed).integers(200, 1000, inside.shape)
    head = np.where(inside, texture, 0).astype(np.float32)
    empty = np.zeros((blank, rows, columns), np.float32)
    return np.concatenate([empty, head, empty])


def make_volume(array: NDArray[np.float32], spacing_mm: tuple[float, float, float] = (3.0, 1.0, 1.0)) -> Volume:
    """An axial volume around an array."""
    slices, rows, columns = spacing_mm
    affine = np.array([[0, 0, columns, 0], [0, rows, 0, 0], [slices, 0, 0, -30.0], [0, 0, 0, 1]])
    return Volume(
        voxels=Voxels(array),
        affine=affine,
        sequence=MRSequence.FLAIR,
        plane=Plane.AXIAL,
        files=tuple(f"Image-{index + 1}.dcm" for index in range(len(array))),
    )


def write_images(folder: Path, count: int, seed: int = 0, shape: tuple[int, int] = (24, 20)) -> tuple[Path, ...]:
    """Grey PNG files with random content."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = [folder / f"{index}.png" for index in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(1, 256, shape, np.uint8)).save(path)
    return tuple(paths)


def make_study(
    folder: Path,
    study_id: str,
    label: int | None,
    *,
    person: str | None = None,
    sequences: tuple[MRSequence, ...] = (MRSequence.FLAIR,),
    images: int = 2,
    phase: Phase | None = None,
) -> Study:
    """A study of loose images, one series per sequence."""
    series = tuple(
        Series(
            study_id=study_id,
            sequence=sequence,
            series_uid=f"{study_id}.{sequence}",
            plane=Plane.UNKNOWN,
            files=write_images(folder / study_id / sequence, images, seed=crc32(f"{study_id}{sequence}".encode())),
            kind="picture",
        )
        for sequence in sequences
    )
    return Study(study_id=study_id, person=person or study_id, label=label, series=series, phase=phase)


def make_cohort(folder: Path, studies: list[Study]) -> Cohort:
    """A cohort of such studies."""
    return Cohort(root=folder, layout="flat", studies=tuple(studies))
