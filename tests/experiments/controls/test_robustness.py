"""The robustness sweep moves what it is told to move, keeps each pass, and belongs to one checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.config import apply_settings
from core.errors import DataError
from core.experiments.controls.robustness import DISTURBANCES
from core.experiments.controls.robustness_question import ask_robustness
from core.experiments.evidence import find_controls
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, RunOptions
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.trainer import run_training
from tests.phantoms import copy_phantom
from tests.training.tiny import TINY, TINY_NETWORK


@pytest.fixture
def run(tmp_path: Path, settings: Settings, tiny_network: None) -> RunFolder:
    copy_phantom(tmp_path / "cohort", PhantomConfig(studies=16, slices=4, size=32, signal=3))
    config = apply_settings(find_preset("honest").config, [*TINY, f"architecture={TINY_NETWORK.name}", "epochs=1"])
    return run_training(settings, config, DataSource(root=str(tmp_path / "cohort")), name="mine")


def test_every_disturbance_is_one_pass_that_is_kept_and_belongs_to_its_checkpoint(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.ask(settings, "moved", ask_robustness(run))
    found = run_experiment(experiment, settings, RunOptions(), Display())
    assert [*found["moves"]][: len(DISTURBANCES)] == [one.name for one in DISTURBANCES]
    assert found["moves"]["retest"]["probability"]["value"] == 0
    assert set(found["moves"]["blur"]["patients"]) == set(run.split().val)
    assert all(one["changed"]["n"] == len(run.split().val) for one in found["moves"].values())
    assert max(abs(move) for move in found["moves"]["wide"]["patients"].values()) > 0
    assert "halves" in found["moves"]

    passes: list[int] = []
    scored = "core.experiments.controls.robustness.score_images"
    monkeypatch.setattr(scored, lambda model, images, *rest: passes.append(1) or np.zeros((len(images), 2), np.float32))
    (experiment.folder / "passes" / "blur.json").unlink()
    run_experiment(experiment, settings, RunOptions(), Display())
    assert len(passes) == 2  # the images as they are, and the one pass that was missing

    control = {one.kind: one for one in find_controls(run, settings)}["robustness"]
    assert (control.done, control.experiment) == (True, "moved")
    with run.checkpoint.open("ab") as stream:
        stream.write(b"another training")
    control = {one.kind: one for one in find_controls(run, settings)}["robustness"]
    assert control.result == "not counted: moved is of another checkpoint"
    with pytest.raises(DataError, match="no longer the file"):
        run_experiment(experiment, settings, RunOptions(), Display())


@pytest.mark.parametrize("one", DISTURBANCES, ids=lambda one: one.name)
def test_a_disturbance_keeps_the_shape_and_changes_all_but_the_retest(one: object) -> None:
    images = np.random.default_rng(0).integers(40, 200, (2, 3, 24, 24)).astype(np.uint8)
    images[..., :4] = 0
    changed = one.disturb(images)  # type: ignore[attr-defined]
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
    assert np.array_equal(changed, images) == (one.name == "retest")  # type: ignore[attr-defined]
    if one.name in ("noise", "bias", "narrow", "wide"):  # type: ignore[attr-defined]
        assert not changed[..., :4].any()
