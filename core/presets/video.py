"""Networks for videos, with the slice axis in the place of time."""

from __future__ import annotations

from core.config import OptimiserConfig, PrepConfig
from core.mri import MRSequence
from core.presets.honest import vary_honest
from core.presets.volumes import VOLUME_REASONS

NETWORKS = (
    ("r2plus1d", "R(2+1)D-18", "its 3D filters are a 2D one followed by one along the slices"),
    ("mc3", "MC3-18", "3D filters in the first layers, 2D ones after"),
    ("r3d", "R3D-18", "3D filters throughout"),
)

VIDEO_NETWORKS = tuple(
    vary_honest(
        f"spatiospatial-{short}",
        title=f"Spatio-spatial {title}",
        after="Chatterjee et al. 2022",
        summary=f"After Chatterjee et al. (2022): {title}, a network for videos ({what}), with the slice axis in the place of time. "
        "They told low-grade from high-grade glioma and healthy. Ours gets three sequences as the three colours, so that "
        "its stem keeps the weights it learnt from videos (Kinetics-400).",
        reasons={
            **VOLUME_REASONS,
            "architecture": f"torchvision's {short}_18",
            "weights": "Kinetics-400, as Chatterjee et al.",
            "channels": "three sequences in place of red, green and blue: the stem is kept",
            "sequences": "three, for three colours; T1 without contrast is the one left out",
            "grid_mm": "one grid, so that the three colours are the same place",
            "size_px": "112, which the weights were trained at",
            "learning_rate": "lower than for slices: each step sees fewer patients",
        },
        architecture=f"{short}_18",
        batch_size=8,
        prep=PrepConfig(
            form="volume",
            channels="sequences",
            sequences=(MRSequence.FLAIR, MRSequence.T1WCE, MRSequence.T2W),
            grid_mm=4.0,
            slice_choice="window",
            slice_count=32,
            size_px=112,
        ),
        optimiser=OptimiserConfig(optimiser="adamw", learning_rate=0.0003, weight_decay=0.01),
    )
    for short, title, what in NETWORKS
)
