"""A graph answers and maps as PyTorch does, and one that is damaged, foreign or hostile is refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from core.config import PrepConfig, RunConfig
from core.data.prepare.examples import PreparedSeries
from core.errors import CheckpointError, StorageError
from core.explain.cam import explain_each
from core.explain.methods import METHODS
from core.inference import onnx_graph, runtimes
from core.inference.onnx_export import export_onnx
from core.inference.onnx_graph import KEY, GraphInfo, example_shape, read_graph, seal
from core.inference.predict import Predictor
from core.models.card import graph_path, read_card, replace_card
from core.models.checkpoint import save_checkpoint
from core.models.registry import find_architecture
from core.models.weights import build_random
from core.mri import CLASS_NAMES, MRSequence
from core.presets import PRESETS
from core.settings import PROJECT_ROOT
from tests.conftest import SIZE

THREE = (MRSequence.T1WCE, MRSequence.T2W, MRSequence.FLAIR)


def compare(checkpoint: Path, prepared: PreparedSeries) -> None:
    """Both runtimes: the same answers, and the same maps by every method at every layer for every class."""
    one, other = (Predictor(checkpoint, runtime=name, threads=1) for name in ("torch", "onnx"))
    np.testing.assert_allclose(other.score(prepared), one.score(prepared), atol=1e-4, rtol=1e-4)
    wanted = [(name, layer) for name, method in METHODS.items() if method.by_layer for layer in one.architecture.layers]
    for target in range(len(one.card.class_names)):
        first, second = (explain_each(predictor, prepared, wanted, None, target) for predictor in (one, other))
        for cams, others in zip(first, second, strict=True):
            for cam, same in zip(cams, others, strict=True):
                assert same.raw_max == pytest.approx(cam.raw_max, rel=1e-2, abs=1e-9)
                if cam.raw_max > 1e-9:
                    assert np.corrcoef(cam.heat.ravel(), same.heat.ravel())[0, 1] >= 0.999
                    assert cam.heat.flat[same.heat.argmax()] >= 0.999


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint of three classes with its graph, never changed."""
    folder = tmp_path_factory.mktemp("exported")
    return write(folder / "small.safetensors", "resnet18", PrepConfig(size_px=SIZE, slice_count=3), ("a", "b", "c"))


def write(path: Path, architecture: str, prep: PrepConfig, class_names: tuple[str, ...] = CLASS_NAMES) -> Path:
    card = read_card(PROJECT_ROOT / "checkpoints" / "demo-synthetic.safetensors")
    config = RunConfig(architecture=architecture, prep=prep, weights="none")
    card = card.model_copy(
        update={"config": config, "class_names": class_names, "positive_class": 1, "conformal": {}, "temperature": 1.0}
    )
    save_checkpoint(
        path, build_random(find_architecture(architecture), len(class_names), 3).state_dict(), card, half=True
    )
    export_onnx(path, path.parent, path.stem)
    return path


