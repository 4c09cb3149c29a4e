"""Export: a checkpoint's network and the gradients that its maps need, as one small ONNX graph beside the weights.

PyTorch's own differentiation is traced into the graph, so that any network and any layer is covered by one way. Weights stay in the safetensors file, by their names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch._decomp import core_aten_decompositions
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from core.errors import CheckpointError, StorageError
from core.evaluation.calibration import to_probabilities
from core.files import replace_atomically, write_atomic
from core.inference.onnx_engine import OnnxEngine
from core.inference.onnx_graph import LOGITS, OPSET, GraphInfo, digest_weights, example_shape, seal
from core.inference.torch_engine import TorchEngine, differentiate, frozen
from core.models.card import CheckpointCard, copy_checkpoint, graph_path
from core.models.card_text import describe_card
from core.models.checkpoint import load_model
from core.models.forward import Compute, to_input
from core.models.registry import Architecture, find_architecture, list_modules

TOLERANCE = 1e-5
"""By how much a probability may differ from PyTorch's, from the same prepared example."""
COMPUTE = Compute(device="cpu", precision="float32", channels_last=False)
LEFT_OUT = 1e30
"""Taken from the explained class's logit, it leaves that class out of the others' summed exponentials."""
TRIED = 4
"""Examples of noise on which both are compared and timed before anything is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was written."""

    checkpoint: Path
    graph: Path
    info: GraphInfo
    difference: float
    """Largest difference of a probability from PyTorch's."""


def export_onnx(checkpoint: Path, folder: Path, name: str, *, replace: bool = False) -> Export:
    """Write a bundle: the checkpoint with its card, its graph by the same name, and the card as text.

    Where the bundle's checkpoint is the checkpoint itself, only the graph is written.

    Raises
    ------
    CheckpointError
        The checkpoint is damaged, its network cannot be exported, or the graph does not answer as PyTorch does.
    StorageError
        A file of the bundle exists, or cannot be written.
    """
    target = folder / f"{name}.safetensors"
    graph, text = graph_path(target), target.with_suffix(".md")
    own = target.exists() and target.samefile(checkpoint)
    there = [path for path in (graph, *(() if own else (target, text))) if path.exists()]
    if there and not replace:
        raise StorageError(f"{there[0]} exists; name another folder, or add --replace.")
    model, card = load_model(checkpoint)
    _refuse(model, checkpoint, card)
    proto = _build_graph(model, find_architecture(card.config.architecture), card)
    info = GraphInfo(
        architecture=card.config.architecture,
        classes=len(card.class_names),
        example=example_shape(card.config.prep),
        weights=digest_weights(checkpoint),
        versions={package: version(package) for package in ("torch", "onnx", "onnxscript", "onnxruntime")},
    )
    with TemporaryDirectory(prefix="mgmt-lab-") as trial:
        tried = Path(trial) / "tried.safetensors"
        tried.symlink_to(checkpoint.resolve())
        graph_path(tried).write_bytes(seal(proto, info))
        difference, faster = _compare(model, OnnxEngine(tried, card, threads=1), card)
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"{checkpoint} is not exported: its graph answers otherwise than PyTorch, by up to {difference:.1e} in a "
            f"probability (at most {TOLERANCE:.0e}). PyTorch remains."
        )
    info = info.model_copy(update={"times_faster": round(faster, 2)})
    if not own:
        with replace_atomically(target) as beside, beside.open("wb") as stream:
            copy_checkpoint(checkpoint, stream)
        write_atomic(text, describe_card(card))
    write_atomic(graph, seal(proto, info))
    return Export(checkpoint=target, graph=graph, info=info, difference=difference)


def _refuse(model: nn.Module, checkpoint: Path, card: CheckpointCard) -> None:
    if hasattr(model, "uncrop"):
        raise CheckpointError(
            f"{checkpoint} cannot be exported: {card.config.architecture} cuts the tumour's box out of each volume, for which "
            "the graph has no operator. PyTorch runs it."
        )


class _Explained(nn.Module):
    """A network with the values and gradients of layers: (1, ...) of 0..255 and (1, classes), 1 for the class, 0 else."""

    def __init__(self, network: nn.Module, architecture: Architecture, layers: list[str]) -> None:
        super().__init__()
        self.network, self.architecture, self.layers = network, architecture, layers

    def forward(self, pixels: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, ...]:
        kept: list[torch.Tensor] = []

        def odds(logits: torch.Tensor) -> torch.Tensor:
            kept.append(logits)
            return (logits * target).sum(dim=1) - (logits - target * LEFT_OUT).logsumexp(dim=1)

        inputs = to_input(pixels, self.architecture, COMPUTE).requires_grad_()
        with torch.enable_grad():
            values, gradients = differentiate(self.network, inputs, self.layers, odds)
        return tuple(one.detach() for one in (*kept, *values, *gradients))


