"""A known move is found again; a pair that was not registered, turned wrongly, or of two people is not believed."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.raw.images import rotation_degrees, shift_mm, to_image
from core.data.raw.registration import assess, matrix_of, register
from core.data.raw.similarity import Pair
from core.mri import MRSequence
from tests.data.raw.heads import MOVE, scan


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(to_image(scan(MRSequence.T1WCE)), to_image(scan(MRSequence.FLAIR, moved=True)))


@pytest.fixture(scope="module")
def found(pair: Pair) -> NDArray[np.float64]:
    return register(to_image(scan(MRSequence.T1WCE)), to_image(scan(MRSequence.FLAIR, moved=True)), pair)


def test_a_known_move_is_found_within_a_millimetre_and_a_degree(pair: Pair, found: NDArray[np.float64]) -> None:
    left = np.linalg.inv(MOVE) @ found
    assert rotation_degrees(left) < 1
    assert max(shift_mm(left, pair.middle_mm + 70 * np.array(axis)) for axis in np.eye(3)) < 1
    result = assess(pair, found)
    assert result.reason == ""
    assert result.after.mutual_information > 2 * result.before.mutual_information
    assert result.after.overlap > result.before.overlap


def test_a_pair_that_was_not_registered_is_refused(pair: Pair) -> None:
    assert "a pose nearby fits better" in assess(pair, np.eye(4)).reason


def test_a_quarter_turn_is_refused(pair: Pair, found: NDArray[np.float64]) -> None:
    turn = sitk.Euler3DTransform()
    turn.SetCenter(pair.middle_mm.tolist())
    turn.SetRotation(0.0, 0.0, float(np.pi / 2))
    assert assess(pair, found @ matrix_of(turn)).reason != ""


def test_two_people_are_refused() -> None:
    fixed, moving = to_image(scan(MRSequence.T1WCE)), to_image(scan(MRSequence.T2W, index=1))
    pair = Pair(fixed, moving)
    assert "different people" in assess(pair, register(fixed, moving, pair)).reason
