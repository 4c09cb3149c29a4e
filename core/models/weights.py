"""Where the weights start: torchvision's pretrained ones, a local file, or random by explicit choice."""

from __future__ import annotations

import pickle
import re
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torchvision.models import get_weight

from core.errors import WeightsUnavailableError
from core.files import digest_file, replace_atomically
from core.models.card import shorten_path
from core.models.registry import Architecture, find_architecture

TIMEOUT_SECONDS = 5.0
"""How long a download may stay silent before it is given up."""
BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsReport:
    """What was loaded into a new network."""

    origin: str
    """As ``CheckpointCard.weights_origin``."""
    matched: int
    """Tensors taken over."""
    missing: tuple[str, ...] = ()
    """Tensors of the network that the source lacks or that were left out on purpose (the new head)."""
    unexpected: tuple[str, ...] = ()
    """Tensors of the source that the network has no place for."""
    adapted: tuple[str, ...] = ()
    """A sentence for each tensor that was changed to fit (a stem whose colour weights were summed)."""

    def describe(self) -> str:
        """What was loaded, in one sentence for the log."""
        if not self.matched:
            return f"{self.origin}; {len(self.missing)} tensors start at random"
        left = f"; at random: {_shorten(self.missing)}" if self.missing else ""
        unused = f"; not used: {_shorten(self.unexpected)}" if self.unexpected else ""
        changed = f"; {'; '.join(self.adapted)}" if self.adapted else ""
        return f"{self.origin}: {self.matched} of {self.matched + len(self.missing)} tensors taken over{changed}{left}{unused}"


def build_model(architecture: str, class_count: int, weights: str, seed: int) -> tuple[nn.Module, WeightsReport]:
    """Build a network and start its weights as asked.

    Parameters
    ----------
    architecture
        A name in :data:`core.models.registry.ARCHITECTURES`.
    class_count
        Number of outputs. A head of another size is left out of pretrained weights and stays random.
    weights
        ``default`` for the architecture's pretrained weights (torchvision's file, kept in torch's own folder
        and fetched once), ``none`` for random ones, or the path of a .pth or .safetensors file.
    seed
        Of whatever stays random; torch's global random state is left alone.

    Returns
    -------
    tuple
        The network (float32, on the CPU, in training mode) and what was loaded into it.

    Raises
    ------
    WeightsUnavailableError
        The weights cannot be had or belong to another network. There is no fall-back: the message names the
        ways out.
    ConfigError
        There is no such architecture.
    """
    entry = find_architecture(architecture)
    model = build_random(entry, class_count, seed)
    if weights == "none":
        return model, WeightsReport(origin="random", matched=0, missing=tuple(model.state_dict()))
    path, origin = _find_source(entry, weights)
    return model, _load_into(model, _read_state(path), entry, path, origin)


def ensure_weights(architecture: str, weights: str) -> None:
    """See that the weights are at hand, fetching them where they must be; before hours go into preparing a cohort.

    Raises
    ------
    WeightsUnavailableError, ConfigError
        As :func:`build_model`.
    """
    entry = find_architecture(architecture)
    if weights != "none":
        _find_source(entry, weights)


