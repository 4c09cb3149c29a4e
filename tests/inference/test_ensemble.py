"""An ensemble answers with the mean of its members, says where they differ, and is found wherever a checkpoint is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from core.config import PrepConfig, RunConfig
from core.data.prepare.slices import PreparedSeries
from core.data.study import Series
from core.errors import CheckpointError, ConfigError
from core.explain.cam import explain_many
from core.explain.validation.sanity import measure_maps
from core.inference.ensemble import Ensemble, open_predictor
from core.inference.predict import Predictor
from core.models.card import ENSEMBLE, CheckpointCard, read_card, read_ensemble
from core.models.catalogue import find_checkpoint, list_checkpoints
from core.models.checkpoint import load_model, save_checkpoint
from core.models.ensemble import write_ensemble
from core.models.weights import build_model
from core.mri import MRSequence
from core.settings import Settings
from tests.conftest import SIZE
from tests.inference.test_predict import study, write_series  # noqa: F401 - a fixture

AUROC = {"auroc": {"value": 0.7, "low": 0.5, "high": 0.85, "n": 30}}


@pytest.fixture
def write_members(settings: Settings) -> Callable[..., list[Path]]:
    """Return a function that writes three member runs of an experiment with weights of their own."""

    def write(**changes: object) -> list[Path]:
        paths = []
        for number in range(3):
            model, _ = build_model("resnet18", 2, "none", seed=number)
            card = CheckpointCard(
                name=f"seed-00-fold-{number:02d}",
                config=RunConfig(prep=PrepConfig(size_px=SIZE, slice_count=3), weights="none"),
                class_names=("unmethylated", "methylated"), positive_class=1,
                sequences=(MRSequence.FLAIR, MRSequence.T2W), synthetic=False, cohort_digest="0" * 12,
                split_unit="patient", split_digest=f"{number}" * 12, patients={"train": 6, "val": 2, "test": 2},
                weights_origin="random", reproduction=False, epoch=1, temperature=1.0 + number,
                threshold=(0.2, 0.5, 0.6)[number],
                intensity={"FLAIR": [float(number), 1.0 - number]},
            )  # fmt: skip
            if number == 2:
                card = card.model_copy(update=changes)
            path = settings.experiments / "folds" / "runs" / card.name / "best.safetensors"
            path.parent.mkdir(parents=True)
            save_checkpoint(path, model.state_dict(), card)
            paths.append(path)
        return paths

    return write


@pytest.fixture
def ensemble(settings: Settings, write_members: Callable[..., list[Path]]) -> Path:
    """An ensemble of three."""
    path = settings.experiments / "folds" / ENSEMBLE
    write_ensemble(path, write_members(), name="folds", figures=AUROC)
    return path


def test_its_card_is_its_own(ensemble: Path) -> None:
    members, card = read_ensemble(ensemble)
    assert read_card(ensemble) == card
    assert len(members) == len(card.members) == 3
    assert card.reported_auroc() == ("patients, each evaluated by a member that never saw it", AUROC["auroc"])
    assert card.temperature == 1.0
    assert card.threshold == pytest.approx(expit(logit([0.2, 0.5, 0.6]).mean()))
    assert card.intensity["FLAIR"] == pytest.approx([1.0, 0.0])
    assert not card.reproduction


def test_it_answers_with_the_mean_of_its_members_calibrated_log_odds(ensemble: Path, write_series) -> None:  # type: ignore[no-untyped-def] # noqa: F811
    scan = study(write_series(MRSequence.FLAIR))
    together = open_predictor(ensemble).predict(scan)
    alone = [Predictor(path).predict(scan).probability for path in read_ensemble(ensemble)[0]]
    assert together.members == pytest.approx(alone, abs=1e-6)
    assert logit(together.probability) == pytest.approx(logit(alone).mean(), abs=1e-5)
    slices = [np.mean([logit(piece.probability) for piece in together.slices])]
    assert slices == pytest.approx([logit(together.probability)], abs=1e-4)
    assert together.to_dict()["members"] == list(together.members)
    assert Predictor(read_ensemble(ensemble)[0][0]).predict(scan).members == ()


def test_members_that_do_not_agree_are_a_doubt_and_those_that_do_are_none(ensemble: Path) -> None:
    predictor = open_predictor(ensemble)
    assert isinstance(predictor, Ensemble)
    odds = np.array([[0.0, -3.0], [0.0, 2.0], [0.0, 2.0]])
    (doubt,) = predictor._disagreement(odds)
    assert "1 unmethylated and 2 methylated" in doubt
    assert "from 0.05 to 0.88" in doubt
    assert predictor._disagreement(np.abs(odds)) == []


def test_an_ensemble_that_abstains_names_no_number_in_its_doubts_either(
    ensemble: Path,
    write_series: Callable[..., Series],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ensemble, "_disagreement", lambda self, odds: ["they run from 0.05 to 0.88"])
    scan, predictor = study(write_series(MRSequence.FLAIR)), open_predictor(ensemble)
    assert "they run from 0.05 to 0.88" in predictor.predict(scan).warnings
    monkeypatch.setattr("core.inference.predict.judge", lambda *checks, **rest: ("abstained", "No brain."))
    assert "they run from 0.05 to 0.88" not in predictor.predict(scan).warnings


def test_its_map_is_the_mean_of_its_members_maps(ensemble: Path, prepared: PreparedSeries) -> None:
    together = explain_many(open_predictor(ensemble), prepared, [1], "gradcam", 1)[0]
    alone = [explain_many(Predictor(path), prepared, [1], "gradcam", 1)[0] for path in read_ensemble(ensemble)[0]]
    mean = np.mean([cam.heat * cam.raw_max for cam in alone], axis=0)
    np.testing.assert_allclose(together.heat * together.raw_max, mean, rtol=1e-4, atol=1e-6)


def test_it_is_offered_and_found_like_a_checkpoint(ensemble: Path, settings: Settings) -> None:
    assert list_checkpoints(settings)[-1] == ensemble
    for name in ("folds", str(ensemble), str(ensemble.parent)):
        assert find_checkpoint(name, settings) == ensemble
    with pytest.raises(CheckpointError, match="an ensemble"):
        load_model(ensemble)


def test_the_test_of_maps_names_a_member_instead(ensemble: Path, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="one of its members"):
        measure_maps(open_predictor(ensemble), None, settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": ("methylated", "unmethylated")}, "different classes"),
        ({"config": RunConfig(prep=PrepConfig(size_px=32), weights="none")}, "differently prepared"),
        (
            {
                "config": RunConfig(
                    prep=PrepConfig(size_px=SIZE, slice_count=3), weights="none", architecture="resnet34"
                )
            },
            "different networks",
        ),
    ],
)
def test_networks_that_cannot_answer_together_are_refused(
    changes: dict[str, object], said: str, settings: Settings, write_members: Callable[..., list[Path]]
) -> None:
    path = settings.experiments / "folds" / ENSEMBLE
    with pytest.raises(CheckpointError, match=said):
        write_ensemble(path, write_members(**changes), name="folds", figures=AUROC)
    assert not path.exists()


def test_a_lost_member_and_a_damaged_file_are_told(ensemble: Path, tmp_path: Path) -> None:
    outside = tmp_path / "stranger.safetensors"
    outside.write_bytes(b"")
    content = json.loads(ensemble.read_text())
    ensemble.write_text(json.dumps(content | {"members": [*content["members"], str(outside)]}))
    with pytest.raises(CheckpointError, match="is not there"):
        read_card(ensemble)
    ensemble.write_text(json.dumps(content))
    read_ensemble(ensemble)[0][1].unlink()
    with pytest.raises(CheckpointError, match=r"fold-01.*command again"):
        open_predictor(ensemble)
    ensemble.write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        read_card(ensemble)
