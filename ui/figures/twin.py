"""The twin run's curves: the same network with and without siblings of the evaluated slices in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from core.experiments.twin.pair import ARMS, Arm
from core.reports.marks import add_reference
from core.reports.palette import Palette, new_figure
from core.runs.records import EpochRecord
from ui.figures.training import add_interval_band

ARM_TITLES: Mapping[Arm, str] = {"slice_split": "siblings in training", "patient_split": "no siblings"}


def arm_colour(arm: Arm, palette: Palette) -> str:
    """The leaky arm is the warning colour everywhere."""
    return palette.error if arm == "slice_split" else palette.accent


def draw_twins(
    records: Mapping[Arm, Sequence[EpochRecord]],
    epochs: int,
    palette: Palette,
    *,
    field: str,
    title: str,
    chance: float | None,
    chance_name: str,
) -> go.Figure:
    """One figure of each arm by epoch, training dotted, validation solid with its interval as a band.

    Parameters
    ----------
    records
        Each arm's finished epochs.
    epochs
        How many there will be.
    palette
        The theme's colours.
    field
        "accuracy" (by slice) or "patient_auroc".
    title
        Of the vertical axis.
    chance
        A line at what guessing reaches.
    chance_name
        What that is called.
    """
    figure = new_figure(palette, x="epoch", y=title, height=330)
    for arm in ARMS:
        colour = arm_colour(arm, palette)
        add_interval_band(figure, records[arm], f"val_{field}", colour, f"{ARM_TITLES[arm]}, 95% interval")
        for part, dash, width in (("train", "dot", 1.5), ("val", "solid", 2.5)):
            name = f"{ARM_TITLES[arm]}, {'training' if part == 'train' else 'validation'}"
            figure.add_scatter(
                x=[record.epoch for record in records[arm]],
                y=[getattr(record, f"{part}_{field}") for record in records[arm]],
                mode="lines" if part == "train" else "lines+markers",
                name=name,
                line={"color": colour, "dash": dash, "width": width},
                marker={"size": 6},
                hovertemplate=f"{name}, epoch %{{x}}: %{{y:.3f}}<extra></extra>",
            )
    figure.update_traces(showlegend=False, selector={"fill": "toself"})  # the words below say what a band is
    if chance is not None:
        add_reference(figure, palette, f"{chance_name} {chance:.2f}", y=chance)
    figure.update_xaxes(range=[0.5, max(epochs, 1) + 0.5], tick0=0, dtick=max(1, round(epochs / 8)), tickformat="d")
    figure.update_yaxes(range=[-0.03, 1.03])
    return figure


def draw_split_sketch(by_slice: bool, palette: Palette) -> go.Figure:
    """Five patients of eight slices as squares: who is in training and who is evaluated. A sketch, not data."""
    figure = new_figure(palette, height=190)
    evaluated_slices = {0: (2, 6), 1: (4,), 2: (1, 5), 3: (3,), 4: (0, 7)} if by_slice else {4: tuple(range(8))}
    for evaluated, colour, name in ((False, palette.muted, "training"), (True, palette.error, "evaluated")):
        places = [
            (slice_, 5 - patient)
            for patient in range(5)
            for slice_ in range(8)
            if (slice_ in evaluated_slices.get(patient, ())) is evaluated
        ]
        figure.add_scatter(
            x=[x for x, _ in places],
            y=[y for _, y in places],
            mode="markers",
            name=name,
            marker={"symbol": "square", "size": 17, "color": colour, "opacity": 1.0 if evaluated else 0.45},
            hoverinfo="skip",
        )
    figure.update_xaxes(visible=False, range=[-0.6, 7.6])
    figure.update_yaxes(
        tickvals=list(range(1, 6)), ticktext=[f"patient {6 - row}" for row in range(1, 6)], showgrid=False, ticks="",
        range=[0.4, 5.6], linewidth=0,
    )  # fmt: skip
    return figure