def test_answers_and_maps_are_those_of_pytorch(exported: Path, prepared: PreparedSeries) -> None:
    compare(exported, prepared)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "prep"),
    [
        ("multistream", PrepConfig(form="streams", sequences=THREE, grid_mm=3, slice_count=2, size_px=SIZE)),
        ("attention_resnet18", PrepConfig(form="volume", slice_count=3, size_px=SIZE)),
        ("volumetric", PrepConfig(form="volume", slice_count=8, size_px=SIZE)),
    ],
)
def test_other_forms_too(architecture: str, prep: PrepConfig, tmp_path: Path, prepared: PreparedSeries) -> None:
    path = write(tmp_path / "other.safetensors", architecture, prep)
    coarse = np.random.default_rng(5).uniform(40, 250, (1, *example_shape(prep)[:-2], SIZE // 8, SIZE // 8))
    pixels = np.kron(coarse, np.ones((8, 8))).astype(np.uint8)
    several = {"slice_index": prepared.slice_index[:1]}
    compare(path, PreparedSeries(**{**{name: getattr(prepared, name) for name in PreparedSeries.__slots__}, **several, "pixels": pixels}))  # fmt: skip


def test_a_shipped_graph_fits_its_checkpoint_and_is_what_auto_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "GPU", Path("/nowhere"))
    for path in (PROJECT_ROOT / "checkpoints").glob("demo-*.safetensors"):
        assert Predictor(path).engine.runtime == "onnx"


def test_auto_takes_pytorch_without_a_graph_or_where_it_is_faster(
    exported: Path, write_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    alone = write_checkpoint()
    assert Predictor(alone).engine.runtime == "torch"
    with pytest.raises(CheckpointError, match="export onnx"):
        Predictor(alone, runtime="onnx")
    slow = copy_bundle(exported, tmp_path)
    change(slow, times_faster=0.5)
    assert Predictor(slow).engine.runtime == "torch"
    assert Predictor(slow, runtime="onnx").engine.runtime == "onnx"


def test_the_network_itself_is_asked_of_pytorch(exported: Path) -> None:
    with pytest.raises(CheckpointError, match="--runtime torch"):
        _ = Predictor(exported, runtime="onnx").model


def test_a_new_card_leaves_the_graph_valid_and_other_weights_do_not(exported: Path, tmp_path: Path) -> None:
    path = copy_bundle(exported, tmp_path)
    replace_card(path, lambda card: card.model_copy(update={"name": "renamed"}))
    assert read_graph(path, read_card(path))[1].architecture == "resnet18"
    state = build_random(find_architecture("resnet18"), 3, 4).state_dict()
    save_checkpoint(path, state, read_card(path), half=True)
    with pytest.raises(CheckpointError, match="other weights"):
        Predictor(path, runtime="onnx")


def test_nothing_is_overwritten_unasked(exported: Path) -> None:
    with pytest.raises(StorageError, match="--replace"):
        export_onnx(exported, exported.parent, exported.stem)


def test_two_stages_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="two_stage cuts the tumour's box"):
        write(tmp_path / "two.safetensors", "two_stage", PRESETS["two-stage"].config.prep)
    assert not list(tmp_path.glob("*.onnx"))


def copy_bundle(source: Path, folder: Path) -> Path:
    path = folder / source.name
    shutil.copy(source, path)
    shutil.copy(graph_path(source), graph_path(path))
    return path


def change(path: Path, edit: Callable[[onnx.ModelProto], object] = lambda model: None, **fields: object) -> None:
    """Write a graph again with something changed in it, its digest made to fit: what a hostile hand would do."""
    model = onnx.load_model(graph_path(path), load_external_data=False)
    info = GraphInfo.model_validate_json(next(one.value for one in model.metadata_props if one.key == KEY))
    edit(model)
    graph_path(path).write_bytes(seal(model, info.model_copy(update=fields)))


def first_weights(model: onnx.ModelProto) -> onnx.TensorProto:
    return next(one for one in model.graph.initializer if one.external_data)


def add_node(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    model.graph.node.append(node)


HUGE = helper.make_tensor("huge", onnx.TensorProto.INT64, [2], [2**20, 2**20])
HOSTILE = {
    "loop": (lambda model: add_node(model, helper.make_node("Loop", [""], ["x"])), "operators that no export writes"),
    "own domain": (lambda model: add_node(model, helper.make_node("Add", ["logits", "logits"], ["x"], domain="evil")), "operators"),
    "no text": (lambda model: model.graph.node[0].MergeFromString(b"\x22\x02\xff\xfe"), "operators that no export writes"),
    "file": (lambda model: setattr(first_weights(model).external_data[0], "value", "../../etc/passwd"), "another file"),
    "opset": (lambda model: setattr(model.opset_import[0], "version", 9), "opset 20"),
    "input": (lambda model: setattr(model.graph.input[0], "name", "other"), "inputs and outputs"),
    "unknown weights": (lambda model: setattr(first_weights(model), "name", "nowhere"), "refused|does not fit"),
    "shape": (lambda model: first_weights(model).dims.__setitem__(0, 7), "do not fit|does not fit"),
    "memory": (
        lambda model: (model.graph.initializer.append(HUGE), add_node(model, helper.make_node("Expand", ["logits", "huge"], ["x"]))),
        "too much memory|do not fit",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_graph_is_refused_by_name(kind: str, exported: Path, tmp_path: Path) -> None:
    path = copy_bundle(exported, tmp_path)
    edit, said = HOSTILE[kind]
    change(path, edit)
    with pytest.raises(CheckpointError, match=said) as caught:
        Predictor(path)
    assert graph_path(path).name in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda good: b"", "damaged, or not a graph"),
        (lambda good: good[: len(good) // 2], "damaged, or not a graph"),
        (lambda good: b"PK" + good, "damaged, or not a graph|refused"),
        (lambda good: good.replace(b"relu", b"ralu", 1), "changed or damaged"),
        (lambda good: b"\0" * (onnx_graph.LARGEST_BYTES + 1), "more than any graph"),
    ],
)
def test_a_damaged_graph_is_refused_by_name(
    content: Callable[[bytes], bytes], said: str, exported: Path, tmp_path: Path
) -> None:
    path = copy_bundle(exported, tmp_path)
    graph_path(path).write_bytes(content(graph_path(path).read_bytes()))
    with pytest.raises(CheckpointError, match=said):
        Predictor(path)


def test_every_preset_states_the_shape_that_its_network_takes() -> None:
    for preset in PRESETS.values():
        shape, entry = example_shape(preset.config.prep), find_architecture(preset.config.architecture)
        assert len(shape) == {"slice": 2, "streams": 3, "volume": 4}[entry.input_form]
