"""Whether a scan looks like what a checkpoint was trained on; it warns and measures, and never refuses.

A figure on a checkpoint's card holds for scans like its own. Nothing here can tell a brain from everything else:
it finds what differs in grey values, plane and geometry, each said with its measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import jensenshannon

from core.data.prepare.examples import PreparedSeries
from core.data.study import Series
from core.dataset.intensity_profile import BINS, intensity_histogram
from core.models.card import CheckpointCard
from core.mri import MRSequence, Plane

GREY_LIMIT = 0.4
"""Jensen-Shannon distance of the grey histograms above which a scan is said to differ.

Measured. Real skull-stripped T1wCE slices of 72 patients, each patient against all: median 0.22, 95th percentile
0.35, largest 0.37. Real and synthetic series of the same sequence against the synthetic cohort: 0.09 to 0.26, and 0.38
for a fragment from the head's edge. Another sequence of the same head: 0.09 to 0.50. Noise: 0.55 to 0.68. An inverted
scan: from 0.81. So it finds images that were windowed or inverted differently, a wrong sequence only sometimes, and
it does not tell a synthetic head from a real one.
"""

FIELD_MM = (100.0, 400.0)
"""Field of view, along its longer side, in which a head is expected."""

SLICE_GAP_MM = 10.0
"""Distance between slices above which a tumour can lie between two of them."""

FEW_SLICES = 5

ENLARGEMENT = 3.0
"""Enlargement of the source above which a image shows interpolation rather than anatomy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One way in which a series differs from what the checkpoint was trained on."""

    kind: str
    """"grey", "plane", "field_of_view", "slice_gap", "few_slices" or "resolution"."""
    value: float | str
    limit: float | str
    sentence: str
    """Names the series, the measure, and what was expected."""


def inspect_images(series: Series, prepared: PreparedSeries, card: CheckpointCard) -> tuple[Finding, ...]:
    """Compare one prepared series with what the card says of the training images.

    A card without a histogram for the sequence, or without planes, is not compared in that respect, and
    loose images, which have no geometry, only in grey values and size.
    """
    findings = [
        _compare_grey(series, prepared, card),
        _compare_plane(series, card),
        _compare_field(series, prepared),
        _compare_gap(series),
        _count_slices(series, prepared),
        _compare_resolution(series, prepared),
    ]
    return tuple(finding for finding in findings if finding is not None)


def inspect_study(together: Sequence[Series], prepared: PreparedSeries, card: CheckpointCard) -> tuple[Finding, ...]:
    """Compare a study's series on a common grid with what the card says: grey values, and the gaps between slices.

    Plane and size are those of the grid, and say nothing of the scan.
    """
    names = list(dict.fromkeys(prepared.sequences)) or [str(together[0].sequence)]
    findings = [_compare_grey_of(name, _examples_of(name, prepared), card) for name in names]
    findings += [_compare_gap(series) for series in together]
    return tuple(finding for finding in findings if finding is not None)


def _examples_of(name: str, prepared: PreparedSeries) -> NDArray[np.uint8]:
    return prepared.pixels[np.array(prepared.sequences) == name] if prepared.sequences else prepared.pixels


def grey_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Jensen-Shannon distance (base 2) of two histograms: 0 equal, 1 nothing in common."""
    return float(np.nan_to_num(jensenshannon(first, second, base=2), nan=0.0))


def _compare_grey(series: Series, prepared: PreparedSeries, card: CheckpointCard) -> Finding | None:
    return _compare_grey_of(str(series.sequence), prepared.pixels, card)


def _compare_grey_of(name: str, pixels: NDArray[np.uint8], card: CheckpointCard) -> Finding | None:
    expected = _expected_shares(name, card)
    if expected is None:
        return None
    distance = grey_distance(intensity_histogram(pixels), expected)
    if distance <= GREY_LIMIT:
        return None
    return Finding(
        kind="grey",
        value=distance,
        limit=GREY_LIMIT,
        sentence=(
            f"{name}: its grey values are unlike those of the training pictures (Jensen-Shannon distance "
            f"{distance:.2f}; up to {GREY_LIMIT:.2f} is usual), so the checkpoint's figures do not hold for it."
        ),
    )


def _expected_shares(name: str, card: CheckpointCard) -> NDArray[np.float64] | None:
    """The sequence's histogram; the mean of all where the image does not say its sequence."""
    known = {name: shares for name, shares in card.intensity.items() if len(shares) == BINS and sum(shares) > 0}
    if name in known:
        return np.asarray(known[name])
    if name == MRSequence.UNKNOWN and known:
        return np.mean(list(known.values()), axis=0)
    return None


def _compare_plane(series: Series, card: CheckpointCard) -> Finding | None:
    seen: Sequence[str] = [plane for plane in card.planes if plane != Plane.UNKNOWN]
    if not seen or series.plane == Plane.UNKNOWN or series.plane in seen:
        return None
    return Finding(
        kind="plane",
        value=str(series.plane),
        limit=", ".join(seen),
        sentence=f"{series.sequence}: it is {series.plane}, and the checkpoint saw only {' and '.join(seen)} slices.",
    )


def _compare_field(series: Series, prepared: PreparedSeries) -> Finding | None:
    if series.spacing_mm is None or not prepared.frames:
        return None
    rows, columns = prepared.frames[0].source_shape
    field_mm = max(rows * series.spacing_mm[1], columns * series.spacing_mm[2])
    low, high = FIELD_MM
    if low <= field_mm <= high:
        return None
    return Finding(
        kind="field_of_view",
        value=field_mm,
        limit=low if field_mm < low else high,
        sentence=f"{series.sequence}: its field of view is {field_mm:.0f} mm; a head is expected in {low:.0f} to {high:.0f} mm.",
    )


def _compare_gap(series: Series) -> Finding | None:
    if series.spacing_mm is None or len(series.files) < 2 or series.spacing_mm[0] <= SLICE_GAP_MM:
        return None
    return Finding(
        kind="slice_gap",
        value=series.spacing_mm[0],
        limit=SLICE_GAP_MM,
        sentence=(
            f"{series.sequence}: its slices lie {series.spacing_mm[0]:.1f} mm apart (up to {SLICE_GAP_MM:.0f} mm is "
            "usual), so a tumour can lie between two of them."
        ),
    )


def _count_slices(series: Series, prepared: PreparedSeries) -> Finding | None:
    shown = prepared.slice_total - prepared.blank_count
    if series.kind == "picture" or shown >= FEW_SLICES:
        return None
    return Finding(
        kind="few_slices",
        value=float(shown),
        limit=float(FEW_SLICES),
        sentence=f"{series.sequence}: only {shown} of its slices show tissue; the answer rests on them alone.",
    )


def _compare_resolution(series: Series, prepared: PreparedSeries) -> Finding | None:
    if not prepared.frames:
        return None
    frame = prepared.frames[0]
    enlargement = max(
        (frame.bottom - frame.top) / max(frame.row_stop - frame.row_start, 1),
        (frame.right - frame.left) / max(frame.column_stop - frame.column_start, 1),
    )
    if enlargement <= ENLARGEMENT:
        return None
    rows, columns = frame.source_shape
    return Finding(
        kind="resolution",
        value=enlargement,
        limit=ENLARGEMENT,
        sentence=(
            f"{series.sequence}: its slices of {rows} x {columns} pixels are enlarged {enlargement:.1f} times; "
            "what the model sees is interpolated."
        ),
    )
