"""The named configurations, and for each of their values whether it is the paper's or ours."""

from __future__ import annotations

from collections.abc import Mapping

from core.config import (
    AugmentationConfig,
    OptimiserConfig,
    PrepConfig,
    RunConfig,
    ScheduleConfig,
    SplitConfig,
    field_paths,
)
from core.errors import ConfigError
from core.preset import Preset, Provenance, ours, ours_for_all
from core.preset_family import build_family


def _said(note: str) -> Provenance:
    return Provenance(source="paper", note=note)


PAPER = Preset(
    name="paper",
    title="The paper's protocol",
    after="the paper",
    summary=(
        "ResNet18 with ImageNet weights on single slices, SGD, StepLR(7, 0.1), 30 epochs, best weights by validation "
        "accuracy. The paper does not state its split unit; here slices are dealt out singly, so slices of one patient "
        "stand in training and in validation. That leaks: the figure does not say how well a new patient is predicted."
    ),
    config=RunConfig(
        preset="paper",
        prep=PrepConfig(slice_count=16, slice_span=0.6, crop=False, fit="stretch"),
        epochs=30,
        batch_size=32,
        optimiser=OptimiserConfig(optimiser="sgd", learning_rate=0.001, momentum=0.9),
        schedule=ScheduleConfig(schedule="step", step_size=7, gamma=0.1),
        augmentation=AugmentationConfig(flip_probability=0.5),
        split=SplitConfig(split_unit="slice", val_fraction=0.2, test_fraction=0.2),
        select_on="val_accuracy",
    ),
    provenance={
        "preset": ours("a name"),
        "architecture": _said("ResNet18 from torchvision, fc replaced by 2 outputs (3.4)"),
        "weights": _said("pretrained on ImageNet (3.4); without them a run is not a reproduction"),
        "epochs": _said("30, each a training and a validation phase (5)"),
        "optimiser": _said("stochastic gradient descent (3.4)"),
        "schedule": _said("StepLR (3.4)"),
        "step_size": _said("7 (3.4)"),
        "gamma": _said("0.1 (3.4)"),
        "select_on": _said("best weights by validation accuracy (3.4)"),
        "flip_probability": _said("random horizontal flip in training (3.1); 0.5 is torchvision's default"),
        "learning_rate": ours("not stated; 0.001 as in the transfer-learning recipe that the method resembles"),
        "momentum": ours("not stated; 0.9 as in that recipe"),
        "weight_decay": ours("not stated; none"),
        "batch_size": ours("not stated"),
        "size_px": ours("one size for all is the paper's (3.1); 224 is ResNet's"),
        "fit": ours("'resize images to a consistent size' (3.1) read as a plain resize"),
        "crop": ours("not stated; none"),
        "sequences": ours("not stated which of the four were used; all, each slice a picture"),
        "slice_choice": ours("not stated"),
        "slice_count": ours("not stated"),
        "slice_span": ours("not stated"),
        "percentile_low": ours("windowing not stated; per volume"),
        "percentile_high": ours("windowing not stated; per volume"),
        "form": ours("single slices, as ImageFolder serves them"),
        "channels": ours("a grey slice in each of the three channels"),
        "grid_mm": ours("each series in its own planes, as it was acquired"),
        "normalise": ours("windowing not stated"),
        "contrast": ours("not stated; none"),
        "blank_head": ours("a control; off"),
        "split_unit": ours("not stated; by slice, as ImageFolder on shuffled slices does. LEAKY"),
        "val_fraction": ours("fractions not stated"),
        "test_fraction": ours("fractions not stated"),
        "split_seed": ours("not stated"),
        "seed": ours("not stated"),
        "flip_planes": ours("the paper's transform knows no planes: every picture may be flipped"),
        **{
            name: ours("not in the paper; off")
            for name in AugmentationConfig.model_fields
            if name not in ("flip_probability", "flip_planes")
        },
        "aggregation": ours("the paper reports accuracy by slice; by patient we average the logits"),
        "top_k": ours("not used"),
        "mask_epochs": ours("not used"),
        "micro_batches": ours("each batch taken whole"),
        "class_weights": ours("not stated; none"),
        "device": ours("CPU or GPU (3.4): what is there"),
        "precision": ours("not stated; bfloat16 only where the hardware gains by it"),
    },
)

