"""Synthetic studies as they would come from elsewhere: another scanner, spacing, contrast, pose, or with the skull on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset, dcmread
from scipy.ndimage import gaussian_filter

from core.data.formats.nifti import RAS_TO_LPS
from core.data.study import Study
from core.phantom.whole_head import draw_whole_head

Images = NDArray[np.float32]
"""(slices, rows, columns), in the order of their positions."""


def darken_edge(images: Images) -> Images:
    """A coil's bias field: from 1.6 times as bright on one side to 0.4 times on the other."""
    return images * np.linspace(1.6, 0.4, images.shape[2], dtype=np.float32)


def add_noise(images: Images) -> Images:
    """Rician noise of 8% of the brightest tissue: a weak field, or a hurried scan."""
    generator = np.random.default_rng(0)
    deviation = 0.08 * np.percentile(images, 99.5)
    real, imaginary = (generator.normal(0, deviation, images.shape) for _ in range(2))
    return np.hypot(images + real, imaginary).astype(np.float32)


def bend_tones(images: Images, gamma: float) -> Images:
    """Another contrast of the same tissues: a power of the brightness."""
    top = float(np.percentile(images, 99.5)) or 1.0
    return np.asarray(np.clip(images / top, 0, None) ** gamma * top, np.float32)


CHANGED_IMAGES: dict[str, Callable[[Images], Images]] = {
    "scanner: noise of 8%": add_noise,
    "scanner: strong bias field": darken_edge,
    "scanner: blurred by 2 pixels": lambda images: gaussian_filter(images, (0, 2, 2)),
    "contrast: brightness to the power of 0.5": partial(bend_tones, gamma=0.5),
    "contrast: brightness to the power of 2": partial(bend_tones, gamma=2.0),
    "pose: turned by 90 degrees": lambda images: np.rot90(images, axes=(1, 2)),
    "pose: top and bottom exchanged": lambda images: images[:, ::-1],
}


Slices = list[FileDataset]
"""Of one series, in the order of their positions."""


def change_images(slices: Slices, change: Callable[[Images], Images]) -> Slices:
    """Other pixels, the headers as they were."""
    images = change(np.stack([one.pixel_array for one in slices]).astype(np.float32))
    for dataset, image in zip(slices, images, strict=True):
        dataset.PixelData = np.clip(image, 0, 32767).astype("<u2").tobytes()
        dataset.Rows, dataset.Columns = image.shape
    return slices


def rename_scanner(slices: Slices) -> Slices:
    """The same images under the name and field strength of a scanner that no training scan came from."""
    for dataset in slices:
        dataset.Manufacturer, dataset.ManufacturerModelName = "Another maker", "Seven"
        dataset.MagneticFieldStrength = "7"
    return slices


def widen_pixels(slices: Slices, times: int) -> Slices:
    """Pixels so many times as wide, each the mean of those that it covers."""
    for dataset in slices:
        rows, columns = dataset.Rows // times, dataset.Columns // times
        whole = dataset.pixel_array[: rows * times, : columns * times].astype(np.float32)
        dataset.PixelData = whole.reshape(rows, times, columns, times).mean(axis=(1, 3)).astype("<u2").tobytes()
        dataset.Rows, dataset.Columns = rows, columns
        dataset.PixelSpacing = [float(one) * times for one in dataset.PixelSpacing]
    return slices


CHANGED: dict[str, Callable[[Slices], Slices]] = {
    **{kind: partial(change_images, change=change) for kind, change in CHANGED_IMAGES.items()},
    "scanner: another name and field strength in the header alone": rename_scanner,
    "spacing: gaps twice as wide": lambda slices: slices[::2],
    "spacing: gaps 4 times as wide": lambda slices: slices[::4],
    "spacing: two slices of each series": lambda slices: slices[len(slices) // 2 :][:2],
    "spacing: pixels twice as wide": partial(widen_pixels, times=2),
    "spacing: pixels 4 times as wide": partial(widen_pixels, times=4),
}
"""What is changed, and what changes it."""


def write_changed(study: Study, folder: Path, change: Callable[[Slices], Slices]) -> Path:
    """Write a study anew after a change, each series in a folder of its own."""
    for number, series in enumerate(study.series):
        place = folder / study.study_id / str(number)
        place.mkdir(parents=True)
        for dataset in change(sorted(map(dcmread, series.files), key=lambda one: float(one.SliceLocation))):
            dataset.save_as(place / f"{dataset.SOPInstanceUID}.dcm")
    return folder / study.study_id


def write_whole_head(folder: Path, index: int, seed: int = 22) -> Path:
    """Write a synthetic head with fluid, skull and scalp as NIfTI, a file for each sequence."""
    head, generator = draw_whole_head(seed, index), np.random.default_rng([seed, index])
    place = folder / f"head{index:03d}"
    place.mkdir(parents=True)
    for sequence in head.images:
        volume = head.acquire(sequence, np.eye(4), (5.0, 1.0, 1.0), generator)
        affine = RAS_TO_LPS @ volume.affine[:, [2, 1, 0, 3]]
        nibabel.save(nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), affine), place / f"{sequence}.nii.gz")
    return place
