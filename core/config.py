"""What a run is, in one readable place: the preparation, the model, the training, the split.

Every field's description is the help of the command line and the tooltip of the form, written once.
Presets live in :mod:`core.presets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import ConfigError, DocumentError
from core.files import parse_document
from core.mri import READER_VERSION, MRSequence

FOUR_SEQUENCES = (MRSequence.FLAIR, MRSequence.T1W, MRSequence.T1WCE, MRSequence.T2W)


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


STORED_FIELDS = frozenset(
    (
        "sequences",
        "size_px",
        "slice_choice",
        "slice_count",
        "slice_span",
        "crop",
        "fit",
        "percentile_low",
        "percentile_high",
    )
)
"""Fields of a preparation that are as old as runs and checkpoints: what holds them all was written by a program."""
BEFORE: Mapping[str, Any] = {"series_selection": "all", "frames": "assume_registered", "reader_version": 1}
"""What a stored preparation without these fields did: old runs and checkpoints stay as they were."""


class PrepConfig(_Config):
    """From a volume to uint8 images; the same for training and prediction, carried by the checkpoint."""

    sequences: Annotated[tuple[MRSequence, ...], Field(min_length=1)] = FOUR_SEQUENCES
    """MR sequences to use; each slice of each is one image."""
    form: Literal["slice", "volume", "streams"] = "slice"
    """What the network sees at once: 'slice' one slice, 'volume' slice_count slices as one block, 'streams' the same slice of every sequence, each in a stream of its own."""
    channels: Literal["grey", "neighbours", "sequences"] = "grey"
    """Content of the colour channels: 'grey' one image in all of them, 'neighbours' the slice below, the slice, and the one above, 'sequences' the same place in each of the sequences."""
    grid_mm: Annotated[float, Field(ge=0, le=20)] = 0.0
    """Above 0, the sequences of a study are resampled to one axial grid with this distance between slices, so that the same place lies in the same voxel; 0 leaves each series in its own planes. It needs scans with a place in the patient, and moves nothing: a head that moved between two series stays moved."""
    size_px: Annotated[int, Field(ge=32, le=1024)] = 224
    """Side of the square image that the model sees, in pixels."""
    slice_choice: Literal["spread", "window", "all"] = "spread"
    """Which slices to keep: 'spread' takes slice_count evenly spaced ones around the middle of the brain, 'window' as many neighbouring ones around the slice with most brain, 'all' every slice that is not blank."""
    slice_count: Annotated[int, Field(ge=1, le=512)] = 8
    """Slices kept per series (fewer when the series has fewer: a volume is then padded with black); ignored by slice_choice 'all'."""
    slice_span: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the brain's extent, centred on its middle, over which 'spread' takes its slices; widened where it holds fewer than slice_count."""
    crop: bool = True
    """Cut the empty border off (one box per volume) before resizing, so that heads of all scans are about equally large."""
    fit: Literal["pad", "stretch"] = "pad"
    """How an image becomes square: 'pad' keeps the millimetre proportions and adds black, 'stretch' distorts."""
    percentile_low: Annotated[float, Field(ge=0, lt=50)] = 0.5
    """Percentile of the volume's non-zero voxels that becomes black; of normalise 'percentile'."""
    percentile_high: Annotated[float, Field(gt=50, le=100)] = 99.5
    """Percentile of the volume's non-zero voxels that becomes white; of normalise 'percentile'."""
    normalise: Literal["percentile", "zscore"] = "percentile"
    """What sets black and white: 'percentile' the two percentiles, 'zscore' three standard deviations to either side of the mean of the volume's non-zero voxels."""
    contrast: Literal["none", "clahe"] = "none"
    """'clahe' evens out the contrast of each image place by place (contrast-limited adaptive histogram equalisation, Zuiderveld 1994); it makes what differs in brightness between slices harder to see."""
    blank_head: bool = False
    """A control: paint every head, brain and tumour with it, in one grey, so that only its outline and what lies outside are left. A network that still predicts the label has a shortcut."""

    series_selection: Literal["one", "all"] = "one"
    """Where a study has several series of one sequence: 'one' takes the best of them (one that you assigned, then one recognised before one guessed, then the one with most slices), 'all' takes every one, as runs did before this setting existed. On a common grid it is always one. Prediction takes what training took."""
    frames: Literal["refuse", "assume_registered"] = "refuse"
    """On a common grid, what to do with a study whose series state different frames of reference, so that a voxel is not the same place in all of them: 'refuse' leaves the study out, 'assume_registered' takes it as it is. Series that state no frame (NIfTI) are assumed to be registered, and the answer says so."""

    reader_version: Annotated[int, Field(ge=1, le=READER_VERSION)] = READER_VERSION
    """How files are read that leave it open: 2 takes the slices of a NIfTI volume in the plane of its acquisition, where this is known, else as axial, and the 16-bit images of a series in one window; 1 takes slices along the widest spacing and each image in a window of its own, as runs did before this setting existed."""

    @model_validator(mode="before")
    @classmethod
    def _complete_stored(cls, content: Any) -> Any:
        """Give a configuration that was stored before the youngest fields existed what they would have been then."""
        if isinstance(content, Mapping) and content.keys() >= STORED_FIELDS:
            return {**BEFORE, **content}
        return content

    @model_validator(mode="after")
    def _fits_together(self) -> PrepConfig:
        if self.form != "slice" and self.channels == "neighbours":
            raise ValueError("channels 'neighbours' is for form 'slice': a volume holds its neighbours already")
        if self.form == "streams" and self.channels == "sequences":
            raise ValueError("form 'streams' holds one grey image per sequence; choose channels 'grey'")
        if self.form == "volume" and self.slice_choice == "all":
            raise ValueError("form 'volume' needs equally many slices of all; choose slice_choice 'spread' or 'window'")
        if self.combines and self.grid_mm == 0:
            raise ValueError(
                "several sequences in one example need a common grid; choose grid_mm above 0, for example 3"
            )
        if self.combines and len(set(self.sequences)) < 2:
            raise ValueError("several sequences in one example need two or more sequences")
        return self

    @property
    def combines(self) -> bool:
        """Whether one example holds several sequences of a study."""
        return self.form == "streams" or self.channels == "sequences"


