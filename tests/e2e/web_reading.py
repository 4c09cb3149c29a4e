"""The volumes of a scan by three readers: the page, core and SimpleITK."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.study import Series
from core.data.upload import open_scan
from core.data.volume import Volume, read_volume
from core.errors import DataError
from core.mri import MRSequence
from core.settings import load_settings
from tests.e2e.web_page import WebPage

SAME_MM = 1e-3
"""Of a voxel's place."""
SAME_VALUE = 1e-6
"""Of a value, as a share of the largest: float32 rounds once."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """One series, by three readers."""

    name: str
    shape: tuple[int, ...] = ()
    page: str = ""
    """How the page's voxels differ from core's: empty where values, order and places are the same."""
    sitk: str = ""
    """How SimpleITK's differ from core's."""


def compare_reading(name: str, scan: Path, page: WebPage, sequence: MRSequence | None = None) -> Iterator[Read]:
    """Yield each series of a scan that is a volume, in core's own view; nothing for a scan that core refuses."""
    found = page.read(scan, sequence=sequence)
    settings = load_settings({**os.environ, "MGMT_LAB_THREADS": "1"})
    with TemporaryDirectory(prefix="mgmt-lab-") as workspace:
        try:
            cohort = open_scan([scan], Path(workspace) / "unpacked", settings, sequence=sequence)
        except DataError as error:
            yield Read(
                name=name,
                page="" if found == {} or "error" in found else "it reads what core refuses",
                sitk=f"core: {error}",
            )
            return
        for series in (one for study in cohort for one in study.series if one.kind != "picture"):
            label = f"{name}, {series.sequence}"
            try:
                volume, _ = read_volume(series)
            except DataError as error:
                yield Read(
                    name=label,
                    page="" if series.series_uid not in found else "it reads what core refuses",
                    sitk=f"core: {error}",
                )
                continue
            theirs = found.get(series.series_uid)
            own = found.get("error", f"not among {list(found)}") if theirs is None else _differ_page(volume, theirs)
            if own == VALUES and theirs is not None:
                voxels = page.read(scan, sequence=sequence, uid=series.series_uid)[series.series_uid]["voxels"]
                own = _differ(
                    volume.array, np.frombuffer(base64.b64decode(voxels), np.float32).reshape(volume.array.shape)
                )
            yield Read(name=label, shape=volume.array.shape, page=own, sitk=_differ_sitk(volume, series))


VALUES = "values"


def _differ_page(volume: Volume, theirs: dict[str, Any]) -> str:
    if tuple(theirs["shape"]) != volume.array.shape:
        return f"shape {theirs['shape']}"
    moved = float(np.abs(np.array(theirs["affine"]).T - volume.affine[:3]).max())
    if moved > SAME_MM:
        return f"places, by {moved:.3g} mm"
    digest = hashlib.sha256(np.ascontiguousarray(volume.array, np.float32).tobytes()).digest()
    return "" if base64.b64decode(theirs["digest"]) == digest else VALUES


def _differ(ours: NDArray[np.float32], theirs: NDArray[Any]) -> str:
    apart = np.abs(ours.astype(np.float64) - theirs)
    if apart.max() <= SAME_VALUE * max(float(np.abs(ours).max()), 1e-9):
        return ""
    return f"values, {np.count_nonzero(apart)} of {apart.size}, by up to {apart.max():.3g}"


def _differ_sitk(volume: Volume, series: Series) -> str:
    """Find where each voxel of core's lies in SimpleITK's image, by the places of both, and compare what stands there."""
    files = [str(path) for path in series.files]
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        if series.kind == "nifti" or len(files) == 1:
            image = sitk.ReadImage(files[0])
        else:
            folder = str(Path(files[0]).parent)
            listed = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, series.series_uid)
            image = sitk.ReadImage([name for name in listed if name in files])
    except RuntimeError as error:
        return f"it cannot read it: {str(error).strip().splitlines()[-1][:120]}"
    values = sitk.GetArrayFromImage(image)
    if values.ndim != 3:
        return f"{values.ndim} dimensions"
    theirs = np.eye(4)
    theirs[:3, :3] = (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing())[:, ::-1]
    theirs[:3, 3] = image.GetOrigin()
    index = np.linalg.inv(theirs) @ volume.affine
    whole = np.rint(index)
    last = np.array([*np.array(volume.array.shape) - 1, 1])
    apart = float(np.abs((theirs @ (index - whole) @ np.diag(last))[:3]).max())
    if apart > 10 * SAME_MM or not volume.in_mm:
        return f"places, by {apart:.3g} mm" if volume.in_mm else "no places to compare by"
    turned = np.transpose(values, np.abs(whole[:3, :3]).argmax(axis=0))
    turned = turned[tuple(slice(None, None, int(step)) for step in whole[:3, :3].sum(axis=0))]
    return f"shape {turned.shape}" if turned.shape != volume.array.shape else _differ(volume.array, turned)
