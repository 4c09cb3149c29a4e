"""The deeper ResNets of the paper's Figure 2."""

from __future__ import annotations

from core.presets.honest import vary_honest

RESNETS = tuple(
    vary_honest(
        f"resnet{depth}",
        title=f"ResNet-{depth}",
        after="He et al. 2016",
        summary=f"The network of the paper's Figure 2 that is {depth} layers deep, with all else as in “Split by patient”: "
        "the paper compares the cost of these networks and reports no accuracy of them.",
        reasons={
            "architecture": f"ResNet-{depth}, which the paper's Figure 2 compares by its cost (He et al. 2016)",
            "weights": "ImageNet, as the paper's ResNet18",
        },
        architecture=f"resnet{depth}",
    )
    for depth in (34, 50, 101, 152)
)
