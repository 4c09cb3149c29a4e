"""A checkpoint: weights as safetensors, with their whole story in the metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from core.config import RunConfig
from core.errors import CheckpointError, ConfigError
from core.files import replace_atomically, write_atomic
from core.mri import MRSequence
from core.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import nn


SCHEMA_VERSION = 1
BEST = "best.safetensors"
"""The checkpoint in a run's folder."""
ENSEMBLE = "ensemble.json"
"""The ensemble in an experiment's folder (:mod:`core.models.ensemble`); it is offered wherever a checkpoint is."""
SHIPPED = "demo-"
"""How the names of the project's own checkpoints begin; what else lies in their folder a person has put there."""
COPIED_AT_ONCE = 1024 * 1024
HEADER_BYTES = 16 * 1024 * 1024
"""A header that claims to be longer is damage: ours have some tens of kilobytes."""


class Writes(Protocol):
    """What bytes can be written to."""

    def write(self, content: bytes, /) -> int:
        """Write all of them."""


class CheckpointCard(BaseModel):
    """What a checkpoint says of itself; readable without torch."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    schema_version: int = SCHEMA_VERSION
    name: str
    config: RunConfig
    class_names: tuple[str, ...]
    positive_class: int
    sequences: tuple[MRSequence, ...]
    """The sequences it was trained on; any other is refused."""
    planes: tuple[str, ...] = ()
    synthetic: bool
    """Trained on the synthetic cohort: its answer on a real scan means nothing."""
    labels_shuffled: bool = False
    """Trained on labels dealt out to the patients at random: a control, whose answers mean nothing on any scan."""
    cohort_digest: str
    split_unit: str
    split_digest: str
    patients: dict[str, int]
    """Number of patients per part."""
    weights_origin: str
    """"torchvision ResNet18_Weights.IMAGENET1K_V1", "random", or the local file's name and SHA-256."""
    reproduction: bool
    """Whether it may be called a reproduction of the paper."""
    epoch: int
    """The epoch whose weights these are (1 is the first); 0 for an ensemble, whose members have one each."""
    members: tuple[str, ...] = ()
    """Of an ensemble: the runs whose answers are averaged. Empty for a single network."""
    threshold: float = 0.5
    """Operating point on the probability of the positive class, chosen on validation patients."""
    temperature: float = 1.0
    """Divides the logits; fitted on validation patients."""
    conformal: dict[str, Any] = {}
    """Which classes a patient may be of, with a promised coverage: ``{"level", "limits", "counts"}`` per class, calibrated
    on validation patients (:mod:`core.evaluation.conformal`); empty in older checkpoints."""
    metrics: dict[str, Any] = {}
    """Figures with intervals as ``{"val": {"patient": {...}, "slice": {...}}}`` in the shape of ``evaluate --json``;
    besides "val" there may be "test", and "data" for another cohort."""
    intensity: dict[str, list[float]] = {}
    """Per sequence, the training images' 16-bin grey histogram (shares): what the guard compares a new scan with."""
    map_test: dict[str, Any] = {}
    """Whether its map points at the tumour: the method, the layer and the figures of one test on synthetic studies
    (:mod:`core.explain.validation.saliency_record`); empty where nobody has tested it."""
    versions: dict[str, str] = {}
    created: str = ""

    def own_auroc(self) -> tuple[str, dict[str, Any]] | None:
        """Whose AUROC per patient to show beside an answer, and the figure; None where there is none.

        The patients that say most come first: those of another cohort, the untouched test patients, those of folds, and
        last the validation patients, which chose the epoch and the threshold and therefore flatter.
        """
        for part in JUDGED_PATIENTS:
            figure = self.metrics.get(part, {}).get("patient", {}).get("auroc")
            if figure and figure["value"] is not None:
                return self.whose(part), figure
        return None

    def whose(self, part: str) -> str:
        """Whose figures those of a part are, in words: "synthetic patients of another cohort"."""
        return f"{'synthetic ' if self.synthetic else ''}{JUDGED_PATIENTS[part]}"


