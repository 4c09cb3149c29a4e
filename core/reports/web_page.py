"""A checkpoint as a folder of static files: a page that reads a scan, predicts and draws maps in the browser alone.

The page itself is ``web/``: modules without a build step. Written beside them are the network with its weights, the card, the
rules and limits that core and the page share (``rules.json``), and the sample study.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword

from core.data import voxels
from core.data.formats import acquisition, label_values, nifti
from core.data.formats.header import ATTRIBUTES, BIG_ENDIAN, DEFLATED, IMPLICIT, MR_CLASSES, NATIVE_SYNTAXES, PULSES
from core.data.index import recognise, separate, series_groups, stack
from core.data.prepare import slices
from core.data.sequences import contrast, evidence
from core.data.sequences.tables import TABLES
from core.data.synthetic import SYNTHETIC_FILE, SYNTHETIC_MARK
from core.dataset import intensity_profile, picture_features
from core.errors import REFUSALS, CheckpointError, StorageError
from core.evaluation.calibration import to_probabilities
from core.explain.methods import INPUT, METHODS
from core.explain.validation.saliency_record import default_map
from core.inference import guard, ood, predict, sources
from core.inference.onnx_engine import read_weights
from core.inference.onnx_graph import LOGITS, cut_graph, example_shape, read_graph
from core.models.card import ENSEMBLE, CheckpointCard, read_as_today, read_card
from core.models.card_text import describe_card
from core.models.registry import find_architecture, list_modules
from core.mri import MRSequence
from core.phantom.sample import SAMPLE_SEED
from core.phantom.study import make_sample_study
from core.settings import PROJECT_ROOT

WEB = PROJECT_ROOT / "web"
VENDOR = {
    "onnxruntime-web/dist": (
        "ort.jspi.min.mjs",
        "ort-wasm-simd-threaded.jspi.mjs",
        "ort-wasm-simd-threaded.jspi.wasm",
    ),
    "@niivue/dcm2niix/dist": ("dcm2niix.jpeg.js", "dcm2niix.jpeg.wasm"),
    "@niivue/niivue/dist": ("index.js",),
}
"""What the page takes from npm's packages, by folder; pinned in ``web/package-lock.json``. Of onnxruntime's builds that with WebGPU,
which ``web/jspi.js`` lets run in a browser without JSPI, too: it must come first in the module that each thread loads."""
JSPI_MODULE = "ort-wasm-simd-threaded.jspi.mjs"
LARGEST_BYTES = 45_000_000
"""What a page should be at most, all that it loads together."""
PAGE = ("*.html", "*.css", "*.js", "README.md")
MAPS = ("gradcam", "layercam", "layercam-smooth")
"""Methods that the page draws; for any other it draws Grad-CAM."""
TOLERANCE = 1e-4
"""By how much half-precision weights may change a probability; else they are written as they are."""
TRIED = 4
MACROS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "MRTimingAndRelatedParametersSequence",
    "MREchoSequence",
    "MRModifierSequence",
    "MRImageFrameTypeSequence",
)
"""What core reads of an enhanced object's frames (:mod:`core.data.formats.frames`)."""
FRAME_ATTRIBUTES = ("FrameType", "EffectiveEchoTime", "InversionTimes")
STATED_CONSTANTS: tuple[Any, ...] = (
    acquisition,
    label_values,
    nifti,
    separate,
    series_groups,
    stack,
    slices,
    voxels,
    contrast,
    ood,
    guard,
    picture_features,
    intensity_profile,
)
"""Modules whose numbers the page goes by as well."""


