"""Networks on volumes: 3D convolutions, a tumour found first, the competition's winner."""

from __future__ import annotations

from core.config import OptimiserConfig, PrepConfig, ScheduleConfig
from core.mri import MRSequence
from core.presets.honest import vary_honest

FLAIR, T1WCE, T2W = MRSequence.FLAIR, MRSequence.T1WCE, MRSequence.T2W

VOLUME_REASONS = {
    "form": "the network takes a volume",
    "slice_choice": "neighbouring slices, as a volume has them",
    "slice_count": "32 slices: the brain's most massive part, and what a small GPU holds",
    "batch_size": "volumes are large",
    "flip_planes": "a flipped sagittal slice exchanges face and back of the head, which no scan shows",
}
"""Why a volume is prepared as it is."""

VOLUMETRIC = vary_honest(
    "volumetric",
    title="Multi-scale 3D CNN",
    after="Mzoughi et al. 2020",
    summary="After Mzoughi et al. (2020): a 3D network of small kernels on contrast-enhanced T1, local and wider context "
    "merged, with intensity normalisation and adaptive contrast enhancement first. They graded gliomas; ours is "
    "smaller and predicts the promoter status.",
    reasons={
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
        form="volume",
        sequences=(T1WCE,),
        slice_choice="window",
        slice_count=32,
        size_px=112,
        normalise="zscore",
        contrast="clahe",
    ),
    optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0005, weight_decay=0.01),
)

TWO_STAGE = vary_honest(
    "two-stage",
    title="Find the tumour, then classify it",
    after="Pei et al. 2019",
    summary="After Pei et al. (2019): one 3D network segments the tumour, a second classifies its region. Ours are a small 3D "
    "U-Net and a small 3D ResNet in one checkpoint. The first learns from masks (a synthetic cohort's, or BraTS "
    "segmentations beside the scans) and then changes no more; prediction needs no mask.",
    reasons={
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
        form="volume",
        channels="sequences",
        sequences=(FLAIR, T1WCE, T2W),
        grid_mm=4.0,
        slice_choice="window",
        slice_count=32,
        size_px=112,
    ),
    optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0005, weight_decay=0.01),
)

WINNER = vary_honest(
    "winner",
    title="3D ResNet-10",
    after="the competition's winner",
    summary="After the winner of the competition (3D ResNet-10 on contrast-enhanced T1, the window centred on the slice "
    "with most brain, Adam 1e-4, 15 epochs). Theirs took 64 slices of 256 x 256 and five folds, which reached an "
    "AUROC of 0.54 to 0.66; ours is smaller to suit a laptop, and evaluated by patient.",
    reasons={
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
)
