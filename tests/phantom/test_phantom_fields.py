"""Random fields and random streams."""

from __future__ import annotations

import numpy as np
import pytest

from core.phantom.fields import Grid, ramp, random_field, random_stream

GRID = Grid(spacing_mm=2.0, shape=(60, 50, 40))


def test_field_has_unit_variance_and_the_wavelength_that_was_asked_for() -> None:
    field = random_field(np.random.default_rng(0), GRID, 20.0, spread=0.0, waves=400)
    assert field.dtype == np.float32
    assert field.std() == pytest.approx(1, abs=0.1)
    # The mean square slope of a field with one wave number k is k^2, a third of it along each axis.
    slope = np.mean([np.var(np.diff(field, axis=axis)) for axis in range(3)]) / GRID.spacing_mm**2
    assert np.sqrt(3 * slope) == pytest.approx(2 * np.pi / 20, rel=0.1)


def test_field_is_a_sum_of_plane_waves_at_the_voxels_places() -> None:
    one = random_field(np.random.default_rng(3), GRID, 30.0, waves=1)
    shifted = random_field(np.random.default_rng(3), Grid(spacing_mm=2.0, shape=(58, 50, 40)), 30.0, waves=1)
    np.testing.assert_allclose(one[1:-1], shifted, atol=1e-4)
    assert np.abs(one).max() == pytest.approx(np.sqrt(2), abs=0.05)


def test_streams_are_apart_by_seed_patient_and_purpose() -> None:
    first = random_stream(1, 2, "noise").random(4)
    np.testing.assert_array_equal(first, random_stream(1, 2, "noise").random(4))
    for other in (random_stream(2, 2, "noise"), random_stream(1, 3, "noise"), random_stream(1, 2, "site")):
        assert not np.isclose(first, other.random(4)).any()


def test_ramp_is_half_at_the_surface() -> None:
    shares = ramp(np.array([-3.0, -0.5, 0.0, 0.5, 3.0], np.float32), 2.0)
    np.testing.assert_allclose(shares, [0, 0.25, 0.5, 0.75, 1])
