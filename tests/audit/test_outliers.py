"""What is unlike the rest is named; a second protocol, noise and small groups are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.audit.outliers import FEWEST, find_blank, find_intensity_outliers, find_spacing_outliers
from core.audit.pixels import SeriesPixels
from core.data.study import Series
from core.mri import MRSequence, Plane


def series(number: int, spacing: tuple[float, float, float] = (5, 1, 1), manufacturer: str = "A") -> Series:
    return Series(
        study_id=f"{number:05d}",
        sequence=MRSequence.T2W,
        series_uid=str(number),
        plane=Plane.AXIAL,
        files=(Path(f"{number}.dcm"),),
        spacing_mm=spacing,
        manufacturer=manufacturer,
    )


def pixels(levels: tuple[float, float] = (400, 1000), blank: str = "....") -> SeriesPixels:
    count = len(blank)
    return SeriesPixels(
        files=tuple(f"slice-{index}" for index in range(count)),
        digests=np.zeros((count, 2), np.uint64),
        hashes=np.zeros(count, np.uint64),
        blank=np.array([mark == "0" for mark in blank]),
        tissue=np.ones(count, np.float32),
        levels=levels,
        faults=(),
        entry=Path("none"),
    )


def test_a_spacing_in_the_wrong_unit_is_one_finding() -> None:
    rng = np.random.default_rng(0)
    usual = [series(n, (float(rng.uniform(3, 6)), 1, 1)) for n in range(20)]
    found = list(find_spacing_outliers([*usual, series(99, (5, 10, 10))]))
    assert [finding.where for finding in found] == [("00099/T2w",)]
    assert "10 mm between rows" in found[0].message
    assert "10 mm between columns" in found[0].message


def test_a_second_protocol_is_no_outlier() -> None:
    thick, thin = [series(n, (5, 1, 1)) for n in range(60)], [series(100 + n, (1, 1, 1)) for n in range(4)]
    assert not list(find_spacing_outliers([*thick, *thin]))
    assert list(find_spacing_outliers([*thick, thin[0]]))


def test_few_series_do_not_say_what_is_usual() -> None:
    few = [series(n) for n in range(FEWEST - 2)]
    assert not list(find_spacing_outliers([*few, series(99, (50, 10, 10))]))
    assert list(find_spacing_outliers([*few, series(98), series(99, (50, 10, 10))]))


def test_a_lost_slope_and_a_strange_contrast_are_named() -> None:
    rng = np.random.default_rng(1)
    high = 1000 * np.exp(rng.normal(0, 0.5, 30))
    usual = [(series(n), pixels((0.4 * value, value))) for n, value in enumerate(high)]
    odd = [(series(98), pixels((4e5, 1e6))), (series(99), pixels((30, 1000)))]
    found = list(find_intensity_outliers([*usual, *odd]))
    assert {finding.where[0] for finding in found} == {"00098/T2w", "00099/T2w"}


def test_intensities_are_compared_within_a_manufacturer() -> None:
    first = [(series(n, manufacturer="A"), pixels((40, 100))) for n in range(12)]
    second = [(series(50 + n, manufacturer="B"), pixels((40_000, 100_000))) for n in range(12)]
    assert not list(find_intensity_outliers([*first, *second]))
    lost = (series(99, manufacturer="B"), pixels((40, 100)))
    assert [finding.where for finding in find_intensity_outliers([*first, *second, lost])] == [("00099/T2w",)]


def test_blank_ends_are_a_note_and_blank_gaps_are_not() -> None:
    found = list(find_blank([(series(1), pixels(blank="00..0.0")), (series(2), pixels(blank="000"))]))
    assert [(finding.kind, finding.where) for finding in found] == [
        ("blank-series", ("00002/T2w",)),
        ("blank-inside", ("slice-4",)),
        ("blank-slices", ("slice-0", "slice-1", "slice-6")),
    ]