JUDGED_PATIENTS = {
    "data": "patients of another cohort",
    "test": "untouched test patients",
    "folds": "patients, each judged by a member that never saw it",
    "val": "validation patients, which chose the epoch",
}
"""Parts that a card may have figures of, those that say most first."""


def read_card(path: Path) -> CheckpointCard:
    """Read a checkpoint's card from the safetensors header alone, without torch; or an ensemble's.

    Raises
    ------
    CheckpointError
        The file is missing, cut short, not safetensors, without a card, or of another schema.
    """
    if path.name == ENSEMBLE:
        from core.models.ensemble import read_ensemble

        return read_ensemble(path)[1]
    header = _read_header(path)
    metadata = header.get("__metadata__")
    text = metadata.get("card") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(
            f"{path} carries no model card, so it is not a checkpoint of MGMT Lab. To start a training from its "
            "weights, write --set weights=FILE."
        )
    try:
        content = json.loads(text)
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise CheckpointError(
                f"{path} is of checkpoint schema {version}, this version reads schema {SCHEMA_VERSION}; "
                "use the version of MGMT Lab that wrote it, or train anew."
            )
        return CheckpointCard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise CheckpointError(f"The card of {path} is damaged: {where}: {first['msg']}. {_RESTORE}") from error
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"The card of {path} is damaged: {error}. {_RESTORE}") from error


def save_checkpoint(path: Path, state: Mapping[str, torch.Tensor], card: CheckpointCard, *, half: bool = False) -> None:
    """Write weights and card atomically.

    Parameters
    ----------
    path
        The .safetensors file to write or replace.
    state
        The model's ``state_dict()``; not changed.
    card
        Its story, stored as JSON under the metadata key ``card``.
    half
        Store kernels and matrices as float16: half the size, a relative error of 0.05%. bfloat16 would err by 0.4%, enough to
        move the strongest points of maps. Vectors (biases, normalisation) stay whole.

    Raises
    ------
    StorageError
        The disk is full or the folder cannot be written; what was at `path` is left as it was.
    """
    import torch
    from safetensors.torch import save

    tensors = {}
    for name, value in state.items():
        value = value.detach().cpu()
        tensors[name] = (_halve(value) if half else value).clone(memory_format=torch.contiguous_format)
    write_atomic(path, save(tensors, metadata={"card": card.model_dump_json()}))


def _halve(value: torch.Tensor) -> torch.Tensor:
    """A kernel or matrix as float16; as bfloat16 where a number is too large for it; a vector as it is."""
    import torch

    if value.ndim < 2 or not value.is_floating_point():
        return value
    half = value.to(torch.float16)
    return half if bool(half.isfinite().all()) else value.to(torch.bfloat16)


def copy_checkpoint(source: Path, target: Writes, card: CheckpointCard | None = None) -> None:
    """Copy a checkpoint to a stream, with another card where one is given; its tensors are copied byte for byte.

    Raises
    ------
    CheckpointError
        The file is damaged.
    """
    header = _read_header(source)
    with source.open("rb") as file:
        if card is not None:
            header["__metadata__"] = {**header.get("__metadata__", {}), "card": card.model_dump_json()}
            text = json.dumps(header, separators=(",", ":")).encode()
            # safetensors pads its header with blanks, so that the tensors begin at a multiple of eight.
            text += b" " * (-len(text) % 8)
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            target.write(len(text).to_bytes(8, "little") + text)
        while piece := file.read(COPIED_AT_ONCE):
            target.write(piece)


def replace_card(path: Path, change: Callable[[CheckpointCard], CheckpointCard]) -> CheckpointCard:
    """Give a checkpoint another card, atomically; its tensors stay as they are, byte for byte.

    Raises
    ------
    CheckpointError
        The file is damaged.
    StorageError
        It cannot be written; then it is as it was.
    """
    card = change(read_card(path))
    with replace_atomically(path) as beside, beside.open("wb") as stream:
        copy_checkpoint(path, stream, card)
    return card