def export_web(checkpoint: Path, folder: Path, *, replace: bool = False) -> dict[str, int]:
    """Write the page of a checkpoint; return the bytes of each file, by its name in the folder.

    Parameters
    ----------
    checkpoint
        With its graph beside it (``export onnx``).
    folder
        Where it goes.
    replace
        Whether a page that is there is written over.

    Raises
    ------
    CheckpointError
        It is damaged or without a graph, or needs a preparation that the page lacks.
    StorageError
        The folder holds something, or the packages of ``web/`` are not installed.
    """
    if folder.exists() and any(folder.iterdir()) and not replace:
        raise StorageError(f"{folder} is not empty; name another folder, or add --replace.")
    packages = WEB / "node_modules"
    lacking = [name for place, names in VENDOR.items() for name in names if not (packages / place / name).is_file()]
    if lacking:
        raise StorageError(f"{packages} lacks {lacking[0]}: run npm ci in {WEB} (Node 20), which make web does.")
    card = read_as_today(read_card(checkpoint))
    _refuse(checkpoint, card)
    network, described = _build_network(checkpoint, card)
    (folder / "vendor").mkdir(parents=True, exist_ok=True)
    for pattern in PAGE:
        for path in WEB.glob(pattern):
            shutil.copyfile(path, folder / path.name)
    for place, names in VENDOR.items():
        for name in names:
            shutil.copyfile(packages / place / name, folder / "vendor" / name)
    module = folder / "vendor" / JSPI_MODULE
    module.write_text(f'import "../jspi.js";\n{module.read_text()}')
    (folder / "vendor" / "licences.txt").write_text(_collect_licences(packages))
    (folder / "network.onnx").write_bytes(network)
    (folder / "card.json").write_text(json.dumps({**card.model_dump(mode="json"), "page": described}))
    (folder / "card.md").write_text(describe_card(card))
    (folder / "rules.json").write_text(json.dumps(collect_rules()))
    _write_sample(folder / "sample.zip")
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def describe_excess(sizes: Mapping[str, int]) -> str:
    """Return a sentence where a page's files are more than a page should be; else nothing."""
    total = sum(sizes.values())
    if total <= LARGEST_BYTES:
        return ""
    return (
        f"A browser loads {total / 1e6:.1f} MB (the network is {sizes['network.onnx'] / 1e6:.1f} MB), more than the "
        f"{LARGEST_BYTES / 1e6:.0f} MB that a page should: the first answer waits for the download."
    )


def collect_rules() -> dict[str, Any]:
    """Return the words, limits and sentences by which core recognises, prepares and warns, as plain values."""
    constants: dict[str, Any] = {}
    for module in STATED_CONSTANTS:
        constants |= {
            name: value
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, int | float | str | tuple) and _is_plain(value)
        }
    tags = {name: f"{tag_for_keyword(name) or 0:08x}" for name in (*ATTRIBUTES, "PatientID", *FRAME_ATTRIBUTES)}
    return {
        "tables": TABLES,
        "stated": [" ".join(words) for words in evidence.STATED],
        "time_or_weighting": recognise.TIME_OR_WEIGHTING.pattern,
        "constants": constants,
        "tags": tags,
        "macros": [f"{tag_for_keyword(name) or 0:08x}" for name in MACROS],
        "pulses": PULSES,
        "sequences": [str(one) for one in MRSequence],
        "syntaxes": {
            "native": sorted(NATIVE_SYNTAXES),
            "implicit": IMPLICIT,
            "big_endian": BIG_ENDIAN,
            "deflated": DEFLATED,
        },
        "mr_classes": MR_CLASSES,
        "synthetic_mark": SYNTHETIC_MARK,
        "synthetic_file": SYNTHETIC_FILE,
        "refusals": REFUSALS,
        "sentences": {
            "synthetic": predict.SYNTHETIC_WARNING,
            "shuffled": predict.SHUFFLED_WARNING,
            "unnamed": sources.UNNAMED_WARNING,
            "guess": sources.GUESS_WARNING,
        },
    }


def _collect_licences(packages: Path) -> str:
    """The licences of what is vendored, and of the packages bundled in it."""
    bundled = sorted(path for path in packages.rglob("*") if path.name.lower().startswith("licen") and path.is_file())
    texts = [
        f"--- {path.parent.relative_to(packages)}\n\n{path.read_text()}"
        for path in bundled
        if "axe-core" not in path.parts
    ]
    return "\n".join([(WEB / "licences.txt").read_text(), *texts])


def _is_plain(value: object) -> bool:
    return all(isinstance(one, int | float | str) for one in value) if isinstance(value, tuple) else True


