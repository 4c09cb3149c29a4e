from collections.abc import Callable

import numpy as np
import pytest

from core.experiments.referee.checks import below_chance_p, better_p, calibration_p, interaction_p, shares_p, site_p

Draw = Callable[[np.random.Generator], float | None]


def clean(generator: np.random.Generator, n: int = 120, slope: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    odds = generator.normal(0, 1, n)
    return generator.random(n) < 1 / (1 + np.exp(-slope * odds)), odds


def site_check(generator: np.random.Generator, shift: float = 0.0) -> float | None:
    sites = generator.integers(0, 3, 200)
    labels = generator.random(200) < np.array([0.3, 0.5, 0.7])[sites]
    return site_p(labels, generator.normal(labels + shift * sites), sites)


CHECKS: dict[str, tuple[Draw, Draw]] = {
    "below_chance": (
        lambda one: below_chance_p(one.random(120) < 0.5, one.normal(size=120), one.integers(0, 4, 120)),
        lambda one: (lambda pair: below_chance_p(pair[0], -pair[1], np.zeros(120)))(clean(one, slope=2)),
    ),
    "calibration": (
        lambda one: calibration_p(*clean(one)),
        lambda one: (lambda pair: calibration_p(pair[0], 3 * pair[1] + 1))(clean(one)),
    ),
    "site": (site_check, lambda one: site_check(one, 1.5)),
    "shares": (
        lambda one: shares_p(one.random(100) < 0.5, one.random(80) < 0.5),
        lambda one: shares_p(one.random(100) < 0.2, one.random(80) < 0.7),
    ),
    "better": (
        lambda one: better_p(clean(one), clean(one)),
        lambda one: better_p(clean(one, slope=4), clean(one, slope=0.0)),
    ),
    "interaction": (
        lambda one: interaction_p(*clean(one, 200), one.integers(0, 2, 200)),
        lambda one: (
            lambda pair: interaction_p(pair[0], pair[1] * np.where(np.arange(200) < 100, 1, -1), np.arange(200) < 100)
        )(clean(one, 200, 2)),
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_keeps_its_level_and_finds_what_is_there(name: str) -> None:
    null, planted = CHECKS[name]
    false = [null(np.random.default_rng(seed)) for seed in range(200)]
    assert np.mean([p is not None and p <= 0.05 for p in false]) <= 0.1  # 0.05 and three errors of 200 draws
    found = [planted(np.random.default_rng(seed)) for seed in range(40)]
    assert np.mean([p is not None and p <= 0.05 for p in found]) >= 0.9


def test_what_cannot_be_checked_has_no_p() -> None:
    assert site_p(np.array([True, False] * 10), np.arange(20.0), np.zeros(20)) is None
    assert shares_p([], [True]) is None
    assert below_chance_p([True, True], [0.1, 0.2], [0, 0]) is None
