"""Out-of-distribution (OOD) checks: whether a scan looks like what a checkpoint was trained on.

The figures on a checkpoint's card hold for scans like its own. The checks warn with a measure; those with a remedy are reason
enough to give no answer (:mod:`core.inference.guard`). They find
differences in grey values, plane and geometry; they cannot tell a brain from everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

from core.data.prepare.examples import PreparedSeries
from core.data.select import Source
from core.data.study import Series
from core.dataset.intensity_profile import BINS, intensity_histogram
from core.models.card import CheckpointCard
from core.mri import MRSequence, Plane

GREY_LIMIT = 0.4
"""Jensen-Shannon distance of the grey histograms above which the check fails.

Measured: real skull-stripped T1wCE slices of 72 patients, each patient against all: median 0.22, 95th percentile
0.35, largest 0.37. Real and synthetic series of the same sequence against the synthetic cohort: 0.09 to 0.26, and 0.38
for a fragment from the head's edge. Another sequence of the same head: 0.09 to 0.50. Noise: 0.55 to 0.68. An inverted
scan: from 0.81. So it finds images that were windowed or inverted differently, a wrong sequence only sometimes, and
it does not tell a synthetic head from a real one.
"""

GREY_FAR = 0.6
"""Distance above which no answer is given: noise and inverted scans. Nothing measured above that was a head as it should be."""

FIELD_MM = (100.0, 400.0)
"""Field of view, along its longer side, in which a head is expected."""

SLICE_GAP_MM = 10.0
"""Distance between slices above which a tumour can lie between two of them."""

FEW_SLICES = 5

ENLARGEMENT = 3.0
"""Enlargement of the source above which an image shows interpolation rather than anatomy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OodCheck:
    """One check that failed: a way in which a series differs from what the checkpoint was trained on."""

    kind: str
    """"grey", "plane", "field_of_view", "slice_gap", "few_slices", "resolution" or "processing"."""
    value: float | str
    limit: float | str
    sentence: str
    """Names the series, the measure, and what was expected."""
    remedy: str = ""
    """What to do; only where the check is reason enough to give no answer."""


def run_checks(source: Source, prepared: PreparedSeries, card: CheckpointCard) -> tuple[OodCheck, ...]:
    """Return the checks that fail for a prepared source: :func:`check_study` on a common grid, else :func:`check_series`."""
    if card.config.prep.grid_mm:
        return check_study(source, prepared, card)
    return check_series(source[0], prepared, card)


def check_sources(prepared: Sequence[tuple[Source, PreparedSeries]], card: CheckpointCard) -> list[OodCheck]:
    """Return all checks that fail for a study: those of each source that was prepared, and that of the processing."""
    checks = [check for source, one in prepared for check in run_checks(source, one, card)]
    processing = check_processing([series for source, _ in prepared for series in source], card)
    return [*checks, *([processing] if processing else [])]


def check_series(series: Series, prepared: PreparedSeries, card: CheckpointCard) -> tuple[OodCheck, ...]:
    """Return the checks that fail for one prepared series.

    A check for which the card holds nothing (no histogram of the sequence, no planes) is left out. Loose images, which have
    no geometry, are checked for grey values and size only.
    """
    checks = [
        _check_grey(series, prepared, card),
        _check_plane(series, card),
        _check_field_of_view(series, prepared),
        _check_slice_gap(series),
        _check_slice_count(series, prepared),
        _check_resolution(series, prepared),
    ]
    return tuple(check for check in checks if check is not None)


def check_study(source: Source, prepared: PreparedSeries, card: CheckpointCard) -> tuple[OodCheck, ...]:
    """Return the checks that fail for a study's series on a common grid: grey values and the gaps between slices.

    Plane and size are those of the grid there, not of the scan.
    """
    names = list(dict.fromkeys(prepared.sequences)) or [str(source[0].sequence)]
    checks = [_check_histogram(name, _examples_of(name, prepared), card) for name in names]
    checks += [_check_slice_gap(series) for series in source]
    return tuple(check for check in checks if check is not None)


def check_processing(used: Sequence[Series], card: CheckpointCard) -> OodCheck | None:
    """Return a failed check where a checkpoint learnt from scans that were processed from raw, and these are not so."""
    other = [str(one.sequence) for one in used if one.processing != card.processing]
    if not card.processing or not other:
        return None
    return OodCheck(
        kind="processing",
        value=", ".join(sorted({one.processing or "none" for one in used})),
        limit=card.processing,
        sentence=(
            f"{', '.join(other)} did not go through the processing that this checkpoint's training scans went through "
            f"({card.processing}), so its figures do not hold for it."
        ),
        remedy="Hand the scan in with --from raw, or press Process from raw.",
    )


