"""A checkpoint's card: what it is, what it was trained on and how good it is; readable without torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from core.config import RunConfig
from core.errors import CheckpointError
from core.evaluation.conformal import ConformalRule, refused_share
from core.evaluation.figure import Figure
from core.evaluation.selection import withhold_intervals
from core.figure_text import interval_text, number_text
from core.files import parse_document, read_document, replace_atomically
from core.mri import READER_VERSION, MRSequence

SCHEMA_VERSION = 1
ENSEMBLE_SCHEMA_VERSION = 1
BEST = "best.safetensors"
"""The checkpoint in a run's folder."""
ENSEMBLE = "ensemble.json"
"""The ensemble in an experiment's folder (:mod:`core.models.ensemble`); it is offered wherever a checkpoint is."""
COPY_BYTES = 1024 * 1024
HEADER_BYTES = 16 * 1024 * 1024
"""A header that claims to be longer is damage: ours have some tens of kilobytes."""
RESTORE = "Restore the file from where it came from, or train anew."

EVALUATED_PATIENTS = {
    "data": "patients of another cohort",
    "test": "untouched test patients",
    "folds": "patients, each evaluated by a member that never saw it",
    "val": "validation patients, which chose the epoch",
}
"""Parts that a card may have figures of, the most informative first."""

Text = Annotated[str, Field(max_length=500)]
Count = Annotated[int, Field(ge=0)]
_PARTS = TypeAdapter(dict[Literal["data", "test", "folds", "val"], dict[Text, Any]])
_FIGURES = TypeAdapter(dict[Text, Figure])


class _Calibration(BaseModel):
    how: Text
    patients: Count
    base_rate: Annotated[float, Field(ge=0, le=1)]


class _MapTest(BaseModel):
    method: Text
    layer: Text
    pictures: Count
    studies: Count
    tolerance_px: float
    hits: Figure
    near_hits: Figure
    random_hits: Figure
    chance: Figure


_RECORDS: dict[str, TypeAdapter[Any]] = {
    "conformal": TypeAdapter(ConformalRule),
    "calibration": TypeAdapter(_Calibration),
    "map_test": TypeAdapter(_MapTest),
}