def load_model(path: Path) -> tuple[nn.Module, CheckpointCard]:
    """Build the card's architecture and load the weights strictly; float32, eval mode, on the CPU.

    Torch's random state is left as it was.

    Raises
    ------
    CheckpointError
        The file is damaged, or its tensors are not those of the network that its card names.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from core.models.registry import find_architecture

    if path.name == ENSEMBLE:
        raise CheckpointError(f"{path} is an ensemble of several networks; name one of its members' runs here.")
    card = read_card(path)
    try:
        architecture = find_architecture(card.config.architecture)
        state = {name: value.float() if value.is_floating_point() else value for name, value in load_file(path).items()}
        with torch.device("meta"):
            model = architecture.build(len(card.class_names))
        model.load_state_dict(state, strict=True, assign=True)
    except ConfigError as error:
        raise CheckpointError(f"{path} needs a network that this version lacks: {error}") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The weights in {path} cannot be read: {error}. {_RESTORE}") from error
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise CheckpointError(
            f"The weights in {path} are not those of {card.config.architecture} with {len(card.class_names)} classes, "
            f"which its card names: {detail[:300]} {_RESTORE}"
        ) from error
    return model.eval(), card


def list_checkpoints(settings: Settings) -> list[Path]:
    """The shipped checkpoints, a person's own, the best of each run, and ensembles: newest first, shipped ones by name before all."""
    beside_shipped = set(settings.shipped_checkpoints.glob("*.safetensors"))
    shipped = sorted((path for path in beside_shipped if path.name.startswith(SHIPPED)), key=lambda path: path.stem)
    own = {
        *beside_shipped,
        *settings.checkpoints.glob("*.safetensors"),
        *settings.runs.glob(f"*/{BEST}"),
        *settings.experiments.glob(f"*/{ENSEMBLE}"),
    }
    return [*shipped, *_newest_first(own.difference(shipped))]


def find_checkpoint(name: str, settings: Settings) -> Path:
    """Turn a name, a run's name, a run folder or a file into a checkpoint's path.

    A name is compared with what exists, never built into a path. What is not a known name is taken as a
    path on this machine: a caller that serves strangers checks names against :func:`list_checkpoints` first.

    Raises
    ------
    CheckpointError
        Nothing of that name exists (the nearest are named), or the run has no checkpoint yet.
    """
    known: dict[str, Path] = {}
    for path in list_checkpoints(settings):
        known.setdefault(checkpoint_name(path), path)
    wanted = name.removesuffix(".safetensors")
    if wanted in known:
        return known[wanted]
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return path
        for kept in (BEST, ENSEMBLE):
            if (path / kept).is_file():
                return path / kept
        waiting = (name and path.is_dir()) or name in {folder.name for folder in settings.runs.glob("*/")}
    except (OSError, RuntimeError):  # too long a name; the home of a user who does not exist
        waiting = False
    if waiting:
        raise CheckpointError(
            f"{name} has no {BEST} yet; wait until its first epoch has ended, or name another checkpoint."
        )
    near = get_close_matches(wanted, known, n=3) or list(known)[:5]
    remedy = (
        f"There are: {', '.join(near)}." if near else "Train one (python -m core train), or name a .safetensors file."
    )
    raise CheckpointError(f"There is no checkpoint {name!r}. {remedy}")


def checkpoint_name(path: Path) -> str:
    """Name by which a checkpoint is listed and found: its run's or experiment's, or the file's without its ending."""
    return path.parent.name if path.name in (BEST, ENSEMBLE) else path.stem


_RESTORE = "Restore the file from where it came from, or train anew."


def _read_header(path: Path) -> dict[str, Any]:
    """Read a safetensors header: eight bytes of length (little-endian), then JSON; the tensors must be there in full."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(HEADER_BYTES, size - 8):
                raise CheckpointError(
                    f"{path} is not a safetensors file, or it is cut short ({size} bytes). {_RESTORE}"
                )
            header = json.loads(file.read(length))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened ({error.strerror}). Name a .safetensors file.") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a safetensors file, or its header is damaged. {_RESTORE}") from error
    if 8 + length + max(ends, default=0) != size:
        raise CheckpointError(
            f"{path} is cut short: {8 + length + max(ends, default=0)} bytes expected, {size} found. {_RESTORE}"
        )
    return dict(header)


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (-path.stat().st_mtime, path.name))
