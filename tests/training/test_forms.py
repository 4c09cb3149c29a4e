"""A network of each input form: one file, one entry, and it is trained, judged, asked and explained like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.config import RunConfig, apply_settings
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.errors import ConfigError
from core.explain.cam import explain_many
from core.explain.validation.sanity import measure_maps
from core.inference.predict import Predictor
from core.inference.torch_engine import TorchEngine
from core.models import registry
from core.models.registry import Architecture, Normalisation, check_form
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.evaluate import evaluate_run
from core.training.trainer import run_training
from tests.phantoms import copy_phantom

SIZE = 32


def toy(
    form: str, channels: int, layers: Callable[[int], list[nn.Module]], target: str = "0", **more: object
) -> Architecture:
    """An entry whose network is a few layers."""
    return Architecture(
        name=f"toy_{form}", title=f"Toy of {form}", input_form=form, channels=channels,  # type: ignore[arg-type]
        network=lambda class_count: nn.Sequential(*layers(class_count)), head=str(len(layers(2)) - 1), target_layer=target,
        normalisation=Normalisation(mean=(0.5,) * channels, std=(0.25,) * channels), pretrained=None, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def flat(channels: int) -> Callable[[int], list[nn.Module]]:
    """Layers for images (n, channels, size, size)."""
    return lambda classes: [
        nn.Conv2d(channels, 4, 5, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, classes)
    ]  # fmt: skip


def deep(channels: int) -> Callable[[int], list[nn.Module]]:
    """Layers for volumes (n, channels, depth, size, size)."""
    return lambda classes: [
        nn.Conv3d(channels, 4, 3, stride=(1, 4, 4)), nn.BatchNorm3d(4), nn.ReLU(), nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(32, classes)
    ]  # fmt: skip


FORMS: dict[str, tuple[Architecture, tuple[str, ...]]] = {
    "slice with neighbours": (toy("slice", 3, flat(3)), ("form=slice", "channels=neighbours")),
    "slice of three sequences": (
        toy("slice", 3, flat(3)), ("form=slice", "channels=sequences", "grid_mm=6", "sequences=FLAIR,T1wCE,T2w")
    ),
    "slices on a grid": (toy("slice", 3, flat(3)), ("form=slice", "grid_mm=6")),
    "grey volume": (toy("volume", 1, deep(1)), ("form=volume",)),
    "volume of three sequences": (
        toy("volume", 3, deep(3)), ("form=volume", "channels=sequences", "grid_mm=6", "sequences=FLAIR,T1wCE,T2w")
    ),
    "streams": (toy("streams", 2, flat(2)), ("form=streams", "grid_mm=6", "sequences=T1wCE,T2w")),
}  # fmt: skip


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("forms") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=8, size=40, slices=10, seed=3))
    return scan_cohort(folder)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("forms") / "strangers"
    copy_phantom(folder, PhantomConfig(studies=4, size=40, slices=10, seed=4))
    return scan_cohort(folder)


def configured(entry: Architecture, settings: tuple[str, ...]) -> RunConfig:
    small = (
        f"size_px={SIZE}",
        "slice_count=3",
        "epochs=1",
        "batch_size=4",
        "weights=none",
        "device=cpu",
        "test_fraction=0.25",
    )
    return apply_settings(find_preset("honest").config, [*small, f"architecture={entry.name}", *settings])


def trained(
    form: str, cohort: Cohort, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunFolder, Predictor]:
    entry, chosen = FORMS[form]
    monkeypatch.setitem(registry.ARCHITECTURES, entry.name, entry)
    run = run_training(settings, configured(entry, chosen), DataSource(root=str(cohort.root)), folder / "run")
    return run, Predictor(run.checkpoint)


@pytest.mark.parametrize("form", FORMS)
def test_a_network_of_any_form_is_trained_judged_asked_and_explained(
    form: str, cohort: Cohort, strangers: Cohort, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, predictor = trained(form, cohort, settings, tmp_path, monkeypatch)
    evaluation = evaluate_run(run, "test", settings)
    assert evaluation.patient["auroc"].n == 2
    elsewhere = evaluate_run(run, "test", settings, other=strangers)
    assert elsewhere.patient["auroc"].n == 4
    assert not elsewhere.notes
    prediction = predictor.predict(cohort.studies[0], synthetic=True)
    # What is asked one study at a time is what was judged in a table.
    judged = evaluation.frame[evaluation.frame["study_id"] == cohort.studies[0].study_id]
    if len(judged):
        assert len(judged) == len(prediction.slices)
    for part in prediction.series:
        cams = explain_many(predictor, part.prepared)
        assert len(cams) == len(part.prepared.pixels)
        for seen in part.seen:
            assert seen.take(part.prepared.pixels[seen.example]).shape == (SIZE, SIZE)
            assert seen.take(cams[seen.example].heat).shape == (SIZE, SIZE)
    tested = measure_maps(predictor, cohort, settings, studies=2, methods=["layercam", "occlusion"])
    assert tested.volumes == (predictor.card.config.prep.form == "volume")
    assert [score.layer for score in tested.scores] == [predictor.architecture.target_layer, "input"]
    assert tested.moved is not None
    for score in tested.scores:
        assert score.hits is not None
        assert score.hits.n == tested.images
        assert (score.road is None) == (predictor.card.config.prep.form != "slice" or "channels" in str(FORMS[form][1]))
    assert all(example.image.shape == (SIZE, SIZE) for example in tested.examples)
    assert all(heat.shape == (SIZE, SIZE) for example in tested.examples for heat in example.maps.values())


def test_prediction_and_judgement_of_a_volume_agree(
    cohort: Cohort, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, predictor = trained("volume of three sequences", cohort, settings, tmp_path, monkeypatch)
    evaluation = evaluate_run(run, "test", settings)
    for study_id, probability in zip(evaluation.patient_ids, evaluation.patient_probabilities[:, 1], strict=True):
        study = next(study for study in cohort if study.person == study_id)
        # The table is scored as training computes, which may be bfloat16.
        assert predictor.predict(study, synthetic=True).probability == pytest.approx(probability, abs=0.02)


def test_a_study_that_lacks_a_sequence_is_answered_and_the_answer_says_so(
    cohort: Cohort, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, predictor = trained("streams", cohort, settings, tmp_path, monkeypatch)
    whole = cohort.studies[0]
    lacking = replace(whole, series=tuple(one for one in whole.series if one.sequence != MRSequence.T2W))
    answer = predictor.predict(lacking, synthetic=True)
    assert any("The study has no T2w; the answer rests on T1wCE alone" in warning for warning in answer.warnings)
    assert {piece.sequence for piece in answer.slices} == {"T1wCE"}
    assert {seen.sequence for part in answer.series for seen in part.seen} == {"T1wCE"}
    assert answer.probability != predictor.predict(whole, synthetic=True).probability


def test_a_stream_that_is_absent_is_zero_after_normalisation() -> None:
    from core.models.forward import Compute, to_input

    entry, _ = FORMS["streams"]
    images = torch.full((2, 2, 8, 8), 100, dtype=torch.uint8)
    images[1, 0] = 0
    found = to_input(images, entry, Compute(device="cpu", precision="float32", channels_last=False))
    assert not found[1, 0].any()
    assert found[0, 0].mean() == pytest.approx((100 / 255 - 0.5) / 0.25)


def test_a_map_follows_the_layer_of_a_volume_that_decides(cohort: Cohort) -> None:
    """A network that looks at one corner of one layer alone is explained by that corner of that layer."""

    class Corner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.look = nn.Conv3d(1, 1, 1)
            nn.init.ones_(self.look.weight)
            nn.init.zeros_(self.look.bias)

        def forward(self, volume: torch.Tensor) -> torch.Tensor:
            corner = self.look(volume)[:, 0, 1, :8, :8].mean(dim=(1, 2))
            return torch.stack([-corner, corner], dim=1)

    class Stub:
        def __init__(self) -> None:
            from threading import Lock

            from core.models.forward import Compute

            self.lock, self.members = Lock(), (self,)
            self.architecture = toy("volume", 1, deep(1), target="look")
            compute = Compute(device="cpu", precision="float32", channels_last=False)
            self.engine = TorchEngine(Corner().eval(), self.architecture, compute)
            self.card = type("Card", (), {"positive_class": 1, "class_names": ("no", "yes")})

    series = cohort.studies[0].series[0]
    from core.config import PrepConfig
    from core.data.prepare.slices import prepare_source as prepare

    prepared = prepare((series,), PrepConfig(form="volume", slice_count=3, size_px=SIZE))
    prepared = replace(prepared, pixels=np.full_like(prepared.pixels, 255))
    cam = explain_many(Stub(), prepared, method="hirescam")[0]  # type: ignore[arg-type]
    assert cam.heat.shape == (3, SIZE, SIZE)
    assert cam.heat[1, :8, :8].min() > 0.5
    assert cam.heat[[0, 2]].max() == 0
    assert cam.heat[1, 9:].max() == 0


def test_sequences_must_be_as_many_as_the_network_takes() -> None:
    entry, _ = FORMS["streams"]
    prep = apply_settings(find_preset("multistream").config, {}).prep
    with pytest.raises(ConfigError, match="takes 2 sequences at once, and 3 are prepared"):
        check_form(entry, prep)