class CheckpointCard(BaseModel):
    """What is known of a checkpoint; stored as JSON in its metadata. It may come from anyone: every field is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    name: Text
    config: RunConfig
    class_names: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(min_length=2, max_length=1000)
    ]
    positive_class: Count
    sequences: tuple[MRSequence, ...]
    """The sequences it was trained on; any other is refused."""
    planes: tuple[Text, ...] = ()
    synthetic: bool
    """Trained on the synthetic cohort: its answer on a real scan means nothing."""
    processing: Text = ""
    """How its training scans were processed from raw (``Series.processing``); empty for scans as they came."""
    labels_shuffled: bool = False
    """Trained on labels shuffled among the patients: a control, whose answers mean nothing on any scan."""
    cohort_digest: Text
    split_unit: Text
    split_digest: Text
    patients: dict[Text, Count]
    """Number of patients per part."""
    weights_origin: Text
    """"torchvision ResNet18_Weights.IMAGENET1K_V1", "random", or the local file's name and SHA-256."""
    reproduction: bool
    """Whether it may be called a reproduction of the paper."""
    epoch: Count
    """The epoch whose weights these are (1 is the first); 0 for an ensemble, whose members have one each."""
    members: tuple[str, ...] = ()
    """Of an ensemble: the runs whose outputs are averaged. Empty for a single network."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Operating point on the probability of the positive class; chosen as the calibration says."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Divides the logits; fitted as the calibration says."""
    conformal: dict[str, Any] = {}
    """Which classes a patient may be of, with a promised coverage: ``{"level", "limits", "counts"}`` per class
    (:mod:`core.evaluation.conformal`); empty in older checkpoints."""
    calibration: dict[str, Any] = {}
    """On whom threshold, temperature and sets were fitted: ``{"how", "patients", "base_rate", ...}``, how being
    "cross-fitted" (validation patients, each scored by an epoch that others chose) or "fresh" (used for nothing else).
    Empty in older checkpoints, which were fitted on the patients that had chosen the epoch."""
    metrics: dict[str, Any] = {}
    """Figures with intervals as ``{"val": {"patient": {...}, "slice": {...}}}`` in the shape of ``evaluate --json``;
    besides "val" there may be "test", and "data" for another cohort."""
    intensity: dict[str, list[float]] = {}
    """Per sequence, the training images' 16-bin grey histogram (shares): what the guard compares a new scan with."""
    guard: dict[str, Any] = {}
    """What a new scan is held against before it is answered (:class:`core.inference.guard.GuardLimits`); empty where nothing
    was measured, and then the scan is "not checked"."""
    map_test: dict[str, Any] = {}
    """Whether its map points at the tumour: the method, the layer and the figures of one test on synthetic studies
    (:mod:`core.explain.validation.saliency_record`); empty where nobody has tested it."""
    versions: dict[Text, Text] = {}
    created: Text = ""

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, metrics: dict[str, Any]) -> dict[str, Any]:
        """An older card has intervals of the patients that chose the epoch: they are not true, and are not shown."""
        checked: dict[str, Any] = {}
        for part, content in _PARTS.validate_python(metrics).items():
            levels = {
                level: _FIGURES.validate_python(content[level]) for level in ("patient", "slice") if level in content
            }
            shown = {level: withhold_intervals(found) if part == "val" else found for level, found in levels.items()}
            checked[part] = content | {
                level: {name: one.to_dict() for name, one in found.items()} for level, found in shown.items()
            }
        return checked

    @field_validator("conformal", "calibration", "map_test")
    @classmethod
    def _check_record(cls, content: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if content:
            _RECORDS[str(info.field_name)].validate_json(json.dumps(content), strict=True)
        return content

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        rule, count = self.conformal, len(self.class_names)
        if self.positive_class >= count:
            raise ValueError(f"class {self.positive_class} is not one of {count}")
        if rule and not len(rule["limits"]) == len(rule["counts"]) == count:
            raise ValueError(f"conformal is not of {count} classes")
        return self

    def corrected_auroc(self) -> Figure | None:
        """Return the AUROC of the validation patients, corrected for their choice of the epoch; None in an older card."""
        figure = self.metrics.get("val", {}).get("patient", {}).get("auroc") if self.calibration else None
        return Figure(**figure) if figure else None

    def describe_calibration(self) -> str:
        """Return on whom threshold, temperature and sets were fitted, in a sentence."""
        count, rate = self.calibration.get("patients"), self.calibration.get("base_rate", 0.0)
        positive = self.class_names[self.positive_class]
        return {
            "cross-fitted": f"fitted on {count} validation patients ({rate:.0%} {positive}), each scored by an epoch that "
            "others of them chose",
            "fresh": f"fitted on {count} patients ({rate:.0%} {positive}) used for nothing else",
        }.get(
            self.calibration.get("how", ""),
            "fitted on the validation patients that had chosen the epoch: such probabilities tend to be too extreme",
        )

    def describe_sets(self) -> list[str]:
        """Return per class what the sets of classes promise, in words; nothing where the card has none."""
        if not self.conformal:
            return []
        return ConformalRule.from_dict(self.conformal).describe_promises(exact=self.calibration.get("how") == "fresh")

    def describe_guard(self) -> str:
        """Return how often the guard refuses a scan like those of the training, in a clause."""
        try:
            expected, low, high = refused_share(self.guard["held_out"], self.guard["below"])
        except (KeyError, TypeError, ValueError):
            return "none; its scans are not checked"
        return (
            f"expected to refuse {number_text(expected, percent=True)} ({interval_text(low, high, percent=True)}) of patients like "
            f"the training's, by limits set on "
            f"{self.guard['held_out']} held-out patients"
        )

    def reported_auroc(self) -> tuple[str, dict[str, Any]] | None:
        """Return the most informative AUROC by patient and whose it is; None where there is none.

        Patients of another cohort come first, then untouched test patients, those of folds, and last the validation
        patients, which chose the epoch: corrected for that, or without an interval.
        """
        for part in EVALUATED_PATIENTS:
            figure = self.metrics.get(part, {}).get("patient", {}).get("auroc")
            if figure and figure["value"] is not None:
                return self.describe_patients(part), figure
        return None

    def describe_patients(self, part: str) -> str:
        """Return whose figures those of a part are: "synthetic patients of another cohort"."""
        return f"{'synthetic ' if self.synthetic else ''}{EVALUATED_PATIENTS[part]}"


def read_card(path: Path) -> CheckpointCard:
    """Read a checkpoint's card from the safetensors header alone, or an ensemble's.

    Raises
    ------
    CheckpointError
        The file is missing, cut short, not safetensors, without a card, or of another schema.
    """
    if path.name == ENSEMBLE:
        return read_ensemble(path)[1]
    metadata = _read_header(path).get("__metadata__")
    text = metadata.get("card") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(
            f"{path} carries no model card, so it is not a checkpoint of MGMT Lab. To start a training from its "
            "weights, write weights=FILE."
        )
    try:
        content = parse_document(text)
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
        raise CheckpointError(f"The card of {path} is damaged: {where}: {first['msg']}. {RESTORE}") from error
    except (ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"The card of {path} is damaged: {error}. {RESTORE}") from error


def read_as_today(card: CheckpointCard) -> CheckpointCard:
    """Return a card with today's reader where its training left nothing open to an older one: synthetic cohorts are DICOM.

    So a scan is answered the same whether it comes as DICOM or as NIfTI. Others keep the reader they were trained with
    (``PrepConfig.reader_version``).
    """
    if not card.synthetic or card.config.prep.reader_version == READER_VERSION:
        return card
    prep = card.config.prep.model_copy(update={"reader_version": READER_VERSION})
    return card.model_copy(update={"config": card.config.model_copy(update={"prep": prep})})


def read_ensemble(path: Path) -> tuple[list[Path], CheckpointCard]:
    """Return the files of an ensemble's members and its card.

    Raises
    ------
    CheckpointError
        The file is missing or damaged, or a member is not there any more.
    """
    remedy = "Run the cross-validation's command again; it trains nothing that is there."
    try:
        content = read_document(path)
        if content["schema_version"] != ENSEMBLE_SCHEMA_VERSION:
            raise CheckpointError(
                f"{path} is of ensemble schema {content['schema_version']}, not {ENSEMBLE_SCHEMA_VERSION}."
            )
        members = [path.parent / str(member) for member in content["members"]]
        card = CheckpointCard.model_validate(content["card"])
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened ({error.strerror}). {remedy}") from error
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({type(error).__name__}). {remedy}") from error
    lost = [
        member for member in members if not member.is_file() or path.parent.resolve() not in member.resolve().parents
    ]
    if lost or len(members) < 2:
        raise CheckpointError(
            f"{path} names {lost[0] if lost else 'fewer than two members'}, which is not there. {remedy}"
        )
    return members, card


def shorten_path(path: Path) -> str:
    """Return the part of a weights file's path that others may read: its name, with the run's before a best checkpoint."""
    return f"{path.parent.name}/{path.name}" if path.name == BEST else path.name


def copy_checkpoint(source: Path, target: IO[bytes], card: CheckpointCard | None = None) -> None:
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
        while piece := file.read(COPY_BYTES):
            target.write(piece)


def graph_path(checkpoint: Path) -> Path:
    """Where a checkpoint's graph lies: beside it, by the same name."""
    return checkpoint.with_suffix(".onnx")


def tensor_start(path: Path) -> int:
    """Return at which byte a checkpoint's tensors begin; raises CheckpointError where its header is damaged."""
    _read_header(path)
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def replace_card(path: Path, change: Callable[[CheckpointCard], CheckpointCard]) -> CheckpointCard:
    """Replace a checkpoint's card atomically; its tensors stay as they are, byte for byte.

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


def _read_header(path: Path) -> dict[str, Any]:
    """Read a safetensors header: eight bytes of length (little-endian), then JSON; the tensors must be there in full."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(HEADER_BYTES, size - 8):
                raise CheckpointError(f"{path} is not a safetensors file, or it is cut short ({size} bytes). {RESTORE}")
            header = parse_document(file.read(length))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened ({error.strerror}). Name a .safetensors file.") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise CheckpointError(f"{path} is not a safetensors file, or its header is damaged. {RESTORE}") from error
    if 8 + length + max(ends, default=0) != size:
        raise CheckpointError(
            f"{path} is cut short: {8 + length + max(ends, default=0)} bytes expected, {size} found. {RESTORE}"
        )
    return dict(header)