def _examples_of(name: str, prepared: PreparedSeries) -> NDArray[np.uint8]:
    return prepared.pixels[np.array(prepared.sequences) == name] if prepared.sequences else prepared.pixels


def grey_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Jensen-Shannon distance (base 2) of two histograms: 0 equal, 1 nothing in common."""
    p, q = (np.asarray(counts, dtype=np.float64) / np.sum(counts) for counts in (first, second))
    divergence = (rel_entr(p, (p + q) / 2).sum() + rel_entr(q, (p + q) / 2).sum()) / np.log(2) / 2
    return float(np.sqrt(np.nan_to_num(divergence, nan=0.0)))


def _check_grey(series: Series, prepared: PreparedSeries, card: CheckpointCard) -> OodCheck | None:
    return _check_histogram(str(series.sequence), prepared.pixels, card)


def _check_histogram(name: str, pixels: NDArray[np.uint8], card: CheckpointCard) -> OodCheck | None:
    expected = _expected_shares(name, card)
    if expected is None:
        return None
    distance = grey_distance(intensity_histogram(pixels), expected)
    if distance <= GREY_LIMIT:
        return None
    return OodCheck(
        kind="grey",
        value=distance,
        limit=GREY_LIMIT,
        sentence=(
            f"{name}: its grey values are unlike those of the training images (Jensen-Shannon distance "
            f"{distance:.2f}; up to {GREY_LIMIT:.2f} is usual), so the checkpoint's figures do not hold for it."
        ),
        remedy="Hand in the MR images as the scanner wrote them, neither inverted nor windowed."
        if distance > GREY_FAR
        else "",
    )


def _expected_shares(name: str, card: CheckpointCard) -> NDArray[np.float64] | None:
    """Return the card's histogram of a sequence; the mean of all of them for images of unknown sequence."""
    known = {name: shares for name, shares in card.intensity.items() if len(shares) == BINS and sum(shares) > 0}
    if name in known:
        return np.asarray(known[name])
    if name == MRSequence.UNKNOWN and known:
        return np.mean(list(known.values()), axis=0)
    return None


def _check_plane(series: Series, card: CheckpointCard) -> OodCheck | None:
    seen: Sequence[str] = [plane for plane in card.planes if plane != Plane.UNKNOWN]
    if not seen or series.plane == Plane.UNKNOWN or series.plane in seen:
        return None
    return OodCheck(
        kind="plane",
        value=str(series.plane),
        limit=", ".join(seen),
        sentence=f"{series.sequence}: it is {series.plane}, and the checkpoint saw only {' and '.join(seen)} slices.",
    )


def _check_field_of_view(series: Series, prepared: PreparedSeries) -> OodCheck | None:
    if series.spacing_mm is None or not prepared.frames:
        return None
    rows, columns = prepared.frames[0].source_shape
    field_mm = max(rows * series.spacing_mm[1], columns * series.spacing_mm[2])
    low, high = FIELD_MM
    if low <= field_mm <= high:
        return None
    return OodCheck(
        kind="field_of_view",
        value=field_mm,
        limit=low if field_mm < low else high,
        sentence=f"{series.sequence}: its field of view is {field_mm:.0f} mm; a head is expected in {low:.0f} to {high:.0f} mm.",
        remedy="Hand in a scan of a whole head; if it is one, its header states a wrong pixel spacing.",
    )


def _check_slice_gap(series: Series) -> OodCheck | None:
    if series.spacing_mm is None or len(series.files) < 2 or series.spacing_mm[0] <= SLICE_GAP_MM:
        return None
    return OodCheck(
        kind="slice_gap",
        value=series.spacing_mm[0],
        limit=SLICE_GAP_MM,
        sentence=(
            f"{series.sequence}: its slices lie {series.spacing_mm[0]:.1f} mm apart (up to {SLICE_GAP_MM:.0f} mm is "
            "usual), so a tumour can lie between two of them."
        ),
    )


def _check_slice_count(series: Series, prepared: PreparedSeries) -> OodCheck | None:
    shown = prepared.slice_total - prepared.blank_count
    if series.kind == "picture" or shown >= FEW_SLICES:
        return None
    return OodCheck(
        kind="few_slices",
        value=float(shown),
        limit=float(FEW_SLICES),
        sentence=f"{series.sequence}: only {shown} of its slices show tissue; the answer rests on them alone.",
    )


def _check_resolution(series: Series, prepared: PreparedSeries) -> OodCheck | None:
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
    return OodCheck(
        kind="resolution",
        value=enlargement,
        limit=ENLARGEMENT,
        sentence=(
            f"{series.sequence}: its slices of {rows} x {columns} pixels are enlarged {enlargement:.1f} times; "
            "what the model sees is interpolated."
        ),
    )
