"""Training with every random change switched on: it learns from mixed labels, and the same again from the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ConfigError
from core.models import registry
from core.training.loop import fit
from tests.training.tiny import TINY_NETWORK, make_images, tiny_config

EVERYTHING = (
    "optimiser=adam", "mixup_alpha=0.4", "noise_std=0.05", "bias_field=0.2", "gamma_spread=0.2",
    "brightness_shift=0.1", "brightness_scale=0.1", "epochs=2",
)  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ARCHITECTURES, "tiny", TINY_NETWORK)


def losses(*settings: str) -> list[float]:
    table, split = make_images()
    return [record.train_loss for record in fit(tiny_config(*settings), table, split)]


def test_everything_at_once_is_repeatable() -> None:
    assert losses(*EVERYTHING) == losses(*EVERYTHING)


@pytest.mark.parametrize("switch", ["mixup_alpha=0", "noise_std=0", "optimiser=sgd"])
def test_every_switch_reaches_the_training(switch: str) -> None:
    assert losses(*EVERYTHING) != losses(*EVERYTHING, switch)


def test_a_network_for_volumes_is_refused_where_slices_are_prepared(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes examples of the form 'volume'"):
        losses("architecture=volumetric")