def _refuse(checkpoint: Path, card: CheckpointCard) -> None:
    """Raise where the page's preparation is not core's, or there are several networks."""
    prep = card.config.prep
    lacks = {
        "the answers of several networks (an ensemble)": checkpoint.name == ENSEMBLE or bool(card.members),
        "the equalisation of contrast (contrast=clahe)": prep.contrast != "none",
        "the blanking of heads (blank_head)": prep.blank_head,
        "the processing from raw": bool(card.processing),
    }
    found = [name for name, here in lacks.items() if here]
    if found:
        raise CheckpointError(
            f"{checkpoint} cannot be a page: {card.name} needs {found[0]}, which the browser's preparation does not have. "
            "Export another network (ResNets, the 3D ResNet-10, attention, one stream per sequence), or use predict."
        )


def _build_network(checkpoint: Path, card: CheckpointCard) -> tuple[bytes, dict[str, Any]]:
    """Return one graph of logits and what the default map needs, with its weights; and what the page must know of it."""
    method, layer = default_map(card)
    architecture = find_architecture(card.config.architecture)
    if method not in MAPS or layer == INPUT:
        method, layer = MAPS[0], architecture.target_layer
    names = list_modules(architecture, layer)
    outputs = [LOGITS, *(f"{part} {name}" for name in names for part in ("value", "gradient"))]
    graph, info = read_graph(checkpoint, card)
    part = onnx.load_model_from_string(cut_graph(graph, outputs))
    weights = read_weights(checkpoint)
    exact, small = (_fill(part, weights, half=half) for half in (False, True))
    pixels = _noise(example_shape(card.config.prep))
    answers = [
        to_probabilities(_score(model, pixels, len(card.class_names)), card.temperature) for model in (exact, small)
    ]
    difference = float(np.abs(answers[0] - answers[1]).max())
    halved = difference <= TOLERANCE
    chosen = small if halved else exact
    test = np.arange(np.prod(info.example), dtype=np.float32).reshape(1, *info.example) % 256
    return chosen, {
        "method": method,
        "map_title": METHODS[method].title,
        "smooth": METHODS[method].smooth,
        "layer": layer,
        "outputs": outputs,
        "example": info.example,
        "test_logits": _score(chosen, test, len(card.class_names))[0].tolist(),
        "volume": architecture.input_form == "volume",
        "weights": "float16" if halved else "float32",
        "weights_difference": difference if halved else 0.0,
        "reported_auroc": card.reported_auroc(),
        "calibration_text": card.describe_calibration(),
    }


def _fill(graph: onnx.ModelProto, weights: Mapping[str, NDArray[np.float32]], *, half: bool) -> bytes:
    """Return a graph with its weights inside; `half` stores matrices and kernels as float16, and computes in float32."""
    filled = onnx.ModelProto()
    filled.CopyFrom(graph)
    casts = []
    for tensor in filled.graph.initializer:
        if not tensor.external_data:
            continue
        values = weights[tensor.name]
        smaller = half and values.ndim > 1
        stored = f"{tensor.name} stored" if smaller else tensor.name
        if smaller:
            casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT))
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16) if smaller else values, stored))
    nodes = [*casts, *filled.graph.node]
    del filled.graph.node[:]
    filled.graph.node.extend(nodes)
    return filled.SerializeToString()


def _noise(shape: tuple[int, ...]) -> NDArray[np.float32]:
    coarse = np.random.default_rng(0).uniform(0, 255, (TRIED, *shape[:-2], shape[-2] // 8 + 1, shape[-1] // 8 + 1))
    return np.kron(coarse, np.ones((8, 8)))[..., : shape[-2], : shape[-1]].astype(np.float32)


def _score(model: bytes, examples: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Logits of examples with values of 0 to 255: (examples, classes)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    target = np.eye(1, classes, dtype=np.float32)
    logits = [np.asarray(session.run([LOGITS], {"pixels": one[None], "target": target})[0]) for one in examples]
    return np.concatenate(logits)


def _write_sample(path: Path) -> None:
    with TemporaryDirectory(prefix="mgmt-lab-") as workspace:
        study = make_sample_study(Path(workspace), seed=SAMPLE_SEED, mgmt_value=1)
        with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(study.rglob("*.dcm")):
                archive.write(file, file.relative_to(study.parent).as_posix())