class OptimiserConfig(_Config):
    """The optimiser."""

    optimiser: Literal["sgd", "adamw", "adam"] = "sgd"
    """SGD with momentum (the paper's), AdamW, or Adam (the competition winner's)."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """Learning rate at the start ('step', 'constant') or at its peak ('one_cycle')."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD; the others ignore it."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight decay."""


class ScheduleConfig(_Config):
    """The learning rate over time."""

    schedule: Literal["step", "one_cycle", "constant"] = "step"
    """'step' multiplies by gamma every step_size epochs (the paper's), 'one_cycle' warms up and anneals over the whole run."""
    step_size: Annotated[int, Field(ge=1)] = 7
    """Epochs between two steps of 'step'."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor of one step of 'step'."""


class AugmentationConfig(_Config):
    """Random changes of the training images; none of them is applied in validation, test and prediction.

    Each amount is off at 0; a field's example is a usual amount, which a form offers when the change is switched on.
    """

    flip_probability: Annotated[float, Field(ge=0, le=1, examples=[0.5])] = 0.5
    """Probability of a horizontal flip: a head is nearly its own mirror image."""
    flip_planes: Literal["all", "left_right"] = "all"
    """'all' flips every image (the paper's transform), 'left_right' only axial and coronal ones: flipping a sagittal image exchanges face and back of the head, which no scan shows."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180, examples=[10])] = 0.0
    """Largest rotation to either side, in degrees: a head may lie tilted."""
    scale_fraction: Annotated[float, Field(ge=0, lt=1, examples=[0.1])] = 0.0
    """Largest relative change of size, up or down: heads differ in size."""
    shift_fraction: Annotated[float, Field(ge=0, lt=1, examples=[0.05])] = 0.0
    """Largest shift in either direction, as a share of the image's side: heads lie off centre."""
    brightness_shift: Annotated[float, Field(ge=0, le=0.5, examples=[0.05])] = 0.0
    """Largest shift of all grey values up or down, as a share of the range: MR has no unit of intensity, so windows differ."""
    brightness_scale: Annotated[float, Field(ge=0, lt=1, examples=[0.1])] = 0.0
    """Largest relative change of all grey values: receiver gains differ."""
    gamma_spread: Annotated[float, Field(ge=0, le=2, examples=[0.3])] = 0.0
    """Grey values are raised to a power between 1 / (1 + spread) and 1 + spread: contrast differs between protocols and scanners."""
    bias_field: Annotated[float, Field(ge=0, le=1, examples=[0.3])] = 0.0
    """Largest coefficient of a smooth quadratic field that brightens one side and darkens another: coils are not equally sensitive everywhere."""
    noise_std: Annotated[float, Field(ge=0, le=0.5, examples=[0.03])] = 0.0
    """Largest standard deviation of Gaussian noise inside the head, as a share of the grey range: field strength and acceleration change the noise."""
    mixup_alpha: Annotated[float, Field(ge=0, le=10, examples=[0.4])] = 0.0
    """Mixup (Zhang et al. 2018): blends each example and its label with another of its batch, by a share drawn from Beta(alpha, alpha), so that the network is less sure between what it has seen; 0 is off."""


class SplitConfig(_Config):
    """Who is in training, validation and test."""

    split_unit: Literal["slice", "patient"] = "patient"
    """'patient' keeps every patient in one part. 'slice' assigns single slices, so slices of one patient are on both sides: it leaks, and exists to reproduce what papers do."""
    val_fraction: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    """Share of all units (patients or slices) in validation."""
    test_fraction: Annotated[float, Field(ge=0, lt=0.9)] = 0.2
    """Share of all units held out for the final evaluation; training never reads them."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the split alone: runs of other seeds keep the same test patients."""
    split_version: Annotated[int, Field(ge=1, le=2)] = 2
    """How the parts are dealt: 2 deals the test part first, so that another val_fraction keeps its patients; 1 deals validation first, as runs did before this setting existed."""

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitConfig:
        if self.val_fraction + self.test_fraction > 0.9:
            raise ValueError("val_fraction and test_fraction together must not exceed 0.9")
        return self


class RunConfig(_Config):
    """One training run, whole: together with a cohort it says everything that decides the result."""

    preset: str = "custom"
    """The preset that this configuration started from."""
    prep: PrepConfig = PrepConfig()
    """How scans become images."""
    architecture: str = "resnet18"
    """Name of the network in the model registry."""
    weights: str = "default"
    """Where the weights start: 'default' for the architecture's pretrained weights (ImageNet), 'none' for random ones, or the path of a local .pth or .safetensors file."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Passes over the training images; each is followed by a validation phase."""
    mask_epochs: Annotated[int, Field(ge=1, le=1000)] = 30
    """Passes of the first stage of a two-stage network over the training patients' masks, before the epochs begin; other networks ignore it."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    """Images per optimiser step; several processes share them."""
    micro_batches: Annotated[int, Field(ge=1, le=4096)] = 1
    """Parts in which a process takes its share of a batch, one after the other: less memory for the same batch. The gradient is the whole batch's; batch normalisation sees each part by itself, so another number of parts is another run."""
    optimiser: OptimiserConfig = OptimiserConfig()
    """The optimiser."""
    schedule: ScheduleConfig = ScheduleConfig()
    """The learning rate over time."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of the training images."""
    split: SplitConfig = SplitConfig()
    """Who is in training, validation and test."""
    aggregation: Literal["mean_logit", "max", "top_k", "vote"] = "mean_logit"
    """From slices (or volumes) to the patient: 'mean_logit' averages their logits, 'max' takes the one that speaks most for the positive class, 'top_k' the mean of the top_k such ones, 'vote' counts which class each is for."""
    top_k: Annotated[int, Field(ge=1, le=512)] = 3
    """Slices that aggregation 'top_k' averages."""
    class_weights: Literal["none", "balanced"] = "none"
    """'balanced' weighs each class in the training loss by the inverse of its share of the training examples, so that a rare class counts as much as a common one."""
    select_on: Literal["val_accuracy", "val_patient_auroc", "val_loss"] = "val_patient_auroc"
    """The validation figure that decides which epoch's weights are kept as the best."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initial weights, batch order and augmentation."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")] = "auto"
    """'auto' takes a GPU where there is one; or cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """'auto' computes in bfloat16 where the hardware gains by it (GPUs; CPUs with AMX or AVX512_BF16) and in float32 elsewhere."""

    @model_validator(mode="before")
    @classmethod
    def _complete_stored(cls, content: Any) -> Any:
        """Give a split that was stored before ``split_version`` existed the version that it was dealt with."""
        split = content.get("split") if isinstance(content, Mapping) else None
        if isinstance(split, Mapping) and len(split) == len(SplitConfig.model_fields) - 1:
            return {**content, "split": {"split_version": 1, **split}}
        return content


def field_paths(model: type[BaseModel] = RunConfig) -> dict[str, tuple[str, ...]]:
    """Map every leaf field's plain name to its path, for example ``size_px -> (prep, size_px)``.

    No plain name occurs twice in the configuration, which a test checks.
    """
    paths: dict[str, tuple[str, ...]] = {}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            paths.update({leaf: (name, *path) for leaf, path in field_paths(info.annotation).items()})
        else:
            paths[name] = (name,)
    return paths


def leaf_values(config: RunConfig) -> dict[str, object]:
    """Return every value of a configuration by its plain name, as JSON has it."""
    content = config.model_dump(mode="json")
    values: dict[str, object] = {}
    for name, path in field_paths().items():
        value: object = content
        for step in path:
            assert isinstance(value, dict)
            value = value[step]
        values[name] = value
    return values


def apply_settings(config: RunConfig, settings: Iterable[str] | Mapping[str, Any]) -> RunConfig:
    """Return a copy of `config` with some values changed.

    Parameters
    ----------
    config
        The configuration to start from; it is not changed.
    settings
        ``name=value`` strings as the command line takes them, or a mapping. A name is a plain field name
        (``size_px``) or a dotted path (``prep.size_px``); a list is written with commas.

    Raises
    ------
    ConfigError
        The name does not exist (the nearest ones are named) or the value does not fit.
    """
    if not isinstance(settings, Mapping):
        settings = dict(_name_and_value(text) for text in settings)
    paths = field_paths()
    content = config.model_dump(mode="json")
    for name, value in settings.items():
        path = paths.get(name) or tuple(name.split("."))
        if path != paths.get(path[-1]):
            raise ConfigError(f"There is no setting {name!r}.{_nearest(name, paths)}")
        parent = content
        for step in path[:-1]:
            parent = parent[step]
        if isinstance(value, str) and isinstance(parent[path[-1]], list):
            value = [item.strip() for item in value.split(",") if item.strip()]
        parent[path[-1]] = value
    return parse_config(content)


def parse_config(content: str | bytes | Mapping[str, Any]) -> RunConfig:
    """Read a configuration from JSON text or a mapping.

    Raises
    ------
    ConfigError
        It is not valid; the message names the first setting that is wrong, its value and what was expected.
    """
    try:
        if isinstance(content, (str, bytes)):
            content = parse_document(content, "The configuration")
        return RunConfig.model_validate(content)
    except DocumentError as error:
        raise ConfigError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(step) for step in first["loc"]) or "the configuration"
        found = f", not {first['input']!r}" if first["loc"] and first["type"] != "missing" else ""
        raise ConfigError(f"{name}: {first['msg']}{found}.") from error


def is_same_config(stored: Mapping[str, Any], asked: RunConfig) -> bool:
    """Whether a stored configuration is the one asked for, whatever this says of settings that are younger than it."""
    content = asked.model_dump(mode="json")
    young = {name: value for name, value in content["prep"].items() if name in BEFORE}
    prep = {**young, **stored.get("prep", {})}
    split = {"split_version": asked.split.split_version, **stored.get("split", {})}
    return parse_config({**stored, "prep": prep, "split": split}) == asked


def _name_and_value(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ConfigError(f"{text!r} is not a setting; write name=value, for example epochs=2.")
    return name.strip(), value.strip()


def _nearest(name: str, paths: Mapping[str, tuple[str, ...]]) -> str:
    near = get_close_matches(name.rsplit(".", 1)[-1], paths, n=3)
    return f" Did you mean {' or '.join(near)}?" if near else f" The settings are: {', '.join(sorted(paths))}."
