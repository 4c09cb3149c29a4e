"""Reading one series: a DICOM folder to a float32 volume in spatial order, ours beside its peers, in one process.

Every reader starts from the folder and ends at a float32 array (slices, rows, columns) in spatial order. They take
turns, and the figures are CPU-seconds of this process, so that a busy machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import interleave, machine, parse_arguments, print_table, shared_data
from numpy.typing import NDArray

REAL = ("rsna_dicom/train/00430/FLAIR", "rsna_dicom/train/00008/FLAIR")


def main() -> None:
    """Measure and print one table per series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.set_defaults(slices=129, size=512)
    arguments = parse_arguments(parser, rounds=1, slices=4, size=32)
    warnings.simplefilter("ignore")
    shared = None if arguments.tiny else shared_data()
    real = [shared / place for place in REAL] if shared else []
    with tempfile.TemporaryDirectory() as folder:
        for series in [*(place for place in real if place.is_dir()), write_synthetic(Path(folder), arguments)]:
            compare(series, arguments)


def write_synthetic(folder: Path, arguments: argparse.Namespace) -> Path:
    """By default 129 slices of 512 x 512, the size of a usual series of the competition."""
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig

    make_phantom(folder / "cohort", PhantomConfig(studies=2, slices=arguments.slices, size=arguments.size), jobs=1)
    return next((folder / "cohort/train").iterdir()) / "FLAIR"


def compare(series: Path, arguments: argparse.Namespace) -> None:
    """Check that our voxels are those of SimpleITK and pydicom, then time every reader; a tiny form does with those installed."""
    readers: dict[str, Callable[[Path], object]] = {"MGMT Lab": read_ours, "pydicom, plain loop": read_pydicom}
    for name, module, read in PEERS:
        if not arguments.tiny or importlib.util.find_spec(module):
            readers[name] = read
    ours = read_ours(series)
    for name in ("SimpleITK", "pydicom, plain loop"):
        voxels = readers[name](series) if name in readers else ours
        assert np.array_equal(np.sort(ours, axis=None), np.sort(voxels, axis=None)), f"voxels differ from {name}"
    seconds = interleave({name: (lambda read=read: read(series)) for name, read in readers.items()}, arguments.rounds)
    rows = [
        (name, len(ours) / spent, seconds.get("SimpleITK", np.nan) / spent, seconds["pydicom, plain loop"] / spent)
        for name, spent in seconds.items()
    ]
    shape = " x ".join(map(str, ours.shape))
    print_table(
        f"{series.parent.name}/{series.name}: {shape}, median of n = {arguments.rounds} rounds ({machine()})",
        ("reader", "slices per CPU-second", "x SimpleITK", "x plain loop"),
        rows,
    )


def read_ours(folder: Path) -> NDArray[np.float32]:
    """`read_volume`, from a list of files in no particular order."""
    from core.data.study import Series
    from core.data.volume import read_volume
    from core.mri import MRSequence, Plane

    series = Series(
        study_id=folder.parent.name,
        sequence=MRSequence.FLAIR,
        series_uid="",
        plane=Plane.UNKNOWN,
        files=tuple(folder.iterdir()),
    )
    return read_volume(series)[0].array


def read_simpleitk(folder: Path) -> NDArray[np.float32]:
    """GDCM's file names, which are in spatial order, and ITK's series reader."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    volume: NDArray[np.float32] = SimpleITK.GetArrayFromImage(reader.Execute())
    return volume


def read_pydicom(folder: Path) -> NDArray[np.float32]:
    """What one writes oneself: dcmread, sort by position, pixel_array, slope and intercept."""
    import pydicom

    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    normal = np.cross(slices[0].ImageOrientationPatient[:3], slices[0].ImageOrientationPatient[3:])
    slices.sort(key=lambda one: float(np.dot(normal, one.ImagePositionPatient)))
    return np.stack(
        [
            one.pixel_array.astype(np.float32) * float(one.get("RescaleSlope", 1))
            + float(one.get("RescaleIntercept", 0))
            for one in slices
        ]
    )


def read_torchio(folder: Path) -> object:
    """A ScalarImage of the folder, loaded."""
    import torchio

    return torchio.ScalarImage(folder).data.float()


def read_monai(folder: Path) -> object:
    """LoadImage with the PydicomReader, MONAI's default for a folder."""
    from monai.transforms import LoadImage

    return LoadImage(reader="PydicomReader", image_only=True)(str(folder))


PEERS: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
    ("SimpleITK", "SimpleITK", read_simpleitk),
    ("TorchIO", "torchio", read_torchio),
    ("MONAI", "monai", read_monai),
)
"""Reader's name, its package, and how it is called (requirements-bench.txt)."""


if __name__ == "__main__":
    main()
