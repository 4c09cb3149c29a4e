"""The same scan found again by its pixels: registered to an atlas, resampled, skull-stripped, z-scored or saved in 8 bits.

A fingerprint is a brain of 24 x 24 x 24 blocks in its own box, its brightness as ranks in 15 steps. Two are compared in two
steps: all pairs as they lie where each is registered to the mean of all, as one product of matrices; then the likeliest by
an affine registration of the one to the other and the correlation, window by window, of what is finer than the anatomy that
all heads share.

It finds the same scan again. The same person at another session has another scan, and is found by ids and tables only.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (  # type: ignore[attr-defined]
    affine_transform,
    binary_closing,
    binary_erosion,
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    label,
    map_coordinates,
)

Array = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]
"""A fingerprint: (24, 24, 24) along left, posterior, superior; 0 outside the brain, else the rank of the brightness, 1 to 15."""

SIZE = 24
LEVELS = 15
COARSE_MM = 4.0
"""Blocks in which head and brain are looked for."""
CLOSED = 3
"""Blocks of a gap that is closed where a whole head is looked for."""
LARGEST_BRAIN_ML = 2400
"""What is larger is a head with its skull: brains have 900 to 1,900 ml, whole heads in a field of view 2,600 and more."""
LARGEST_HEAD_ML = 6000
"""Where more is shown beside a blanked background, it is noise, and what is shown is split from it by brightness."""
SMALLEST_BRAIN_ML = 200
"""What is smaller shows too little of a brain to be told from others."""
FLAT = 0.1
"""Share of a volume that has its background's very value, from which that was blanked and what differs is shown."""
NEXT_TO_NOTHING = 0.06
"""Difference from a blanked background, over the largest, up to which nothing is shown: what JPEG leaves around a brain."""
THICKEST_MM = 10.0
"""Distance of slices up to which a brain can be told from others."""
SCALP_MM = 13.0
"""Scalp and skull, which are taken off a whole head roughly; the comparison registers what is left."""
BRAIN_HEIGHT_MM = 135.0
"""Below the top of the brain of a whole head this is neck."""
MARGIN = 1.15
"""The box of the blocks over that of the brain."""
AVERAGED = 30
"""Of each list, so many heads or some more make the mean to which all are registered, to be compared as they lie there. Of
both lists, for whole heads and stripped brains lie ill on each other's mean."""
CANDIDATES = 18
"""Likeliest partners of each scan that are registered to it: the first of each of the :data:`SCREENS` orders, then the second."""
SCREENS = 3
"""Ways in which likely partners are looked for: registered to the mean of registered heads, registered to the mean of heads as
they lie in their boxes, and not registered. Each finds copies that another misses, where a registration goes astray."""
SAME = 0.82
"""Correlation from which two are the same scan; benchmarks/bench_fingerprint.py measures both sides of it."""
PROMISING = 0.7
"""Correlation from which a registration is carried on by the finest details."""
LEAST_POINTS = 200
WINDOWS = 3
"""Along each axis; in each of these 27 the details are compared by themselves."""
LEAST_WINDOW = 25
"""Blocks that a window must hold to count."""
LEAST_WINDOWS = 9
LEAST_OVERLAP = 0.5
"""Share of the smaller brain that must lie in the other after registration."""
LARGEST_STRETCH = 1.35
"""Registration may stretch or shrink an axis by so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Two scans that look the same: their places in the two lists, and the correlation after registration."""

    one: int
    other: int
    correlation: float