def build_random(architecture: Architecture, class_count: int, seed: int) -> nn.Module:
    """Build a network with random weights that depend on `seed` only; torch's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return architecture.build(class_count)


def _find_source(entry: Architecture, weights: str) -> tuple[Path, str]:
    """The file that "default" or a path stands for, and its origin in words."""
    if weights == "default":
        return _fetch_pretrained(entry)
    path = _find_file(weights)
    return path, f"{shorten_path(path)} (SHA-256 {digest_file(path)})"


def _find_file(name: str) -> Path:
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return path
    except (OSError, RuntimeError):  # too long a name; the home of a user who does not exist
        pass
    raise WeightsUnavailableError(
        f"weights is {name!r}, but no such file exists; write 'default', 'none', or the path of a .pth or "
        ".safetensors file."
    )


def _fetch_pretrained(architecture: Architecture) -> tuple[Path, str]:
    """Return torchvision's file of these weights and their origin, from torch's folder or the network."""
    if architecture.pretrained is None:
        raise WeightsUnavailableError(
            f"{architecture.title} has no pretrained weights; start from a file (weights=FILE) or from random "
            "weights (weights=none)."
        )
    url = get_weight(architecture.pretrained).url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not (path.is_file() and _hash_fits(path, path.name)):
        _download(url, path)
    return path, f"torchvision {architecture.pretrained}"


def _download(url: str, path: Path) -> None:
    try:
        with replace_atomically(path) as beside:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, beside.open("wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    file.write(block)
            if not _hash_fits(beside, path.name):
                raise WeightsUnavailableError(
                    f"What {url} sent is not the file of that name (its SHA-256 differs). {_ways_out(path)}"
                )
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsUnavailableError(
            f"The pretrained weights could not be fetched from {url} ({reason}). {_ways_out(path)}"
        ) from error


def _ways_out(path: Path) -> str:
    return (
        f"Fetch {path.name} on another machine and name it (weights=/path/{path.name}) or put it into "
        f"{path.parent}; or choose random weights yourself (weights=none), which is not the published method."
    )


def _hash_fits(path: Path, name: str) -> bool:
    """Whether a file's SHA-256 begins as its published name says (``resnet18-f37072fd.pth``)."""
    digits = re.search(r"-([0-9a-f]{8,})\.", name)
    return digits is not None and digest_file(path).startswith(digits[1])


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read named tensors from a .safetensors or .pth file; nothing else of it is executed or kept."""
    try:
        content = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsUnavailableError(
            f"{path} cannot be read as weights ({first}); a .safetensors file or a .pth file of plain tensors is expected."
        ) from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise WeightsUnavailableError(
            f"{path} holds a {type(content).__name__}, not named tensors; save the model's state_dict()."
        )
    return {
        str(name).removeprefix("module."): value for name, value in content.items() if isinstance(value, torch.Tensor)
    }


def _load_into(
    model: nn.Module, published: Mapping[str, torch.Tensor], architecture: Architecture, path: Path, origin: str
) -> WeightsReport:
    """Take over every tensor but a head of another size; refuse a file that belongs to another network."""
    own = model.state_dict()
    head = f"{architecture.head}."
    state = _rename(published, model, head)
    adapted = _sum_colours(state, own)
    matched = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not all(name in matched for name in own if name.startswith(head)):  # a head is taken whole or not at all
        matched = {name: value for name, value in matched.items() if not name.startswith(head)}
    missing = tuple(name for name in own if name not in matched)
    unexpected = tuple(name for name in state if name not in own)
    random = (head, *(f"{part}." for part in architecture.fresh))
    lacking = [name for name in missing if not name.startswith(random) and not name.endswith("num_batches_tracked")]
    modules = {name for name, _ in model.named_children()}
    surplus = [name for name in unexpected if name.split(".")[0] in modules and not name.startswith(head)]
    if lacking or surplus:
        name = (lacking or surplus)[0]
        wanted = f"shape {tuple(own[name].shape)}" if name in own else "no such tensor"
        found = f"shape {tuple(state[name].shape)}" if name in state else "no such tensor"
        raise WeightsUnavailableError(
            f"{path.name} does not fit {architecture.title}: {len(matched)} of its {len(own)} tensors match; {name}: "
            f"expected {wanted}, found {found}. Choose the architecture that the file belongs to, or another file."
        )
    model.load_state_dict(matched, strict=False)
    return WeightsReport(origin=origin, matched=len(matched), missing=missing, unexpected=unexpected, adapted=adapted)


def _rename(state: Mapping[str, torch.Tensor], model: nn.Module, head: str) -> dict[str, torch.Tensor]:
    """A published file's tensors under the network's own names; a file that has these already is left as it is."""
    own = model.state_dict()
    rename: Callable[[str], Sequence[str]] | None = getattr(model, "rename_pretrained", None)
    if rename is None or any(name in own for name in state if not name.startswith(head)):
        return dict(state)
    return {own_name: value for name, value in state.items() for own_name in rename(name)}


def _sum_colours(state: dict[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
    """Sum the colour weights of a stem, in place, where the network takes one grey channel; a sentence for each.

    A convolution is linear: the summed stem gives for a grey image what the colour stem gives for the same image in all three
    channels, as long as all three are normalised alike.
    """
    notes = []
    for name, value in state.items():
        if value.ndim > 3 and value.shape[1] == 3 and name in own and own[name].shape[1:2] == (1,):
            state[name] = value.sum(dim=1, keepdim=True)
            notes.append(f"{name}: the weights of 3 colour channels summed into 1")
    return tuple(notes)


def _shorten(names: tuple[str, ...], shown: int = 4) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