class _Traced(nn.Module):
    """A traced function of (weights, pixels, target) whose weights come as a list, so that they keep their order."""

    def __init__(self, traced: torch.fx.GraphModule, names: list[str]) -> None:
        super().__init__()
        self.traced, self.names = traced, names

    def forward(self, weights: list[torch.Tensor], pixels: torch.Tensor, target: torch.Tensor) -> Any:
        return self.traced(dict(zip(self.names, weights, strict=True)), pixels, target)


def _build_graph(model: nn.Module, architecture: Architecture, card: CheckpointCard) -> onnx.ModelProto:
    """Trace logits, and each layer's values and gradients, and make the weights initializers without content."""
    layers = [name for layer in architecture.layers for name in list_modules(architecture, layer)]
    explained = _Explained(model, architecture, layers)

    def answer(state: dict[str, torch.Tensor], *inputs: torch.Tensor) -> Any:
        return functional_call(explained, {f"network.{name}": value for name, value in state.items()}, inputs)

    table = dict(core_aten_decompositions())
    table[torch.ops.aten.convolution_backward.default] = _convolve_back
    state = dict(model.state_dict())
    pixels = torch.from_numpy(_noise(card, 1)).float()
    target = nn.functional.one_hot(torch.tensor([0]), len(card.class_names)).float()
    with frozen(model):
        traced = make_fx(answer, decomposition_table=table)(state, pixels, target)
        traced.graph.eliminate_dead_code()
        traced.recompile()
        program = torch.onnx.export(
            _Traced(traced, list(state)).eval(),
            (list(state.values()), pixels, target),
            dynamo=True,
            opset_version=OPSET,
            input_names=[*state, "pixels", "target"],
            output_names=[LOGITS, *(f"value {name}" for name in layers), *(f"gradient {name}" for name in layers)],
            verbose=False,
        )
    assert program is not None
    return _detach_weights(program.model_proto, state)


def _detach_weights(proto: onnx.ModelProto, state: dict[str, torch.Tensor]) -> onnx.ModelProto:
    """Turn the inputs that are weights into initializers that the safetensors file fills, and leave out remarks."""
    graph = proto.graph
    inputs, used = list(graph.input), {name for node in graph.node for name in node.input}
    del graph.input[:], graph.value_info[:], graph.metadata_props[:], proto.metadata_props[:]
    for node in graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    for one in inputs:
        if one.name not in state:
            graph.input.append(one)
        elif one.name in used:
            tensor = graph.initializer.add()
            tensor.name, tensor.data_location = one.name, onnx.TensorProto.EXTERNAL
            tensor.data_type = one.type.tensor_type.elem_type
            tensor.dims.extend(state[one.name].shape)
            tensor.external_data.add(key="location", value="weights")
    return proto


def _convolve_back(
    gradient: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor, bias_sizes: object, stride: list[int],
    padding: list[int], dilation: list[int], transposed: bool, output_padding: list[int], groups: int, mask: list[bool],
) -> tuple[torch.Tensor, None, None]:  # fmt: skip
    """The gradient of a convolution's input: a transposed convolution, for which ONNX has an operator."""
    extra = [
        inputs.shape[2 + axis]
        - ((gradient.shape[2 + axis] - 1) * stride[axis] - 2 * padding[axis])
        - (dilation[axis] * (weight.shape[2 + axis] - 1) + 1)
        for axis in range(len(stride))
    ]
    back = torch.ops.aten.convolution.default(gradient, weight, None, stride, padding, dilation, True, extra, groups)
    return back, None, None


def _noise(card: CheckpointCard, count: int) -> NDArray[np.uint8]:
    """Examples of coarse noise in the checkpoint's form, so that answers differ."""
    shape = example_shape(card.config.prep)
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (count, *shape[:-2], -(-shape[-2] // 8), -(-shape[-1] // 8)))
    return np.kron(coarse, np.ones((8, 8)))[..., : shape[-2], : shape[-1]].astype(np.uint8)


def _compare(model: nn.Module, other: OnnxEngine, card: CheckpointCard) -> tuple[float, float]:
    """Return the largest difference of a probability, and how many times faster the other is on one thread."""
    own = TorchEngine(model, find_architecture(card.config.architecture), COMPUTE)
    pixels, threads = _noise(card, TRIED), torch.get_num_threads()
    seconds: dict[str, list[float]] = {}
    answers = {}
    torch.set_num_threads(1)
    try:
        for _ in range(3):
            for engine in (own, other):
                started = time.process_time()
                answers[engine.runtime] = to_probabilities(engine.score(pixels), card.temperature)
                seconds.setdefault(engine.runtime, []).append(time.process_time() - started)
    finally:
        torch.set_num_threads(threads)
    difference = float(np.abs(answers["torch"] - answers["onnx"]).max())
    return difference, min(seconds["torch"]) / max(min(seconds["onnx"]), 1e-9)