def take_fingerprint(array: Array, affine: Array) -> Levels | None:
    """Return the fingerprint of a scan; None where too little of a brain is seen, or in slices that are too thick.

    Parameters
    ----------
    array
        (slices, rows, columns) in any unit.
    affine
        (4, 4): its indices to LPS millimetres (:class:`core.data.volume.Volume`).
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all(np.isfinite(spacing)) or spacing.min() <= 0 or spacing.max() > THICKEST_MM or np.ptp(array) == 0:
        return None
    coarse, shown = _to_blocks(array, affine)
    mask = _find_brain(shown)
    if mask is None:
        return None
    places = np.argwhere(mask)
    low, high = np.percentile(places, (1, 99), axis=0)
    centre, half = (low + high) / 2, (high - low) / 2 * MARGIN
    steps = 2 * half / (SIZE - 1)
    smooth = np.maximum(0.3, 0.35 * steps)
    inside = gaussian_filter(mask.astype(np.float32), smooth)
    filled = gaussian_filter(np.where(mask, coarse, 0).astype(np.float32), smooth) / np.maximum(inside, 1e-3)
    sampled, share = (
        affine_transform(one, np.diag(steps), centre - half, (SIZE,) * 3, order=1) for one in (filled, inside)
    )
    kept = share > 0.5
    levels = np.zeros((SIZE,) * 3, np.uint8)
    ranks = np.argsort(np.argsort(sampled[kept], kind="stable"), kind="stable")
    levels[kept] = 1 + ranks * LEVELS // max(len(ranks), 1)
    return levels


def find_alike(
    ones: Sequence[Levels],
    others: Sequence[Levels],
    *,
    same_list: bool = False,
    least: float = SAME,
    skip: Collection[tuple[int, int]] = (),
) -> list[Likeness]:
    """Return the pairs of scans that look the same, each with its correlation.

    Parameters
    ----------
    ones, others
        Fingerprints of two cohorts; or the same list twice, with `same_list`, where a scan is not its own copy.
    least
        Correlation from which a pair is returned.
    skip
        Pairs (place in `ones`, place in `others`) that are not compared.
    """
    found: dict[tuple[int, int], float] = {}
    if not ones or not others:
        return []
    for other, candidates in enumerate(_propose(ones, others, same_list)):
        for rank, one in enumerate(candidates):
            pair = (min(one, other), max(one, other)) if same_list else (one, other)
            if pair not in found and pair not in skip:
                found[pair] = compare(ones[one], others[other], thorough=rank < SCREENS)
            if found.get(pair, 0) >= SAME:
                break
    return [
        Likeness(one=one, other=other, correlation=value)
        for (one, other), value in sorted(found.items())
        if value >= least
    ]


def pack_levels(content: bytes) -> str:
    """Return a fingerprint's bytes as text, two blocks to a byte and compressed."""
    levels = np.frombuffer(content, np.uint8)
    return base64.b64encode(zlib.compress(((levels[::2] << 4) | levels[1::2]).tobytes(), 9)).decode()


def unpack_levels(text: str) -> bytes:
    """Return the bytes that :func:`pack_levels` made text of.

    Raises
    ------
    ValueError
        It is no fingerprint.
    """
    inflate = zlib.decompressobj()
    try:
        pairs = np.frombuffer(inflate.decompress(base64.b64decode(text, validate=True), SIZE**3), np.uint8)
    except zlib.error as error:
        raise ValueError("not a fingerprint") from error
    if len(pairs) * 2 != SIZE**3 or not inflate.eof:
        raise ValueError("not a fingerprint")
    return np.stack([pairs >> 4, pairs & 15], axis=1).astype(np.uint8).tobytes()


def to_levels(content: bytes) -> Levels:
    """Return the (24, 24, 24) blocks of a fingerprint's bytes."""
    return np.frombuffer(content, np.uint8).reshape((SIZE,) * 3)


def compare(one: Levels, other: Levels, *, thorough: bool = True) -> float:
    """Return the correlation of two fingerprints after an affine registration, -1..1; 0 where they hardly overlap.

    With `thorough`, or where they are nearly the same, it registers the first to the second too, for one of both ways can go
    astray, and begins from a nod either way.
    """
    ours, theirs = _Features.of(one), _Features.of(other)
    level, *nods = _starts()
    trials = [(ours, theirs, level), (theirs, ours, level), *((ours, theirs, nod) for nod in nods)]
    best = 0.0
    for number, (fixed, moving, start) in enumerate(trials):
        if number and not thorough and best < PROMISING:
            break
        warp = _align(fixed, moving, PASSES - 1, start)
        found = _correlate(fixed, moving, warp)
        if found >= PROMISING:
            found = _correlate(fixed, moving, _register(fixed, moving, PASSES - 1, warp))
        best = max(best, found)
        if best >= SAME:
            break
    return best