HONEST_REASONS: dict[str, str] = {
    "architecture": "the paper's network, so that only the protocol differs",
    "weights": "ImageNet, as the paper",
    "split_unit": "every person in one part, both classes in each part",
    "select_on": "the figure that is reported: AUROC per patient, not accuracy per slice",
    "optimiser": "AdamW trains from random and from pretrained weights alike",
    "schedule": "one cycle of warm-up and annealing",
    "crop": "heads of all scans about equally large",
    "fit": "keeps the millimetre proportions",
    "slice_count": "the same number from each series, so that no patient weighs more",
    "slice_span": "the middle of the brain, where slices show most tissue",
    "flip_planes": "a flipped sagittal picture exchanges face and back of the head, which no scan shows",
    "rotation_degrees": "small: a head may lie tilted",
    "scale_fraction": "small: heads differ in size",
    "shift_fraction": "small: heads lie off centre",
}

_HONEST_CONFIG = RunConfig(
    preset="honest",
    prep=PrepConfig(slice_count=8, slice_span=0.5, crop=True, fit="pad"),
    epochs=20,
    batch_size=32,
    optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.001, weight_decay=0.01),
    schedule=ScheduleConfig(schedule="one_cycle"),
    augmentation=AugmentationConfig(
        flip_probability=0.5, flip_planes="left_right", rotation_degrees=10, scale_fraction=0.1, shift_fraction=0.05
    ),
    split=SplitConfig(split_unit="patient", val_fraction=0.2, test_fraction=0.2),
    select_on="val_patient_auroc",
)

HONEST = Preset(
    name="honest",
    title="Split by patient",
    after="the paper, split otherwise",
    summary=(
        "The same network judged honestly: every patient stands in exactly one part, the best epoch is chosen on the "
        "AUROC per patient, and the test patients stay untouched until they are asked for."
    ),
    config=_HONEST_CONFIG,
    provenance=ours_for_all(HONEST_REASONS),
)


def _deeper(depth: int) -> Preset:
    """A deeper ResNet of the paper's Figure 2, judged by patient."""
    name = f"resnet{depth}"
    reasons = {
        **HONEST_REASONS,
        "architecture": f"ResNet-{depth}, which the paper's Figure 2 compares by its cost (He et al. 2016)",
        "weights": "ImageNet, as the paper's ResNet18",
    }
    return Preset(
        name=name,
        title=f"ResNet-{depth}",
        after="He et al. 2016",
        summary=(
            f"The network of the paper's Figure 2 that is {depth} layers deep, with all else as in “Split by patient”: "
            "the paper compares the cost of these networks and reports no accuracy of them."
        ),
        config=_HONEST_CONFIG.model_copy(update={"preset": name, "architecture": name}),
        provenance=ours_for_all(reasons),
    )


RELATIVES = tuple(_deeper(depth) for depth in (34, 50, 101, 152))

FAMILY = build_family(_HONEST_CONFIG, HONEST_REASONS)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (PAPER, HONEST, *RELATIVES, *FAMILY)}


def find_preset(name: str) -> Preset:
    """Return the preset of that name.

    Raises
    ------
    ConfigError
        There is none; the message lists those that exist.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"There is no preset {name!r}; choose one of: {', '.join(PRESETS)}.") from None


def is_reproduction(config: RunConfig) -> bool:
    """Whether a run may be called a reproduction of the paper: each value that the paper states is the paper's.

    A run without ImageNet weights is not one, and a local weights file cannot be known to be them.
    """
    stated = [name for name, provenance in PAPER.provenance.items() if provenance.source == "paper"]
    paths = field_paths()
    ours, theirs = config.model_dump(), PAPER.config.model_dump()
    return all(_leaf(ours, paths[name]) == _leaf(theirs, paths[name]) for name in stated)


def _leaf(content: Mapping[str, object], path: tuple[str, ...]) -> object:
    value: object = content
    for step in path:
        assert isinstance(value, Mapping)
        value = value[step]
    return value
