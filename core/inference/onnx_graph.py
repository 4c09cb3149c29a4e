"""The graph that ``export onnx`` writes beside a checkpoint: what it must be before anything of it is run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from pathlib import Path

import onnx
import xxhash
from google.protobuf.message import DecodeError, EncodeError
from pydantic import BaseModel, ConfigDict, ValidationError

from core.config import PrepConfig
from core.errors import CheckpointError
from core.files import parse_document
from core.models.card import CheckpointCard, graph_path, tensor_start

SCHEMA_VERSION = 1
OPSET = 20
KEY = "mgmt-lab"
"""Of the graph's metadata: :class:`GraphInfo` as JSON."""
LOGITS = "logits"
LARGEST_BYTES = 16 * 1024 * 1024
"""A graph without its weights has some tens of kilobytes; a ResNet-152's, half a megabyte."""
MOST_VALUES = 2**28
"""Of one value inside the graph: 1 GiB of float32."""
OPERATORS = frozenset(
    re.findall(
        r"\w+",
        "Abs Add And AveragePool BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose "
        "Div Equal Exp Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool Greater GreaterOrEqual "
        "Identity IsInf IsNaN Less LessOrEqual Log MatMul Max MaxPool Min Mul Neg Not Or Pad Pow Range Reciprocal ReduceL2 "
        "ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Round ScatterElements ScatterND Shape Sigmoid Sign "
        "Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where",
    )
)
"""Arithmetic alone: nothing that loops, branches, calls or reaches outside."""
REMEDY = "Write it again with python -m core export onnx, or remove it: PyTorch does without."


class GraphInfo(BaseModel):
    """What a graph says of itself; what it answers about stands on the checkpoint's card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    architecture: str
    classes: int
    example: tuple[int, ...]
    """Shape of what it takes: one example of 0..255, channels first where it has any."""
    weights: str
    """xxh3_128 of the checkpoint's tensors: the card may change, the numbers may not."""
    graph: str = ""
    """xxh3_128 of the graph without its metadata."""
    times_faster: float = 0.0
    """Than PyTorch, for the logits on one thread, where it was exported."""
    versions: dict[str, str] = {}


def example_shape(prep: PrepConfig) -> tuple[int, ...]:
    """Return the shape of one prepared example, as :func:`core.data.prepare.examples.build_examples` gives it."""
    channels = len(prep.sequences) if prep.combines else 3 if prep.channels == "neighbours" else 1
    square = (prep.size_px, prep.size_px)
    if prep.form == "volume":
        return (channels, prep.slice_count, *square)
    return (channels, *square) if channels > 1 or prep.form == "streams" else square


def digest_weights(checkpoint: Path) -> str:
    """Return the xxh3_128 of a checkpoint's tensors, the card left out."""
    digest = xxhash.xxh3_128()
    with checkpoint.open("rb") as file:
        file.seek(tensor_start(checkpoint))
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    return digest.hexdigest()


def seal(model: onnx.ModelProto, info: GraphInfo) -> bytes:
    """Return the graph's bytes with what it says of itself."""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, info.model_copy(update={"graph": _digest(model)}).model_dump_json()
    return model.SerializeToString(deterministic=True)


def read_graph(checkpoint: Path, card: CheckpointCard) -> tuple[onnx.ModelProto, GraphInfo]:
    """Read and check the graph beside a checkpoint.

    Raises
    ------
    CheckpointError
        It is missing, damaged, of another schema or opset, another checkpoint's, or holds what no export writes.
    """
    path = graph_path(checkpoint)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise CheckpointError(f"{path} has {path.stat().st_size} bytes, more than any graph of ours. {REMEDY}")
        model = onnx.load_model_from_string(path.read_bytes())
        entries = {entry.key: entry.value for entry in model.metadata_props}
        info = GraphInfo.model_validate(parse_document(entries[KEY]))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{checkpoint} has no graph {path.name} beside it; write one with python -m core export onnx."
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened ({error.strerror}). {REMEDY}") from error
    except (DecodeError, ValidationError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} is damaged, or not a graph of MGMT Lab ({type(error).__name__}). {REMEDY}"
        ) from error
    fault = _find_fault(model, info, card) or (
        "" if info.weights == digest_weights(checkpoint) else "it was made for other weights"
    )
    if fault:
        raise CheckpointError(f"{path} is refused: {fault}. {REMEDY}")
    return model, info


def cut_graph(model: onnx.ModelProto, outputs: Sequence[str]) -> bytes:
    """Return the part of a graph that some of its outputs need: a run computes all that a graph holds."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    needed, nodes = set(outputs), []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    graph = part.graph
    del graph.node[:], graph.input[:], graph.initializer[:], graph.output[:]
    graph.node.extend(reversed(nodes))
    graph.input.extend(one for one in model.graph.input if one.name in needed)
    graph.initializer.extend(one for one in model.graph.initializer if one.name in needed)
    graph.output.extend(one for one in model.graph.output if one.name in outputs)
    return part.SerializeToString()


def _find_fault(model: onnx.ModelProto, info: GraphInfo, card: CheckpointCard) -> str:
    """What is wrong with a graph; empty where nothing is."""
    expected = (SCHEMA_VERSION, card.config.architecture, len(card.class_names), example_shape(card.config.prep))
    if (info.schema_version, info.architecture, info.classes, info.example) != expected:
        return "it was made for another network, other classes, another size or by another version"
    if _digest(model) != info.graph:
        return "it was changed or damaged after it was written"
    opsets = [(one.domain, one.version) for one in model.opset_import]
    if opsets != [("", OPSET)] or model.functions or model.training_info or model.graph.sparse_initializer:
        return f"it is not plain ONNX of opset {OPSET}"
    strange = {str(node.op_type) for node in model.graph.node if node.op_type not in OPERATORS or node.domain}
    if strange:
        return f"it holds operators that no export writes ({', '.join(sorted(strange)[:5])})"
    if any(entry.value != "weights" for one in model.graph.initializer for entry in one.external_data):
        return "it names another file for its weights"
    if {one.name for one in model.graph.input} != {"pixels", "target"} or LOGITS not in {
        one.name for one in model.graph.output
    }:
        return "its inputs and outputs are not those of an export"
    return _find_excess(model)


def _find_excess(model: onnx.ModelProto) -> str:
    """Whether a value inside would need more memory than any of ours."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, EncodeError, ValueError, RuntimeError) as error:
        return f"its shapes do not fit together ({type(error).__name__})"
    shapes = [[side.dim_value for side in one.type.tensor_type.shape.dim] for one in inferred.graph.value_info]
    shapes += [list(one.dims) for one in model.graph.initializer]
    known = {one.name for one in (*inferred.graph.value_info, *inferred.graph.output)}
    if not {name for node in model.graph.node for name in node.output if name} <= known or any(
        side <= 0 for shape in shapes for side in shape
    ):
        return "the size of what it computes is not known"
    return "it asks for too much memory" if any(prod(shape) > MOST_VALUES for shape in shapes) else ""


def _digest(model: onnx.ModelProto) -> str:
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    return xxhash.xxh3_128_hexdigest(bare.SerializeToString(deterministic=True))