def _to_blocks(array: Array, affine: Array) -> tuple[Array, Array]:
    """Average over blocks of 4 mm along left, posterior, superior; also the share of each block that is not background."""
    axes = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax(axis=0)
    if sorted(axes) != [0, 1, 2]:
        axes = np.array([2, 1, 0])
    order = np.argsort(axes)
    turned = np.transpose(array, order)
    steps = np.array([affine[axis, order[axis]] for axis in range(3)])
    turned = turned[tuple(slice(None, None, -1 if step < 0 else 1) for step in steps)]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[order]
    faces = np.concatenate([turned.take(edge, axis).ravel() for axis in range(3) for edge in (0, -1)])
    background = np.median(faces)
    weights = [_block_weights(count, float(step)) for count, step in zip(turned.shape, spacing, strict=True)]
    away = np.abs(turned - background)
    some = away[tuple(slice(None, None, 2 if count >= 64 else 1) for count in away.shape)]
    shown: Array = np.zeros(1, np.float32)
    if np.mean(some == 0) >= FLAT:
        shown = _average(away > NEXT_TO_NOTHING * np.percentile(some, 99), weights)
    if not 0 < (shown > 0.5).sum() * COARSE_MM**3 / 1000 <= LARGEST_HEAD_ML:
        shown = _average(away > 0.6 * _split_level(some), weights)
    return _average(turned - background, weights), shown


def _average(array: NDArray[Any], weights: Sequence[Array]) -> Array:
    """Average over blocks along each axis."""
    for axis, one in enumerate(weights):
        array = np.moveaxis(np.tensordot(one, array.astype(np.float32), (1, axis)), 0, axis)
    return array


def _block_weights(count: int, spacing: float) -> Array:
    """(blocks, count): what each voxel gives to each block; rows sum to 1."""
    length = count * spacing
    blocks = max(1, round(length / COARSE_MM))
    edges = np.linspace(0, length, blocks + 1)
    low, high = np.arange(count) * spacing, (np.arange(count) + 1) * spacing
    cover = np.clip(np.minimum(high, edges[1:, None]) - np.maximum(low, edges[:-1, None]), 0, None)
    return (cover / cover.sum(axis=1, keepdims=True)).astype(np.float32)


def _find_brain(shown: Array) -> NDArray[np.bool_] | None:
    """Return where the brain is, in blocks: what is not background, of a whole head without scalp, skull and neck."""
    block_ml = COARSE_MM**3 / 1000
    shown_blocks = shown > 0.5
    mask = _largest(binary_fill_holes(binary_closing(shown_blocks)))
    whole = _fill_slices(shown_blocks)
    if whole.sum() * block_ml > LARGEST_BRAIN_ML:
        mask = whole
        padded = np.pad(mask, 1)
        padded[:, :, 0] = padded[:, :, 1]  # the neck goes on below
        depth = distance_transform_edt(padded)[1:-1, 1:-1, 1:-1] * COARSE_MM
        mask = _largest(depth > SCALP_MM)
        tops = np.flatnonzero(mask.any(axis=(0, 1)))
        if len(tops):
            mask[:, :, : max(0, int(tops[-1] - BRAIN_HEIGHT_MM / COARSE_MM))] = False
    return mask if mask.sum() * block_ml >= SMALLEST_BRAIN_ML else None


def _fill_slices(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps of some blocks, as skull and sinuses leave between scalp and brain, and fill what each axial slice encloses."""
    closed = binary_closing(np.pad(mask, CLOSED), iterations=CLOSED)[CLOSED:-CLOSED, CLOSED:-CLOSED, CLOSED:-CLOSED]
    for axial in np.moveaxis(closed, 2, 0):
        axial[:] = binary_fill_holes(axial)
    return _largest(closed)


def _split_level(values: Array) -> float:
    """Return the level that splits values into two groups with the largest variance between them (Otsu 1979)."""
    counts, edges = np.histogram(np.minimum(values, np.percentile(values, 99)), 128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * middles).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[np.nan_to_num(between).argmax()])


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


SCALES = ((1.6, 5.0), (0.8, 2.5), (0.8, 1.8))
"""The smallest and the largest detail, in blocks, as standard deviations of a Gaussian: of each pass of the registration, and
last of the correlation too."""
PASSES = 3
ITERATIONS = 12
AVERAGING = (1, 2)
"""Passes of each round of registration to the mean of the heads."""
SCREENED = 1
"""The scale of the details by which likely partners are found."""
STRIDE = (2, 1, 1)
"""Of the blocks, every so many in each direction take part in a pass."""
DEEP = 2
"""Blocks below the surface from which details are compared: there a rough mask and the skull's remains do not reach."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Features:
    """Details of one fingerprint at each scale, and what the registration needs of the fixed one."""

    details: tuple[Array, ...]
    """(24, 24, 24) each: zero mean and unit variance inside, 0 outside."""
    inside: NDArray[np.bool_]

    @staticmethod
    def of(levels: Levels) -> _Features:
        return _features(levels.tobytes())


@lru_cache(maxsize=512)
def _features(content: bytes) -> _Features:
    levels = to_levels(content)
    inside = levels > 0
    weight, value = inside.astype(np.float32), levels.astype(np.float32)
    details = []
    for fine, broad in SCALES:
        near, far = (
            gaussian_filter(value, sigma) / np.maximum(gaussian_filter(weight, sigma), 1e-3) for sigma in (fine, broad)
        )
        detail = np.where(inside, near - far, 0)
        spread = detail[inside].std() if inside.any() else 1
        details.append(np.where(inside, (detail - detail[inside].mean()) / max(spread, 1e-6), 0).astype(np.float32))
    return _Features(details=tuple(details), inside=inside)


@lru_cache(maxsize=1)
def _grid() -> Array:
    """(3, 13824): places of the blocks, from the middle."""
    axis = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)


