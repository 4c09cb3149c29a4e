"""Maps that are right and maps that are wrong, told apart; and maps that do not depend on the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.errors import ConfigError, DataError
from core.evaluation.figure import Figure
from core.explain.cam import explain_many
from core.explain.validation import sanity, tumour_images
from core.explain.validation.randomisation import list_stages, randomise_from
from core.explain.validation.sanity import measure_maps, share_moved
from core.explain.validation.tumour_images import choose_images, pool, pool_images
from core.inference.predict import Predictor
from core.inference.prediction import Cam
from core.phantom.config import PhantomConfig
from core.progress import silent
from core.settings import Settings, load_settings
from tests.phantoms import copy_phantom


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("maps") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=4, signal=3, seed=5, slices=12, size=64))
    return scan_cohort(folder)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"MGMT_LAB_HOME": str(tmp_path / "home"), "MGMT_LAB_THREADS": "1"})


@pytest.fixture
def predictor(write_checkpoint: Callable[..., Path]) -> Predictor:
    return Predictor(write_checkpoint(synthetic=True))


def test_untrained_network_is_measured_whole(predictor: Predictor, cohort: Cohort, settings: Settings) -> None:
    before = {name: value.clone() for name, value in predictor.model.state_dict().items()}
    found = measure_maps(
        predictor, cohort, settings, methods=["gradcam", "hirescam"], layers=["layer3.1"], per_series=1
    )
    assert found.studies == 4
    assert found.stages[0] == "fc"
    assert found.stages[-1] == "conv1"
    assert [score.method for score in found.scores] == ["gradcam", "hirescam"]
    assert found.chance is not None
    assert found.chance.value is not None
    assert 0.01 < found.chance.value < 0.4
    for score in found.scores:
        assert score.hits is not None
        assert score.random_hits is not None
        assert score.hits.n == score.random_hits.n == found.images
        assert len(score.similarity) == len(found.stages)
    assert len(found.examples) == 4
    for name, value in predictor.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_perfect_and_opposite_maps_score_one_and_nothing(
    predictor: Predictor, cohort: Cohort, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = choose_images(predictor, cohort, settings, 4, 1, silent)
    truth = np.concatenate([part.tumour for part in tested if part.tumour is not None]).astype(np.float32)
    changed = np.concatenate([part.changed for part in tested if part.changed is not None])
    monkeypatch.setattr(sanity, "similarity", lambda *_: Figure(value=0.0, low=None, high=None, n=4))
    monkeypatch.setattr(sanity, "measure_road", lambda images, *_: np.zeros(len(images)))
    for maps, expected in ((truth, 1.0), (1 - truth, 0.0), (np.zeros_like(truth), 0.0)):
        monkeypatch.setattr(
            sanity, "draw_all_maps", lambda *given, maps=maps: {given[3][0]: maps[: len(given[2])]}
        )  # the cascade asks for fewer
        found = measure_maps(predictor, cohort, settings, methods=["gradcam"], layers=["layer4.1"], per_series=1)
        (score,) = found.scores
        assert score.hits is not None
        assert score.near_hits is not None
        assert score.inside is not None
        assert score.hits.value == expected
        assert score.inside.value == pytest.approx(expected)
        assert score.near_hits.value == (expected if expected else score.random_near_hits and score.near_hits.value)
    assert found.changed_chance is not None
    assert found.changed_chance.n == len(changed)
    assert found.chance is not None
    assert found.near_chance is not None
    assert 0 < (found.changed_chance.value or 0) < (found.chance.value or 0) < (found.near_chance.value or 0)


def test_a_network_that_reads_the_trait_follows_the_counterfactual_and_one_that_reads_it_backwards_does_not(
    predictor: Predictor, cohort: Cohort, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = choose_images(predictor, cohort, settings, 4, 1, silent)
    paired = [part for part in tested if part.counterfactual is not None and part.tumour is not None]
    assert len(paired) == 8
    # The core is dark in FLAIR and grows with the biomarker: the tumour's mean brightness tells it, upside down.
    dark = {
        part.prepared.pixels.tobytes(): -float(part.prepared.pixels[0][part.tumour[0]].mean())
        for part in paired
        if part.sequence == "FLAIR" and part.tumour is not None
    }
    dark |= {
        part.counterfactual.pixels.tobytes(): -float(part.counterfactual.pixels[0][part.tumour[0]].mean())
        for part in paired
        if part.sequence == "FLAIR" and part.counterfactual is not None and part.tumour is not None
    }
    only = [part for part in paired if part.sequence == "FLAIR"]
    for sign, expected in ((1, 1.0), (-1, 0.0)):
        monkeypatch.setattr(
            predictor,
            "score",
            lambda prepared, sign=sign: np.array(
                [[0.0, sign * dark.get(image[None].tobytes(), 0.0)] for image in prepared.pixels]
            ),
        )
        moved = share_moved(predictor, pool_images(predictor, only))
        assert moved is not None
        assert moved.value == expected
        assert moved.n == len(only)


def test_cascade_replaces_from_the_head_down_and_nothing_else(predictor: Predictor) -> None:
    stages = list_stages(predictor.model)
    copies = randomise_from(predictor.model, stages)
    own = predictor.model.state_dict()
    for count, model in enumerate(copies, start=1):
        for name, value in model.state_dict().items():
            if name.split(".")[0] not in stages[:count]:
                torch.testing.assert_close(value, own[name], rtol=0, atol=0)
    assert not torch.equal(copies[0].state_dict()["fc.weight"], own["fc.weight"])
    assert not torch.equal(copies[-1].state_dict()["conv1.weight"], own["conv1.weight"])


def test_layers_are_those_of_the_architecture(predictor: Predictor, cohort: Cohort, settings: Settings) -> None:
    prepared = pool([part.prepared for part in choose_images(predictor, cohort, settings, 1, 1, silent)])
    heats: list[Cam] = [
        explain_many(predictor, prepared, [0], layer=layer)[0] for layer in (None, "layer3.1", "layer2.1")
    ]
    assert [cam.target_layer for cam in heats] == ["layer4.1", "layer3.1", "layer2.1"]
    assert not np.allclose(heats[0].heat, heats[1].heat)
    with pytest.raises(ConfigError, match=r"choose one of: layer4\.1, layer3\.1, layer2\.1"):
        explain_many(predictor, prepared, [0], layer="fc")


def test_data_without_truth_still_get_the_test_with_random_weights(
    predictor: Predictor, cohort: Cohort, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tumour_images, "has_truth", lambda root: False)
    found = measure_maps(predictor, cohort, settings, studies=2, methods=["gradcam"], layers=["layer4.1"], per_series=1)
    assert found.chance is None
    assert found.scores[0].hits is None
    last = found.best.similarity[-1]
    assert last.value is not None
    assert -1 <= last.value <= 1
    assert last.n == found.images
    assert found.to_dict()["chance"] is None
    assert found.moved is None
    assert found.scores[0].road is not None  # ROAD asks the network, not the truth


def test_nothing_to_test_is_said(
    predictor: Predictor, cohort: Cohort, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tumour_images, "LEAST_TUMOUR", {"slice": 2.0})
    with pytest.raises(DataError, match="no image to test maps on"):
        measure_maps(predictor, cohort, settings)
