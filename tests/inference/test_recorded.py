"""The sample's recorded answer: that of the network, of the same weights and pixels alone, and without loading it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.data.study import Cohort
from core.data.upload import open_scan
from core.explain.cam import map_coarsely
from core.explain.methods import METHODS
from core.explain.slices import map_slices
from core.explain.validation.saliency_record import default_map
from core.inference import runtimes
from core.inference.predict import Predictor
from core.inference.recorded import SUFFIX, RecordedEngine, read_record
from core.phantom.sample import keep_sample_study
from core.phantom.study import make_sample_study
from core.settings import PROJECT_ROOT, load_settings

SHIPPED = sorted((PROJECT_ROOT / "checkpoints").glob("demo-synthetic*.safetensors"))
LARGEST_BYTES = 2**18


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("sample")
    return open_scan([keep_sample_study(folder / "study")], folder / "unpacked", load_settings())


def forbid_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(runtimes, "_open_network", load)


@pytest.mark.parametrize("checkpoint", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_answer_and_every_map_are_those_of_the_network(
    checkpoint: Path, sample: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Predictor(checkpoint, runtime="torch", threads=1)
    expected = live.predict(sample.studies[0], synthetic=True)
    target = live.card.class_names.index(expected.prediction)
    forbid_network(monkeypatch)
    recorded = Predictor(checkpoint)
    found = recorded.predict(sample.studies[0], synthetic=True)
    assert found.probability == pytest.approx(expected.probability, abs=1e-5)
    assert (found.prediction, found.guard, found.possible) == (expected.prediction, expected.guard, expected.possible)
    method, layer = default_map(recorded.card)
    assert map_slices(recorded, found, method=method, layer=layer, target=target)
    with pytest.raises(AssertionError, match="was loaded"):
        map_coarsely(recorded, found.series[0].prepared, 1 - target)
    for part in found.series:
        maps = (map_coarsely(one, part.prepared, target) for one in (recorded, live))
        drawn, computed = ({(name, at): one.draw(name, at) for name in METHODS if METHODS[name].by_layer
                            for at in live.architecture.layers} for one in maps)  # fmt: skip
        for key, cams in drawn.items():
            for cam, other in zip(cams, computed[key], strict=True):
                assert cam.raw_max == pytest.approx(other.raw_max, rel=2e-3, abs=1e-6), key
                assert np.abs(cam.heat - other.heat).max() < 5e-3, key
    assert checkpoint.with_suffix(SUFFIX).stat().st_size < LARGEST_BYTES


def lose_record(path: Path) -> None:
    path.with_suffix(SUFFIX).unlink()


def damage_record(path: Path) -> None:
    path.with_suffix(SUFFIX).write_bytes(path.with_suffix(SUFFIX).read_bytes()[:-200])


def pickle_record(path: Path) -> None:
    np.savez(path.with_suffix(SUFFIX), examples=np.array([{}], dtype=object))


def change_weights(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("change", [lose_record, damage_record, pickle_record, change_weights])
def test_a_record_that_is_damaged_or_of_other_weights_is_none(tmp_path: Path, change: Callable[[Path], None]) -> None:
    for path in SHIPPED[0].parent.glob(f"{SHIPPED[0].stem}.*"):
        shutil.copy(path, tmp_path)
    checkpoint = tmp_path / SHIPPED[0].name
    assert isinstance(Predictor(checkpoint).engine, RecordedEngine)
    change(checkpoint)
    assert read_record(checkpoint) is None


def test_another_scan_is_answered_by_the_network(tmp_path: Path) -> None:
    make_sample_study(tmp_path / "study", seed=4, mgmt_value=0)
    cohort = open_scan([tmp_path / "study"], tmp_path / "unpacked", load_settings())
    answers = [Predictor(SHIPPED[0], runtime=runtime, threads=1) for runtime in ("auto", "onnx")]
    found, expected = (one.predict(cohort.studies[0], synthetic=True).probability for one in answers)
    assert found == expected
    part = answers[0].predict(cohort.studies[0], synthetic=True).series[0].prepared
    for target in (0, 1):
        recorded, live = (map_coarsely(one, part, target).draw("gradcam")[0] for one in answers)
        assert np.array_equal(recorded.heat, live.heat)
    assert answers[0].engine.runtime == "onnx"