NODS = ((0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (-9.0, 0.0, 0.0))


@lru_cache(maxsize=1)
def _starts() -> tuple[Array, ...]:
    """Where registrations begin: (3, 4) each, the identity and a nod either way."""
    return tuple(np.hstack([_rotation(angles), np.zeros((3, 1))]) for angles in NODS)


def _rotation(degrees: Sequence[float]) -> Array:
    a, b, c = np.deg2rad(degrees)
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    matrix: Array = turn_x @ turn_y @ turn_z
    return matrix


def _warp(image: Array, warp: Array, stride: int = 1) -> Array:
    """Sample an image at every so many places of the fixed grid under an affine map (3, 4) about the middle."""
    middle = (SIZE - 1) / 2
    offset = warp[:, 3] + middle - warp[:, :3] @ np.full(3, middle)
    return affine_transform(image, warp[:, :3] * stride, offset, (SIZE // stride,) * 3, order=1)


def _register(fixed: _Features, moving: _Features, number: int, warp: Array) -> Array:
    """Improve an affine map by inverse compositional Gauss-Newton steps (Baker and Matthews 2004)."""
    target, source = fixed.details[number], moving.details[number]
    moving_inside = moving.inside.astype(np.float32)
    steepest, points = _steepest(fixed, number)
    wanted = map_coordinates(target, points + (SIZE - 1) / 2, order=0)
    for _ in range(ITERATIONS):
        moved = warp[:, :3] @ points + warp[:, 3:] + (SIZE - 1) / 2
        shared = map_coordinates(moving_inside, moved, order=0) > 0
        if shared.sum() < LEAST_POINTS:
            return warp
        found = map_coordinates(source, moved[:, shared], order=1, prefilter=False)
        found = found - found.mean()
        aimed = wanted[shared] - wanted[shared].mean()
        error = max(float(found @ aimed) / max(float(found @ found), 1e-6), 0.2) * found - aimed
        jacobian = steepest[shared]
        step = np.linalg.solve(jacobian.T @ jacobian + 1e-3 * np.eye(12), jacobian.T @ error).reshape(3, 4)
        change = np.eye(4)
        change[:3] += step
        try:
            warp = (np.vstack([warp, [0, 0, 0, 1]]) @ np.linalg.inv(change))[:3]
        except np.linalg.LinAlgError:
            return warp
        if np.abs(step[:, 3]).max() < 0.03 and np.abs(step[:, :3]).max() < 0.003:
            break
    return warp


def _steepest(fixed: _Features, number: int) -> tuple[Array, Array]:
    """Return what a small change of each of the 12 numbers of a map does, (points, 12), and the points, from the middle."""
    gradient = np.stack(list(np.gradient(fixed.details[number]))).reshape(3, -1)
    chosen = np.zeros((SIZE,) * 3, bool)
    chosen[:: STRIDE[number], :: STRIDE[number], :: STRIDE[number]] = True
    places = np.flatnonzero((binary_erosion(fixed.inside) & chosen).ravel())
    points = _grid()[:, places]
    homogeneous = np.vstack([points, np.ones((1, len(places)), np.float32)])
    return (gradient[:, places][:, None, :] * homogeneous[None, :, :]).reshape(12, -1).T, points


def _correlate(fixed: _Features, moving: _Features, warp: Array) -> float:
    """Return the correlation of the fine details where both are brain; 0 for a map that no copy can have.

    It is the mean over windows, for a large tumour at the same place would rule the correlation of the whole.
    """
    stretches = np.linalg.svd(warp[:, :3], compute_uv=False)
    if (
        stretches.max() > LARGEST_STRETCH
        or stretches.min() < 1 / LARGEST_STRETCH
        or np.abs(warp[:, 3]).max() > SIZE / 4
    ):
        return 0.0
    shared = fixed.inside & (_warp(moving.inside.astype(np.float32), warp) > 0.5)
    if shared.sum() < LEAST_OVERLAP * min(fixed.inside.sum(), moving.inside.sum()):
        return 0.0
    shared = binary_erosion(shared, iterations=DEEP)
    if shared.sum() < LEAST_POINTS:
        return 0.0
    one, other = fixed.details[-1][shared], _warp(moving.details[-1], warp)[shared]
    windows = _cut_windows(np.argwhere(shared))
    found = [
        np.corrcoef(one[inside], other[inside])[0, 1] if one[inside].std() * other[inside].std() > 0 else 0.0
        for inside in (windows == number for number in range(WINDOWS**3))
        if inside.sum() >= LEAST_WINDOW
    ]
    return float(np.mean(found)) if len(found) >= LEAST_WINDOWS else 0.0


def _cut_windows(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the number of the window that each place (points, 3) lies in: as many places along each axis in each."""
    cuts = np.percentile(places, np.linspace(0, 100, WINDOWS + 1)[1:-1], axis=0)
    return np.asarray((places[:, None, :] > cuts).sum(axis=1) @ (WINDOWS ** np.arange(3)))


def _propose(ones: Sequence[Levels], others: Sequence[Levels], same_list: bool) -> Iterator[list[int]]:
    """Yield, for each of `others`, the likeliest of `ones`, by each of the ways in turn."""
    lists = [ones] if same_list else [ones, others]
    heads = [_Features.of(levels) for one in lists for levels in one[:: max(1, len(one) // AVERAGED)]]
    means = [_average_heads(heads, rounds) for rounds in (AVERAGING, ())]
    targets = np.stack([_screen_vectors(means, levels) for levels in ones], axis=1)
    for number, other in enumerate(others):
        likeness = targets @ (targets[:, number] if same_list else _screen_vectors(means, other))[..., None]
        orders = np.argsort(-likeness[..., 0], axis=1)
        found = dict.fromkeys(int(one) for one in orders.T.ravel() if not (same_list and one == number))
        yield list(found)[:CANDIDATES]


def _average_heads(heads: Sequence[_Features], rounds: Sequence[int]) -> _Features:
    """Return the mean of heads as they lie in their boxes, or registered to it in rounds: by so many scales in each."""
    warps = [_starts()[0]] * len(heads)
    for passes in (*rounds, 0):
        details = [
            np.mean([_warp(head.details[scale], warp) for head, warp in zip(heads, warps, strict=True)], axis=0)
            for scale in range(len(SCALES))
        ]
        share = np.mean(
            [_warp(head.inside.astype(np.float32), warp) for head, warp in zip(heads, warps, strict=True)], axis=0
        )
        mean = _Features(details=tuple(details), inside=share > 0.5)
        if passes:
            warps = [_align(mean, head, passes, _starts()[0]) for head in heads]
    return mean


def _align(fixed: _Features, moving: _Features, passes: int, warp: Array) -> Array:
    """Return the affine map that registers one to the other, by the coarse shapes first."""
    for number in range(passes):
        warp = _register(fixed, moving, number, warp)
    return warp


def _screen_vectors(means: Sequence[_Features], levels: Levels) -> Array:
    """Return the details of a scan for each way of looking for its copies: (SCREENS, blocks), of length 1 each."""
    head, deep = _Features.of(levels), binary_erosion(means[0].inside, iterations=DEEP)
    warps = [*(_align(mean, head, AVERAGING[-1], _starts()[0]) for mean in means), _starts()[0]]
    vectors = np.stack([_warp(head.details[SCREENED], warp)[deep] for warp in warps])
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
