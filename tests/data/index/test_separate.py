from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.cohort import scan_cohort
from core.data.index.series import SeriesScan, scan_series
from core.data.volume import read_volume
from core.mri import Plane
from core.settings import Settings
from tests.data.dicom_files import CORONAL, SAGITTAL, write_enhanced, write_series

STACK = np.random.default_rng(0).integers(0, 4000, (10, 6, 5)).astype(np.uint16)


def scan(folder: Path, settings: Settings) -> SeriesScan:
    return scan_series("1", sorted(path for path in folder.rglob("*") if path.is_file()), folder, settings)


def numbered(prefix: str, count: int = len(STACK)) -> list[str]:
    return [f"{prefix}{index}.dcm" for index in range(count)]


def test_two_echoes_in_one_series_are_two_series(tmp_path: Path, settings: Settings) -> None:
    for echo in (20, 90):
        write_series(tmp_path, STACK + echo, names=numbered(f"{echo}-"), EchoTime=echo)
    found = scan(tmp_path, settings)
    assert not found.faults
    assert "are 2 series by their echo time, and were split" in found.notes[0]
    assert sorted(series.series_uid for series in found.series) == ["1.2.3.4/1", "1.2.3.4/2"]
    volumes = {series.files[0].name: read_volume(series, settings)[0] for series in found.series}
    for echo in (20, 90):
        np.testing.assert_array_equal(volumes[f"{echo}-0.dcm"].array, STACK + echo)


def test_two_orientations_are_two_series_and_three_of_few_slices_are_refused(
    tmp_path: Path, settings: Settings
) -> None:
    write_series(tmp_path / "a", STACK, names=numbered("ax"))
    write_series(tmp_path / "a", STACK, names=numbered("cor"), orientation=CORONAL)
    found = scan(tmp_path / "a", settings)
    assert {series.plane for series in found.series} == {Plane.AXIAL, Plane.CORONAL}
    assert "2 series by their orientation" in found.notes[0]
    write_series(tmp_path / "b", STACK[:3], names=numbered("ax", 3))
    write_series(tmp_path / "b", STACK[:3], names=numbered("cor", 3), orientation=CORONAL)
    write_series(tmp_path / "b", STACK[:3], names=numbered("sag", 3), orientation=SAGITTAL)
    found = scan(tmp_path / "b", settings)
    assert not found.series
    assert "do not form one volume" in found.faults[0].reason


def test_a_time_series_stays_whole_and_is_refused(tmp_path: Path, settings: Settings) -> None:
    for time in range(3):
        write_series(tmp_path, STACK, names=numbered(f"{time}-"), NumberOfTemporalPositions=3)
    found = scan(tmp_path, settings)
    assert not found.series
    assert "30 images" in found.faults[0].reason
    assert "only 10 positions, up to 3 at one: a time series of 3 points" in found.faults[0].reason


@pytest.mark.parametrize(
    ("folder", "attributes", "says"),
    [
        ("s1", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "by its Image Type"),
        ("s1", {"SeriesDescription": "3-Plane Localizer"}, "by its name '3-Plane Localizer'"),
        ("SCOUT_1", {}, "by its name 'SCOUT_1'"),
    ],
)
def test_a_localiser_is_set_aside_and_the_study_goes_on(
    tmp_path: Path, folder: str, attributes: dict[str, Any], says: str
) -> None:
    write_series(tmp_path / "00001" / folder, STACK, SeriesInstanceUID="1.1", **attributes)
    write_series(tmp_path / "00001" / "FLAIR", STACK, SeriesInstanceUID="1.2")
    cohort = scan_cohort(tmp_path)
    assert [series.series_uid for series in cohort.series] == ["1.2"]
    (fault,) = cohort.faults
    assert fault.path == f"00001/{folder}"
    assert fault.reason == f"set aside: a localiser (a planning scan), {says}"


def test_a_mosaic_is_set_aside_and_the_study_goes_on(tmp_path: Path, settings: Settings) -> None:
    write_series(tmp_path / "ep", STACK, SeriesInstanceUID="1.1", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    write_series(tmp_path / "T1w", STACK, SeriesInstanceUID="1.2")
    found = scan(tmp_path, settings)
    assert [series.series_uid for series in found.series] == ["1.2"]
    assert "is a Siemens mosaic" in found.faults[0].reason


def test_slices_without_a_common_step_are_refused_and_missing_ones_named(tmp_path: Path, settings: Settings) -> None:
    paths = write_series(tmp_path / "a", STACK, step_mm=1.0)
    for path in [paths[index] for index in (1, 2, 5)]:
        path.unlink()
    found = scan(tmp_path / "a", settings)
    assert found.series[0].spacing_mm == pytest.approx((1, 1, 1))
    assert "gaps between slices vary from 1 to 3 mm (usually 1): slices may be missing" in found.faults[0].reason
    write_series(tmp_path / "b", STACK[:5], names=numbered("x", 5), step_mm=1.0)
    write_series(tmp_path / "b", STACK[:5], names=numbered("y", 5), step_mm=1.3, origin=(-10, -20, -24.6))
    assert "unevenly spaced, from 1 to 1.4 mm apart" in scan(tmp_path / "b", settings).faults[0].reason
    for index in range(6):
        write_series(tmp_path / "c", STACK[:1], names=[f"{index}.dcm"], origin=(0, 0, index**2 * 1.3))
    found = scan(tmp_path / "c", settings)
    assert not found.series
    assert "unevenly spaced, from 1.3 to 11.7 mm apart without a common step" in found.faults[0].reason


def test_the_frames_of_one_file_are_not_taken_apart(tmp_path: Path, settings: Settings) -> None:
    write_enhanced(tmp_path / "a.dcm", np.repeat(STACK, 2, axis=0), step_mm=0)
    found = scan(tmp_path, settings)
    assert not found.series
    assert not found.notes
