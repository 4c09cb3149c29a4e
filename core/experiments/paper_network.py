"""What the paper says of its network: Figure 1 (errors on ImageNet), Figure 2 (layers), and the residual block.

The paper takes Figure 2 from K. He, X. Zhang, S. Ren, J. Sun: "Deep Residual Learning for Image Recognition", CVPR 2016,
table 1. torchvision's figures are those of its IMAGENET1K_V1 weights, as its model documentation states them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualNetwork:
    """One depth of ResNet, as the paper and as torchvision describe it."""

    depth: int
    paper_errors: tuple[float, float]
    """Top-1 and top-5 error on ImageNet with one crop, percent (Figure 1)."""
    torchvision_errors: tuple[float, float]
    blocks: tuple[int, int, int, int]
    """Residual blocks of conv2_x to conv5_x (Figure 2)."""

    @property
    def name(self) -> str:
        """As torchvision names it."""
        return f"resnet{self.depth}"

    @property
    def has_bottlenecks(self) -> bool:
        """A block is 1x1, 3x3, 1x1 with four times the channels at its end; otherwise two 3x3."""
        return self.depth >= 50

    def describe_stage(self, stage: int) -> str:
        """Return the layers of one stage in words: 0 is conv2_x, 3 is conv5_x."""
        width = 64 * 2**stage
        block = (
            f"1x1, {width}; 3x3, {width}; 1x1, {4 * width}" if self.has_bottlenecks else f"3x3, {width}; 3x3, {width}"
        )
        return f"[{block}] x {self.blocks[stage]}"


NETWORKS: tuple[ResidualNetwork, ...] = (
    ResidualNetwork(
        depth=18,
        paper_errors=(30.24, 10.92),
        torchvision_errors=(30.24, 10.92),
        blocks=(2, 2, 2, 2),
    ),
    ResidualNetwork(
        depth=34,
        paper_errors=(26.70, 8.58),
        torchvision_errors=(26.69, 8.58),
        blocks=(3, 4, 6, 3),
    ),
    ResidualNetwork(
        depth=50,
        paper_errors=(23.85, 7.13),
        torchvision_errors=(23.87, 7.14),
        blocks=(3, 4, 6, 3),
    ),
    ResidualNetwork(
        depth=101,
        paper_errors=(22.63, 6.44),
        torchvision_errors=(22.63, 6.45),
        blocks=(3, 4, 23, 3),
    ),
    ResidualNetwork(
        depth=152,
        paper_errors=(21.69, 5.94),
        torchvision_errors=(21.69, 5.95),
        blocks=(3, 8, 36, 3),
    ),
)
"""The five of Figures 1 and 2."""

STAGES: tuple[tuple[str, str], ...] = (
    ("conv2_x", "56 x 56"),
    ("conv3_x", "28 x 28"),
    ("conv4_x", "14 x 14"),
    ("conv5_x", "7 x 7"),
)
"""The four stages with the size of what they put out, for an image of 224 x 224."""
