"""Networks whose learnt weights are replaced by random ones, layer by layer (Adebayo et al. 2018, arXiv 1810.03292)."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence

import torch
from torch import nn

from core.inference.predict import Predictor
from core.inference.torch_engine import TorchEngine


def list_stages(model: nn.Module) -> list[str]:
    """List the parts of a network that have weights, from its head down to its stem."""
    return [name for name, part in reversed(list(model.named_children())) if any(True for _ in part.parameters())]


def randomise_from(model: nn.Module, stages: Sequence[str], seed: int = 0) -> list[nn.Module]:
    """Return copies of a network with random weights in the first stage, in the first two, and so on."""
    copies: list[nn.Module] = []
    current = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for stage in stages:
            current = copy.deepcopy(current)
            for module in current.get_submodule(stage).modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
            copies.append(current.eval())
    return copies


def replace_model(predictor: Predictor, model: nn.Module) -> Predictor:
    """Return a predictor like another, around another network."""
    other = copy.copy(predictor)
    engine = predictor.engine
    assert isinstance(engine, TorchEngine)
    other.engine, other.lock = TorchEngine(model, engine.architecture, engine.compute), threading.Lock()
    return other
