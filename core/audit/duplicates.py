"""Images that occur twice: equal to the last bit, or the same scan saved, scaled or windowed again.

Equal images have equal digests. For near-duplicates a banded index over the 64-bit perceptual hashes proposes
pairs, so that the work does not grow with the square of the cohort, and the correlation of two thumbnails decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.audit.findings import Finding, find
from core.audit.pixels import SeriesPixels, read_thumbnails
from core.audit.structure import series_name
from core.data.study import Series

BANDS = (11, 11, 11, 11, 10, 10)
"""Bits of each band of the index: hashes that differ in at most five bits agree in one of the six bands."""
HASH_BITS = 8
"""Bits in which the hashes of one image saved twice may differ: measured on 371 real slices, 95% differ in at
most 5 after JPEG at quality 75, half size or a gamma of 0.8, and all but one in 8."""
BETWEEN = 0.985
"""Correlation from which images of two patients are one scan. Between two patients the highest was 0.966 on 371
real T1wCE slices and 0.981 on 16,795 synthetic ones; copies that were compressed, halved or given another
gamma kept 0.995 and more on those T1wCE slices, and 0.989 and more on 253 images of mixed origin."""
WITHIN = 0.9999
"""The same within a patient, where neighbouring slices are alike: measured, at most 0.9998 at 1 mm; a copy saved as
JPEG at quality 75, 0.99995 and more."""
LEAST_TISSUE = 0.05
"""Share of an image that must show something: the last trace of a head looks the same in everybody."""
SHARED = 0.5
"""Share of a series' slices found in another patient's from which both are taken for one patient."""
FEWEST_SHARED = 3
CHUNK = 2048
"""Hashes compared with a whole bucket at once."""

Place = tuple[int, int]
"""A series' number in the audited list, and the slice in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two slices that show one image; ``first`` is the earlier one."""

    first: Place
    second: Place
    exact: bool


def match_slices(pairs: Sequence[tuple[Series, SeriesPixels]], persons: Sequence[str]) -> list[Match]:
    """Find every pair of slices with the same image; blank slices are left out.

    Parameters
    ----------
    pairs
        The series with their marks.
    persons
        Whose series each is: within a person only copies count, not neighbours.
    """
    places = [
        (number, index) for number, (_, pixels) in enumerate(pairs) for index in np.flatnonzero(~pixels.blank).tolist()
    ]
    groups: dict[tuple[int, ...], list[Place]] = defaultdict(list)
    for number, index in places:
        groups[tuple(pairs[number][1].digests[index].tolist())].append((number, index))
    matches = [Match(first=group[0], second=other, exact=True) for group in groups.values() for other in group[1:]]
    single = [group[0] for group in groups.values() if pairs[group[0][0]][1].tissue[group[0][1]] >= LEAST_TISSUE]
    hashes = np.array([pairs[number][1].hashes[index] for number, index in single], dtype=np.uint64)
    for first, second in _confirm(propose_pairs(hashes), single, pairs, persons):
        matches.append(Match(first=first, second=second, exact=False))
    return matches


def propose_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return (pairs, 2) places of hashes that agree in a whole band and differ in at most eight bits."""
    found: list[NDArray[np.int64]] = []
    shift = 0
    for bits in BANDS:
        band = (hashes >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
        shift += bits
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=band[order[:1]] + np.uint64(1)))
        for bucket in np.split(order, starts[1:]):
            found += _compare(hashes, bucket)
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def find_duplicates(
    pairs: Sequence[tuple[Series, SeriesPixels]], persons: Sequence[str], matches: Iterable[Match]
) -> Iterator[Finding]:
    """Yield one finding for each two series that share images, and one for each two patients that are one."""
    shared: dict[tuple[int, int], list[Match]] = defaultdict(list)
    for match in matches:
        shared[match.first[0], match.second[0]].append(match)
    same = _same_patients(pairs, persons, shared)
    for (one, other), slices in same.items():
        yield find(
            "same-patient",
            [one, other],
            f"Studies {one} and {other} are kept apart as two patients, but {slices} slices of theirs show the same image.",
        )
    for (first, second), group in shared.items():
        within = persons[first] == persons[second]
        studies = _studies(pairs, first, second)
        if not within and studies in same:
            continue
        for exact in (True, False):
            chosen = [match for match in group if match.exact == exact]
            if chosen:
                kind = f"{'' if exact else 'near-'}duplicate-{'within' if within else 'between'}-patient{'' if within else 's'}"
                yield find(kind, _files(pairs, chosen), _describe(pairs, chosen, exact))


def _compare(hashes: NDArray[np.uint64], bucket: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs within one bucket that differ in few bits."""
    for start in range(0, len(bucket) - 1, CHUNK):
        rows = bucket[start : start + CHUNK]
        rest = bucket[start:]
        away = np.bitwise_count(hashes[rows][:, None] ^ hashes[rest][None, :])
        near, other = np.nonzero(np.triu(away <= HASH_BITS, k=1))
        if near.size:
            yield np.stack([rows[near], rest[other]], axis=1)


def _confirm(
    proposed: NDArray[np.int64],
    places: Sequence[Place],
    pairs: Sequence[tuple[Series, SeriesPixels]],
    persons: Sequence[str],
) -> Iterator[tuple[Place, Place]]:
    """Yield the pairs whose thumbnails correlate as those of one image do."""
    for one, other in proposed.tolist():
        first, second = sorted((places[one], places[other]))
        least = WITHIN if persons[first[0]] == persons[second[0]] else BETWEEN
        product = read_thumbnails(pairs[first[0]][1])[first[1]] * read_thumbnails(pairs[second[0]][1])[second[1]]
        if product.mean() >= least:
            yield first, second


def _same_patients(
    pairs: Sequence[tuple[Series, SeriesPixels]],
    persons: Sequence[str],
    shared: dict[tuple[int, int], list[Match]],
) -> dict[tuple[str, str], int]:
    """Count the shared slices of studies of two persons, where one series is half found in the other's."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    certain: set[tuple[str, str]] = set()
    for (first, second), group in shared.items():
        if persons[first] == persons[second]:
            continue
        studies = _studies(pairs, first, second)
        one, other = len({match.first for match in group}), len({match.second for match in group})
        counts[studies] += min(one, other)
        fewest = min(int((~pairs[number][1].blank).sum()) for number in (first, second))
        if min(one, other) >= max(FEWEST_SHARED, SHARED * fewest):
            certain.add(studies)
    return {studies: count for studies, count in sorted(counts.items()) if studies in certain}


def _studies(pairs: Sequence[tuple[Series, SeriesPixels]], first: int, second: int) -> tuple[str, str]:
    one, other = sorted((pairs[first][0].study_id, pairs[second][0].study_id))
    return one, other


def _files(pairs: Sequence[tuple[Series, SeriesPixels]], matches: Iterable[Match]) -> list[str]:
    """Name the slices, each pair together."""
    files = [pairs[number][1].files[index] for match in matches for number, index in (match.first, match.second)]
    return list(dict.fromkeys(files))


def _describe(pairs: Sequence[tuple[Series, SeriesPixels]], matches: Sequence[Match], exact: bool) -> str:
    first, second = pairs[matches[0].first[0]][0], pairs[matches[0].second[0]][0]
    alike = "exactly" if exact else "nearly"
    if len(matches) == 1:
        one, other = _files(pairs, matches)
        return f"{one} and {other} show {alike} the same."
    if first is second:
        return f"{len(matches)} slices of {series_name(first)} show {alike} the same as another of it."
    return f"{len(matches)} slices of {series_name(first)} show {alike} the same as slices of {series_name(second)}."
