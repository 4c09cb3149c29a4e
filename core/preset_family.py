"""The paper's relatives beyond the plain ResNets: each a preset "after" a published system, judged by patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.config import OptimiserConfig, PrepConfig, RunConfig, ScheduleConfig
from core.mri import MRSequence
from core.preset import Preset, ours_for_all

FLAIR, T1WCE, T2W = MRSequence.FLAIR, MRSequence.T1WCE, MRSequence.T2W
THREE = (FLAIR, T1WCE, T2W)

VOLUME_REASONS = {
    "form": "the network looks at a volume at once",
    "slice_choice": "neighbouring slices, as a volume has them",
    "slice_count": "32 slices: the brain's most massive part, and what a small GPU holds",
    "batch_size": "volumes are large",
    "flip_planes": "a flipped sagittal picture exchanges face and back of the head, which no scan shows",
}


def build_family(honest: RunConfig, honest_reasons: Mapping[str, str]) -> tuple[Preset, ...]:
    """Build the presets from the protocol that they share.

    Parameters
    ----------
    honest
        The configuration by patient: split, selection and augmentation stay as they are there.
    honest_reasons
        Why its values are what they are, by plain field name.
    """

    def relative(name: str, title: str, after: str, summary: str, reasons: Mapping[str, str], **changes: Any) -> Preset:
        return Preset(
            name=name,
            title=title,
            after=after,
            summary=summary,
            config=honest.model_copy(update={"preset": name, **changes}),
            provenance=ours_for_all({**honest_reasons, **reasons}),
        )

    return (
        *(_spatiospatial(relative, *kind) for kind in VIDEO_NETWORKS),
        relative(
            "volumetric",
            "Multi-scale 3D CNN",
            "Mzoughi et al. 2020",
            "After Mzoughi et al. (2020): a 3D network of small kernels on contrast-enhanced T1, local and wider context "
            "merged, with intensity normalisation and adaptive contrast enhancement first. They graded gliomas; ours is "
            "smaller and predicts the promoter status.",
            {
                **VOLUME_REASONS,
                "architecture": "small kernels at two scales, merged (Mzoughi et al. 2020); widths and depth are ours",
                "weights": "it starts from random weights, as theirs",
                "sequences": "contrast-enhanced T1 alone, as theirs",
                "normalise": "intensity normalisation, as theirs; the mean and standard deviation of the head",
                "contrast": "adaptive contrast enhancement, as theirs",
                "learning_rate": "found to train; not stated by us as theirs",
            },
            architecture="volumetric",
            weights="none",
            batch_size=8,
            prep=PrepConfig(
                form="volume", sequences=(T1WCE,), slice_choice="window", slice_count=32, size_px=112,
                normalise="zscore", contrast="clahe",
            ),
            optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0005, weight_decay=0.01),
        ),
        relative(
            "two-stage",
            "Find the tumour, then classify it",
            "Pei et al. 2019",
            "After Pei et al. (2019): one 3D network segments the tumour, a second classifies its region. Ours are a small 3D "
            "U-Net and a small 3D ResNet in one checkpoint. The first learns from masks (a synthetic cohort's, or BraTS "
            "segmentations beside the scans) and then changes no more; prediction needs no mask.",
            {
                **VOLUME_REASONS,
                "architecture": "a 3D U-Net and a 3D ResNet of our own size",
                "weights": "random: no published weights fit",
                "channels": "the sequences together show the tumour's parts",
                "sequences": "contrast shows the tumour, FLAIR and T2w what is around it",
                "grid_mm": "one grid, so that a mask fits all sequences",
                "learning_rate": "found to train the second stage",
                "mask_epochs": "until the synthetic tumour is found",
            },
            architecture="two_stage",
            weights="none",
            batch_size=8,
            prep=PrepConfig(
                form="volume", channels="sequences", sequences=THREE, grid_mm=4.0, slice_choice="window",
                slice_count=32, size_px=112,
            ),
            optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0005, weight_decay=0.01),
        ),
        relative(
            "multistream",
            "One stream per sequence",
            "Ge et al. 2018",
            "After Ge et al. (2018): one 2D network per sequence (T1wCE, T2w, FLAIR), their features aggregated, then a "
            "joint classifier. Ours are ResNet-18s whose features are averaged, so a study that lacks a sequence is "
            "still answered, and the answer says so.",
            {
                "architecture": "a ResNet-18 up to its third stage per sequence, then a joint fourth stage",
                "form": "the same slice of every sequence, each in its own stream",
                "sequences": "the three of Ge et al.",
                "grid_mm": "one grid, so that the streams see the same place",
                "batch_size": "three pictures per example",
                "learning_rate": "lower than for one stream: there are three to move",
            },
            architecture="multistream",
            batch_size=16,
            prep=PrepConfig(form="streams", sequences=(T1WCE, T2W, FLAIR), grid_mm=3.0, slice_count=8, size_px=224),
            optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0005, weight_decay=0.01),
        ),
        relative(
            "winner",
            "3D ResNet-10",
            "the competition's winner",
            "After the winner of the competition (3D ResNet-10 on contrast-enhanced T1, the window centred on the slice "
            "with most brain, Adam 1e-4, 15 epochs). Theirs took 64 slices of 256 x 256 and five folds, which reached an "
            "AUROC of 0.54 to 0.66; ours is smaller to suit a laptop, and judged by patient.",
            {
                **VOLUME_REASONS,
                "architecture": "MONAI's resnet10, as the winner's",
                "weights": "random, as the winner's",
                "sequences": "contrast-enhanced T1 alone, as the winner's",
                "slice_choice": "centred on the slice with most brain, as the winner's",
                "optimiser": "Adam, as the winner's",
                "learning_rate": "1e-4, as the winner's",
                "epochs": "15, as the winner's",
                "schedule": "none is known of the winner's",
            },
            architecture="resnet10_3d",
            weights="none",
            epochs=15,
            batch_size=8,
            prep=PrepConfig(form="volume", sequences=(T1WCE,), slice_choice="window", slice_count=32, size_px=128),
            optimiser=OptimiserConfig(optimiser="adam", learning_rate=0.0001),
            schedule=ScheduleConfig(schedule="constant"),
        ),
        relative(
            "attention",
            "Attention over slices",
            "Ilse et al. 2018",
            "The paper's ResNet-18 on every slice of a series, and a learnt weight for each slice (attention pooling after "
            "Ilse et al. 2018): the label is the patient's, and not every slice shows why.",
            {
                "architecture": "a ResNet-18 per slice and a gated attention over the slices",
                "form": "the slices of a series are one bag",
                "slice_count": "16 slices to weigh",
                "batch_size": "16 slices per example",
                "learning_rate": "lower than for single slices: each step sees fewer patients",
            },
            architecture="attention_resnet18",
            batch_size=4,
            prep=PrepConfig(form="volume", slice_count=16, slice_span=0.7, size_px=160),
            optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0003, weight_decay=0.01),
        ),
    )  # fmt: skip


VIDEO_NETWORKS = (
    ("r2plus1d", "r2plus1d_18", "R(2+1)D-18", "its 3D filters are a 2D one followed by one along the slices"),
    ("mc3", "mc3_18", "MC3-18", "3D filters in the first layers, 2D ones after"),
    ("r3d", "r3d_18", "R3D-18", "3D filters throughout"),
)


def _spatiospatial(relative: Any, short: str, architecture: str, title: str, what: str) -> Preset:
    preset: Preset = relative(
        f"spatiospatial-{short}",
        f"Spatio-spatial {title}",
        "Chatterjee et al. 2022",
        f"After Chatterjee et al. (2022): {title}, a network for videos ({what}), with the slice axis in the place of time. "
        "They told low-grade from high-grade glioma and healthy. Ours gets three sequences as the three colours, so that "
        "its stem keeps the weights it learnt from videos (Kinetics-400).",
        {
            **VOLUME_REASONS,
            "architecture": f"torchvision's {architecture}",
            "weights": "Kinetics-400, as Chatterjee et al.",
            "channels": "three sequences in place of red, green and blue: the stem is kept",
            "sequences": "three, for three colours; T1 without contrast is the one left out",
            "grid_mm": "one grid, so that the three colours are the same place",
            "size_px": "112, which the weights were trained at",
            "learning_rate": "lower than for slices: each step sees fewer patients",
        },
        architecture=architecture,
        batch_size=8,
        prep=PrepConfig(
            form="volume", channels="sequences", sequences=THREE, grid_mm=4.0, slice_choice="window", slice_count=32,
            size_px=112,
        ),
        optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0003, weight_decay=0.01),
    )  # fmt: skip
    return preset
