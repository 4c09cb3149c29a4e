"""The estimate of a first training's time follows the network's multiply-adds and what it sees."""

from __future__ import annotations

import pytest

from core.config import RunConfig, apply_settings
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.experiments.study.parameters import SIZES, size_config
from core.models.costs import read_costs
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.training.time_estimate import MACS_PER_SECOND, count_slices, estimate_seconds
from tests.phantoms import copy_phantom


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Five studies of four series of four slices."""
    folder = tmp_path_factory.mktemp("estimate") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=5, slices=4, size=32))
    return scan_cohort(folder, jobs=1)


def test_a_slice_of_the_size_that_was_counted_takes_three_passes() -> None:
    config = RunConfig(epochs=1)
    forward = read_costs()["resnet18"].multiply_adds / MACS_PER_SECOND
    assert estimate_seconds(config, 1, 1, 1) == pytest.approx(3 * forward)
    assert estimate_seconds(apply_settings(config, {"size_px": 112}), 8, 1, 2) == pytest.approx(3 * forward)


def test_a_volume_costs_what_its_slices_do() -> None:
    config = RunConfig.model_validate(
        {"architecture": "r3d_18", "epochs": 1, "prep": {"form": "volume", "size_px": 112}}
    )
    volume = read_costs()["r3d_18"]
    assert estimate_seconds(config, 16, 1, 1) == pytest.approx(3 * volume.multiply_adds / MACS_PER_SECOND)


def test_a_small_study_of_120_patients_is_estimated_within_a_third() -> None:
    """Its 36 trainings on four slices of 96 patients took 837 s on two threads."""
    config = size_config(find_preset("honest").config, "small")
    seconds = estimate_seconds(config, 96 * 4, SIZES["small"].trainings, 2)
    assert seconds == pytest.approx(837, rel=1 / 3)


def test_a_network_without_a_cost_has_no_estimate() -> None:
    assert estimate_seconds(RunConfig(architecture="mine"), 1, 1, 1) is None


@pytest.mark.parametrize(
    ("prep", "slices"),
    [
        ({"slice_count": 2}, 5 * 4 * 2),
        ({"slice_count": 8}, 5 * 4 * 4),
        ({"slice_choice": "all"}, 5 * 4 * 4),
        ({"slice_count": 2, "sequences": ["FLAIR", "T2w"]}, 5 * 2 * 2),
        ({"slice_count": 2, "grid_mm": 3}, 5 * 4 * 2),
        ({"slice_count": 2, "grid_mm": 3, "form": "streams"}, 5 * 2),
        ({"slice_count": 8, "form": "volume"}, 5 * 4 * 8),
    ],
)
def test_slices_are_counted_as_the_network_sees_them(cohort: Cohort, prep: dict[str, object], slices: int) -> None:
    assert count_slices(cohort, apply_settings(RunConfig(), prep).prep) == slices
