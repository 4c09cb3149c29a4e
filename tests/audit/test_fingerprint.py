"""The same head is found again after what data sets do to it, and another head is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import affine_transform  # type: ignore[attr-defined]

from core.audit.fingerprint import (
    SAME,
    Levels,
    compare,
    find_alike,
    pack_levels,
    take_fingerprint,
    to_levels,
    unpack_levels,
)
from core.audit.marks import CohortMarks
from core.audit.persons import drop_overlap, match_persons
from core.data.clinical.labels import id_key
from core.errors import OverlapError
from core.mri import MRSequence
from core.phantom.anatomy import draw_brain, rotation_matrix
from core.phantom.contrast import draw_image
from core.phantom.fields import GRID, random_stream
from core.phantom.tumour import draw_site, draw_tumour
from tests.audit.test_persons import cohort_of, found, marks

Head = NDArray[np.float32]
AXIAL = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]) * [1.8, 1.8, 1.8, 1]
"""From (slice, row, column) to LPS millimetres."""


@pytest.fixture(scope="module")
def heads() -> list[Head]:
    """Two skull-stripped heads: (slices, rows, columns)."""
    drawn = []
    for index in range(2):
        site = draw_site(random_stream(7, index, "site"))
        brain = draw_brain(random_stream(7, index, "brain"), push_centre_mm=site.centre_mm, push_mm=site.push_mm)
        tumour = draw_tumour(random_stream(7, index, "tumour"), site, brain.white, brain.depth_mm, 0.0)
        image = draw_image(brain, tumour, MRSequence.T1WCE, random_stream(7, index, "contrast"))
        drawn.append(np.transpose(np.where(brain.mask > 0.5, image + 0.05, 0), (2, 1, 0)).astype(np.float32))
    return drawn


def fingerprint(head: Head, affine: NDArray[np.float64] = AXIAL) -> Levels:
    levels = take_fingerprint(head, affine)
    assert levels is not None
    return levels


def registered(head: Head) -> Head:
    """Turned by some degrees and stretched along each axis, as a registration to an atlas does."""
    matrix = rotation_matrix(np.deg2rad([4.0, -5.0, 6.0])) @ np.diag([1.1, 0.95, 0.92])
    middle = (np.array(head.shape) - 1) / 2
    return affine_transform(head, matrix, middle - matrix @ middle + [1.5, -2.0, 1.0], order=1)


def z_scored(head: Head) -> Head:
    inside = head > 0
    return np.where(inside, (head - head[inside].mean()) / head[inside].std(), 0)


def in_8_bits(head: Head) -> Head:
    return np.rint(np.clip(head / np.percentile(head[head > 0], 99), 0, 1) ** 0.7 * 255)


def test_a_registered_scored_or_8_bit_copy_is_the_same_scan_and_another_head_is_not(heads: list[Head]) -> None:
    originals = [fingerprint(head) for head in heads]
    for change in (registered, lambda head: z_scored(registered(head)), lambda head: in_8_bits(registered(head))):
        copies = [fingerprint(change(head)) for head in heads]
        assert {(match.one, match.other) for match in find_alike(originals, copies)} == {(0, 0), (1, 1)}
    assert compare(originals[0], originals[1]) < SAME - 0.05
    assert not find_alike(originals, originals, same_list=True)


def test_thick_slices_in_another_orientation_are_the_same_scan(heads: list[Head]) -> None:
    thick = np.stack([heads[0][start : start + 3].mean(axis=0) for start in range(0, 90, 3)])
    sagittal = np.transpose(thick, (2, 0, 1))[:, ::-1]
    affine = np.array([[1.8, 0, 0, 0], [0, 0, 1.8, 0], [0, -5.4, 0, 0], [0, 0, 0, 1]])
    assert compare(fingerprint(heads[0]), fingerprint(sagittal, affine)) > 0.9


def test_a_whole_head_is_compared_by_its_brain(heads: list[Head]) -> None:
    grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (112, 132, 114)], indexing="ij")) * 1.8
    radius = np.sqrt(sum((axis / half) ** 2 for axis, half in zip(grid, (86, 104, 88), strict=True)))
    whole = np.pad(heads[0], 10)[: radius.shape[0], : radius.shape[1], : radius.shape[2]]
    whole = np.where((whole == 0) & (radius < 1), np.where(radius > 0.92, 0.8, 0.05), whole)
    noise = np.abs(np.random.default_rng(0).normal(0, 0.02, whole.shape))
    assert compare(fingerprint((whole + noise).astype(np.float32)), fingerprint(heads[0])) > SAME


def test_what_shows_no_brain_or_thick_slices_has_no_fingerprint(heads: list[Head]) -> None:
    assert take_fingerprint(np.zeros((20, 64, 64), np.float32), AXIAL) is None
    assert take_fingerprint(heads[0][:4], AXIAL) is None
    assert take_fingerprint(heads[0][::8], AXIAL * [8, 1, 1, 1]) is None


def test_a_fingerprint_is_packed_into_a_few_kilobytes_and_read_strictly(heads: list[Head]) -> None:
    content = fingerprint(heads[0]).tobytes()
    text = pack_levels(content)
    assert len(text) < 8000
    assert unpack_levels(text) == content
    for spoilt in ("", "AAAA", text[: len(text) // 8 * 4], pack_levels(content[: len(content) // 2])):
        with pytest.raises(ValueError, match=r"."):
            unpack_levels(spoilt)


def with_print(cohort: CohortMarks, levels: Levels) -> CohortMarks:
    person = replace(cohort.persons[0], prints=((MRSequence.T1WCE, levels.tobytes()),))
    return replace(cohort, persons=(person, *cohort.persons[1:]))


def test_the_same_scan_is_refused_until_a_person_says_what_it_is(heads: list[Head]) -> None:
    one = with_print(marks("run", "00012"), fingerprint(heads[0]))
    other = with_print(marks("b", "x", "y"), fingerprint(in_8_bits(registered(heads[0]))))
    matches = match_persons(one, other)
    assert [(match.person, match.same_as) for match in matches.probable] == [("x", "00012")]
    assert "correlation 0.9" in matches.probable[0].reasons[0]
    with pytest.raises(OverlapError, match="x and 00012"):
        drop_overlap(cohort_of("x", "y"), matches)

    pair = id_key("x"), id_key("00012")
    same = match_persons(one, other, pairs={pair: True})
    assert found(same) == {"x": ("00012", ("confirmed by hand",))}
    different = match_persons(one, other, pairs={pair: False})
    assert (different.matches, different.different) == ((), 1)
    assert not match_persons(one, with_print(marks("b", "x"), fingerprint(heads[1]))).matches


def test_levels_are_read_back(heads: list[Head]) -> None:
    levels = fingerprint(heads[0])
    assert np.array_equal(to_levels(levels.tobytes()), levels)
    assert GRID.shape == heads[0].shape[::-1]
