"""How the predictions move: histograms of the probabilities, epoch after epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from core.reports.palette import Palette, class_colour, new_figure
from core.runs.records import EpochRecord

PARTS = (("training", "train_histogram", ("x", "y")), ("validation", "val_histogram", ("x2", "y2")))
FRAME_MS = 350
MOST_FRAMES = 48
"""A longer run shows so many of its epochs, evenly spread, the first and the latest among them."""
SLIDER_Y = -0.32
"""Below the axes' titles, in heights of the plot."""


def draw_moving_predictions(
    records: Sequence[EpochRecord], class_names: Sequence[str], positive_class: int, palette: Palette
) -> go.Figure | None:
    """Training and validation side by side, a colour for each true class, with a slider and a play button over epochs.

    Bars are shares of the true class's slices, so that classes of different size compare; the counts show on hovering.
    It opens at the latest epoch. Of a long run not every epoch is there. None where no record has histograms (a run of an older version).
    """

    shown = [record for record in records if record.train_histogram and record.val_histogram]
    if not shown:
        return None
    steps = min(len(shown), MOST_FRAMES)
    shown = [shown[round(step * (len(shown) - 1) / max(steps - 1, 1))] for step in range(steps)]
    figure = new_figure(palette, height=338, y="share of the class's slices")
    figure.add_traces(_bars(shown[-1], class_names, positive_class, palette, go.Bar))
    figure.frames = [
        go.Frame(
            name=str(record.epoch),
            data=_bars(record, class_names, positive_class, palette, go.Bar),
            layout={"annotations": _titles(record, palette)},
        )
        for record in shown
    ]
    highest = max(value for record in shown for bar in _shares(record) for value in bar)
    figure.update_xaxes(range=[0, 1], title_text=f"probability of {_name(class_names, positive_class)}")
    figure.update_layout(
        barmode="overlay",
        bargap=0.04,
        margin={"l": 8, "r": 12, "t": 48, "b": 92},
        legend={"y": 1.1},  # clear of the titles, also where the screen is narrow
        xaxis={"domain": [0, 0.48]},
        xaxis2={**figure.layout.xaxis.to_plotly_json(), "domain": [0.52, 1], "anchor": "y2"},
        yaxis={"range": [0, min(1.0, highest * 1.08)], "tickformat": ".0%"},
        yaxis2={
            **figure.layout.yaxis.to_plotly_json(),
            "range": [0, min(1.0, highest * 1.08)],
            "anchor": "x2",
            "showticklabels": False,
            "title": {"text": ""},
        },
        sliders=[_slider(shown, palette)],
        updatemenus=[_buttons(palette)],
        annotations=_titles(shown[-1], palette),
    )
    return figure


def _titles(record: EpochRecord, palette: Palette) -> list[dict[str, Any]]:
    """What stands above the two halves."""
    font = {"size": 12, "color": palette.text}
    place = {"y": 1.0, "xref": "paper", "yref": "paper", "xanchor": "right", "yanchor": "bottom", "showarrow": False}
    return [
        {**place, "x": 0.48, "text": f"training, epoch {record.epoch}", "font": font},
        {**place, "x": 1.0, "text": f"validation, epoch {record.epoch}", "font": font},
    ]


def _bars(
    record: EpochRecord, class_names: Sequence[str], positive_class: int, palette: Palette, bar: type[go.Bar]
) -> list[go.Bar]:
    bars = []
    for part, field, (x_axis, y_axis) in PARTS:
        histogram = getattr(record, field)
        for index, counts in enumerate(histogram):
            bins, total = len(counts), sum(counts)
            bars.append(
                bar(
                    x=[(place + 0.5) / bins for place in range(bins)],
                    y=_share(counts),
                    width=[1 / bins] * bins,
                    customdata=list(counts),
                    marker={
                        "color": class_colour(palette, index, positive_class, len(histogram)),
                        "line": {"width": 0},
                    },
                    opacity=0.62,
                    name=_name(class_names, index),
                    legendgroup=str(index),
                    showlegend=part == "training",
                    xaxis=x_axis,
                    yaxis=y_axis,
                    hovertemplate=f"{part}, {_name(class_names, index)}: %{{customdata}} of {total} slices at %{{x:.3f}}"
                    "<extra></extra>",
                )
            )
    return bars


def _shares(record: EpochRecord) -> list[list[float]]:
    return [_share(counts) for _, field, _ in PARTS for counts in getattr(record, field)]


def _share(counts: Sequence[int]) -> list[float]:
    return [count / max(sum(counts), 1) for count in counts]


def _name(class_names: Sequence[str], index: int) -> str:
    return class_names[index] if index < len(class_names) else f"class {index}"


def _slider(shown: Sequence[EpochRecord], palette: Palette) -> dict[str, Any]:
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": len(shown) - 1,
        "steps": [
            {"label": str(record.epoch), "method": "animate", "args": [[str(record.epoch)], at_once]}
            for record in shown
        ],
        "currentvalue": {"visible": False},
        "x": 0.1,
        "len": 0.9,
        "y": SLIDER_Y,
        "pad": {"t": 2, "b": 0, "l": 12, "r": 4},
        "font": {"size": 10, "color": palette.muted},
        "bgcolor": palette.grid,
        "activebgcolor": palette.accent,
        "bordercolor": palette.grid,
        "tickcolor": palette.grid,
        "ticklen": 3,
        "minorticklen": 0,
    }


def _buttons(palette: Palette) -> dict[str, Any]:
    run = {"frame": {"duration": FRAME_MS, "redraw": True}, "transition": {"duration": 0}, "fromcurrent": False}
    pause = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    return {
        "type": "buttons",
        "direction": "right",
        "showactive": False,
        "x": 0.0,
        "y": SLIDER_Y,
        "xanchor": "left",
        "yanchor": "top",
        "pad": {"l": 0, "r": 0, "t": 0},
        "bgcolor": palette.surface,
        "bordercolor": palette.muted,
        "font": {"size": 9, "color": palette.text},
        "buttons": [
            {"label": "▶", "method": "animate", "args": [None, run]},
            {"label": "❚❚", "method": "animate", "args": [[None], pause]},
        ],
    }
