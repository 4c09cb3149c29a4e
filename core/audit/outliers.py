"""Series that are unlike the rest: in their spacing, and in their intensities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.audit.findings import Finding, find
from core.audit.pixels import SeriesPixels
from core.audit.structure import series_name
from core.data.study import Series
from core.mri import MRSequence

FEWEST = 8
"""Series of one kind that it takes to say what is usual."""
DEVIATIONS = 6.0
"""Robust standard deviations (1.4826 x the median absolute deviation) from the median: about one normal value in 500 million."""
MAD_TO_SD = 1.4826
SPACING_SD = 0.12
"""Least standard deviation of log spacing: below a factor of two from the median no spacing is unusual."""
LEVEL_SD = 0.4
"""Least standard deviation of log intensity: its unit is arbitrary, so below a factor of eleven nothing is unusual."""
CONTRAST_SD = 0.12
"""The same of the ratio of median to 99th percentile, which does not depend on the unit."""
COMPANY = 0.02
"""Share of the series near a value that makes it a protocol of its own rather than an outlier."""
NEAR = 0.22
"""Difference of logs that counts as near: a factor of 1.25."""


def find_spacing_outliers(series: Sequence[Series]) -> Iterator[Finding]:
    """Yield the series whose spacing is far from that of their sequence and shared by hardly any other."""
    groups: dict[MRSequence, list[Series]] = defaultdict(list)
    for one in series:
        if one.spacing_mm and min(one.spacing_mm) > 0:
            groups[one.sequence].append(one)
    for sequence, members in groups.items():
        spacings = np.array([one.spacing_mm for one in members])
        said: dict[int, list[str]] = defaultdict(list)
        for column, between in enumerate(("slices", "rows", "columns")):
            usual = np.median(spacings[:, column])
            for number in _outliers(np.log(spacings[:, column]), SPACING_SD):
                said[number].append(f"{spacings[number, column]:.3g} mm between {between} (median {usual:.3g} mm)")
        for number, parts in said.items():
            text = f"{', '.join(parts)}, compared with {len(members)} {sequence} series."
            yield find("spacing-outlier", [series_name(members[number])], text)


def find_intensity_outliers(pairs: Sequence[tuple[Series, SeriesPixels]]) -> Iterator[Finding]:
    """Yield the volumes whose level or contrast is far from that of their sequence and manufacturer.

    Where fewer than eight series share both, those of the sequence are the measure.
    """
    volumes = [(one, pixels) for one, pixels in pairs if one.kind != "picture" and min(pixels.levels) > 0]
    by_sequence: dict[MRSequence, list[int]] = defaultdict(list)
    by_scanner: dict[tuple[MRSequence, str], list[int]] = defaultdict(list)
    for number, (one, _) in enumerate(volumes):
        by_sequence[one.sequence].append(number)
        by_scanner[one.sequence, one.manufacturer].append(number)
    levels = np.log(np.array([pixels.levels for _, pixels in volumes]).reshape(-1, 2))
    measures = {"level": (levels[:, 1], LEVEL_SD), "contrast": (levels[:, 0] - levels[:, 1], CONTRAST_SD)}
    for (sequence, _), members in by_scanner.items():
        group = members if len(members) >= FEWEST else by_sequence[sequence]
        for name, (values, least) in measures.items():
            for place in _outliers(values[group], least):
                if group[place] in members:
                    one, pixels = volumes[group[place]]
                    usual = float(np.exp(np.median(values[group])))
                    yield find("intensity-outlier", [series_name(one)], _describe(name, pixels, usual, one, len(group)))


def find_blank(pairs: Sequence[tuple[Series, SeriesPixels]]) -> Iterator[Finding]:
    """Yield blank series, blank slices between slices that show something, and one note on blank ends."""
    ends: list[str] = []
    inside: list[str] = []
    for series, pixels in pairs:
        shown = np.flatnonzero(~pixels.blank)
        if not shown.size:
            count = len(pixels.blank)
            yield find("blank-series", [series_name(series)], f"All {count} slices of {series_name(series)} are blank.")
            continue
        for number in np.flatnonzero(pixels.blank):
            between = series.kind != "picture" and shown[0] < number < shown[-1]
            (inside if between else ends).append(pixels.files[number])
    for file in inside:
        yield find("blank-inside", [file], f"{file} is blank, but slices on either side of it show the head.")
    if ends:
        total = sum(len(pixels.blank) for _, pixels in pairs)
        yield find(
            "blank-slices", ends, f"{len(ends):,} of {total:,} slices are blank and lie at an end of their series."
        )


def _outliers(values: NDArray[np.float64], least_sd: float) -> list[int]:
    """Return the places of values that are far from the median and nearly alone there."""
    if len(values) < FEWEST:
        return []
    away = np.abs(values - np.median(values))
    spread = max(least_sd, MAD_TO_SD * float(np.median(away)))
    company = max(1, int(COMPANY * len(values)))
    return [
        int(number)
        for number in np.flatnonzero(away > DEVIATIONS * spread)
        if (np.abs(values - values[number]) < NEAR).sum() <= company
    ]


def _describe(measure: str, pixels: SeriesPixels, usual: float, series: Series, count: int) -> str:
    median, high = pixels.levels
    of = f"the median of {count} {series.sequence} series"
    if measure == "level":
        return f"The 99th percentile of its intensities is {high:.3g}; {of} is {usual:.3g}."
    return f"Its median is {median / high:.3g} of its 99th percentile; {of} is {usual:.3g}."
