"""The paper's network: its Figures 1 and 2 as tables, and the residual block."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.experiments.paper_network import NETWORKS, STAGES
from core.models.zoo import FIGURE_2


def show_network() -> None:
    """The residual block, the layers of each depth, and its errors beside those of the weights that are used here."""
    st.markdown(
        "A residual block adds its input to what its layers compute, so that the layers learn the difference alone:"
    )
    st.latex(r"\text{Output} = \text{Input} + F(\text{Input})")
    st.caption(
        "In ResNet a ReLU follows the sum, and where a block changes the size or the channels, a 1x1 convolution brings the "
        "input to the same form. For two classes the last layer of 1,000 outputs is replaced by one of 2."
    )
    st.markdown("**Figure 1.** Errors on ImageNet with one crop, in percent")
    st.dataframe(
        pd.DataFrame(
            {
                "network": [network.name for network in NETWORKS],
                "top-1, paper": [f"{network.paper_errors[0]:.2f}" for network in NETWORKS],
                "top-1, torchvision": [f"{network.torchvision_errors[0]:.2f}" for network in NETWORKS],
                "top-5, paper": [f"{network.paper_errors[1]:.2f}" for network in NETWORKS],
                "top-5, torchvision": [f"{network.torchvision_errors[1]:.2f}" for network in NETWORKS],
            }
        ),
        hide_index=True,
    )
    st.caption(
        "torchvision's are those that it states of its IMAGENET1K_V1 weights; they were not measured again here."
    )
    st.markdown("**Figure 2.** Layers")
    rows = [("conv1", "112 x 112", *("7x7, 64, stride 2" for _ in NETWORKS))]
    rows += [
        (
            name,
            size,
            *(("3x3 max pool; " if stage == 0 else "") + network.describe_stage(stage) for network in NETWORKS),
        )
        for stage, (name, size) in enumerate(STAGES)
    ]
    rows.append(("end", "1 x 1", *("average pool, 1,000 outputs, softmax" for _ in NETWORKS)))
    rows.append(("10⁹ multiply-adds", "", *(f"{FIGURE_2[network.name]:.1f}" for network in NETWORKS)))
    columns = ["layer", "output", *(f"{network.depth} layers" for network in NETWORKS)]
    st.dataframe(pd.DataFrame(rows, columns=columns), hide_index=True, height="content")
