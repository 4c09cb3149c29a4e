"""What a cohort holds: one chart for each question that a person asks of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.data.clinical.participants import list_flow
from core.data.study import Cohort, Series
from core.data.summary import BlankCount
from core.mri import MRSequence, Plane
from core.reports.palette import Palette, class_colour, new_figure
from ui.figures.prediction import SYMBOLS

FLOW_CHARACTERS = 44
"""Of a reason for exclusion; the whole stands in the table below the figure."""


def draw_labels(cohort: Cohort, palette: Palette) -> go.Figure:
    """How many studies of each class, and how many without a label."""
    counts = cohort.label_counts()
    parts = [
        (cohort.class_names[index], count, class_colour(palette, index, cohort.positive_class, len(counts)))
        for index, count in counts.items()
    ]
    unlabelled = len(cohort) - len(cohort.labelled)
    if unlabelled:
        parts.append(("no label", unlabelled, palette.muted))
    figure = new_figure(palette, y="studies", height=300)
    figure.add_bar(
        x=[name for name, _, _ in parts],
        y=[count for _, count, _ in parts],
        marker={"color": [colour for _, _, colour in parts]},
        text=[f"{count} ({count / max(len(cohort), 1):.0%})" for _, count, _ in parts],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x}: %{text}<extra></extra>",
        width=0.5,
    )
    figure.update_yaxes(rangemode="tozero")
    return figure


def draw_flow(flow: Mapping[str, Any], palette: Palette) -> go.Figure:
    """The flow of participants: found, excluded for each reason, without a label, used; in studies, persons on hover."""
    steps = list_flow(flow)
    colours = [palette.warning if name.startswith("excluded") else palette.muted for name, _, _ in steps[:-1]]
    figure = new_figure(palette, x="studies", height=90 + 38 * len(steps))
    figure.add_bar(
        # Reasons may come from an imported run, and plotly reads markup.
        y=[escape(_shorten(name), quote=False) for name, _, _ in steps],
        x=[studies for _, studies, _ in steps],
        orientation="h",
        marker={"color": [*colours, palette.accent]},
        text=[f"studies {studies:,}, persons {persons:,}" for _, studies, persons in steps],
        textposition="auto",
        customdata=[escape(name, quote=False) for name, _, _ in steps],
        hovertemplate="%{customdata}: %{text}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(rangemode="tozero")
    return figure


def draw_presence(cohort: Cohort, palette: Palette) -> go.Figure:
    """Which study has which sequence: how often each combination occurs, as a matrix of dots with bars.

    A matrix of studies would not be readable with hundreds of them; combinations (an UpSet plot) are.
    """
    sequences = _sequences(cohort)
    combinations = Counter(
        tuple(sequence for sequence in sequences if study.find(sequence)) for study in cohort
    ).most_common(12)
    base = new_figure(palette)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.04)
    figure.update_layout(base.layout.to_plotly_json())
    columns = list(range(len(combinations)))
    figure.add_bar(
        x=columns,
        y=[count for _, count in combinations],
        text=[count for _, count in combinations],
        textposition="outside",
        cliponaxis=False,
        marker={
            "color": [palette.accent if len(names) == len(sequences) else palette.warning for names, _ in combinations]
        },
        hovertemplate="%{customdata}: %{y} studies<extra></extra>",
        customdata=[" + ".join(names) or "none" for names, _ in combinations],
        row=1,
        col=1,
        width=0.5,
    )
    present = [
        (x, row, s in names)
        for x, (names, _) in zip(columns, combinations, strict=True)
        for row, s in enumerate(sequences)
    ]
    figure.add_scatter(
        x=[x for x, _, _ in present],
        y=[row for _, row, _ in present],
        mode="markers",
        marker={
            "size": 13,
            "color": [palette.text if there else palette.surface for _, _, there in present],
            "line": {"color": palette.muted, "width": 1.5},
        },
        hovertext=[f"{sequences[row]}: {'present' if there else 'missing'}" for _, row, there in present],
        hoverinfo="text",
        row=2,
        col=1,
    )
    axis = base.layout.xaxis.to_plotly_json()
    figure.update_xaxes(
        axis | {"showticklabels": False, "ticks": "", "showgrid": False, "range": [-0.6, max(3, len(columns)) - 0.4]}
    )
    figure.update_yaxes(base.layout.yaxis.to_plotly_json())
    figure.update_yaxes(title_text="studies", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(
        tickvals=list(range(len(sequences))),
        ticktext=[str(sequence) for sequence in sequences],
        range=[len(sequences) - 0.4, -0.6],
        showgrid=False,
        ticks="",
        title_text="",
        row=2,
        col=1,
    )
    figure.update_layout(showlegend=False, height=300)
    return figure


def draw_planes(cohort: Cohort, palette: Palette) -> go.Figure:
    """In which plane the series of each sequence were acquired."""
    sequences = _sequences(cohort)
    counts = Counter((series.sequence, series.plane) for series in cohort.series)
    colours = {
        Plane.AXIAL: palette.accent,
        Plane.CORONAL: palette.others[0],
        Plane.SAGITTAL: palette.others[1],
        Plane.UNKNOWN: palette.muted,
    }
    figure = new_figure(palette, y="series", height=300)
    for plane, colour in colours.items():
        values = [counts[sequence, plane] for sequence in sequences]
        if any(values):
            figure.add_bar(
                x=[str(sequence) for sequence in sequences],
                y=values,
                name=str(plane),
                marker={"color": colour},
                hovertemplate=f"%{{x}}, {plane}: %{{y}} series<extra></extra>",
            )
    figure.update_layout(barmode="stack", showlegend=True, legend={"traceorder": "normal"})
    return figure


def draw_spacings(cohort: Cohort, palette: Palette) -> go.Figure:
    """In-plane spacing against the distance between slices, one point per series."""
    figure = new_figure(palette, x="between rows and columns (mm)", y="between slices (mm)", height=300)
    for sequence in _sequences(cohort):
        chosen = [series for series in cohort.series if series.sequence == sequence and series.spacing_mm]
        if chosen:
            spacings = [series.spacing_mm for series in chosen if series.spacing_mm]
            figure.add_scatter(
                x=[max(spacing[1], spacing[2]) for spacing in spacings],
                y=[spacing[0] for spacing in spacings],
                mode="markers",
                name=str(sequence),
                marker={
                    "color": palette.sequences[sequence],
                    "symbol": SYMBOLS[sequence],
                    "size": 8,
                    "opacity": 0.65,
                },
                customdata=[[series.study_id, str(series.plane)] for series in chosen],
                hovertemplate=f"%{{customdata[0]}} {sequence} %{{customdata[1]}}: %{{x:.2f}} × %{{y:.2f}} mm<extra></extra>",
            )
    return figure


def draw_slice_counts(counts: Sequence[tuple[Series, int]], palette: Palette) -> go.Figure:
    """How many slices the series of each sequence have: one point per series over a box."""
    figure = new_figure(palette, y="slices per series", height=300)
    for sequence in _in_order(series.sequence for series, _ in counts):
        chosen = [(series, count) for series, count in counts if series.sequence == sequence]
        texts = [f"{series.study_id}: {count} slices" for series, count in chosen]
        _add_box(figure, sequence, [count for _, count in chosen], texts, palette)
    figure.update_yaxes(rangemode="tozero")
    return figure


def draw_blank_slices(counts: Sequence[BlankCount], palette: Palette) -> go.Figure:
    """Share of blank slices of each series, by sequence."""
    figure = new_figure(palette, y="blank slices (% of the series)", height=300)
    for sequence in _in_order(count.sequence for count in counts):
        chosen = [count for count in counts if count.sequence == sequence and count.slices]
        texts = [f"{count.study_id}: {count.blank} of {count.slices} blank" for count in chosen]
        _add_box(figure, sequence, [100 * count.blank / count.slices for count in chosen], texts, palette)
    figure.update_yaxes(rangemode="tozero")
    return figure


def _add_box(
    figure: go.Figure, sequence: MRSequence, values: Sequence[float], texts: Sequence[str], palette: Palette
) -> None:
    figure.add_box(
        y=list(values),
        x=[str(sequence)] * len(values),
        name=str(sequence),
        marker={"color": palette.sequences[sequence], "size": 4, "opacity": 0.55},
        line={"width": 1.2},
        boxpoints="all",
        jitter=0.5,
        pointpos=0,
        text=list(texts),
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _in_order(sequences: Iterable[MRSequence]) -> list[MRSequence]:
    found = set(sequences)
    return [sequence for sequence in MRSequence if sequence in found]


def _sequences(cohort: Cohort) -> list[MRSequence]:
    found = {series.sequence for series in cohort.series}
    named = [sequence for sequence in MRSequence if sequence is not MRSequence.UNKNOWN]
    if found <= {MRSequence.UNKNOWN}:
        return [MRSequence.UNKNOWN]
    return [*named, *([MRSequence.UNKNOWN] if MRSequence.UNKNOWN in found else [])]


def _shorten(name: str) -> str:
    return name if len(name) <= FLOW_CHARACTERS else f"{name[:FLOW_CHARACTERS]}..."
