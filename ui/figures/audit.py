"""What an audit found, kind by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import plotly.graph_objects as go

from core.audit.findings import KINDS, SEVERITIES, Finding
from core.reports.palette import Palette, new_figure

ROW_PX = 26


def draw_findings(findings: Sequence[Finding], palette: Palette) -> go.Figure:
    """How many findings there are of each kind, the worst on top; the colour is the severity."""
    counts = Counter(finding.kind for finding in findings)
    kinds = sorted(counts, key=lambda kind: (SEVERITIES.index(KINDS[kind].severity), list(KINDS).index(kind)))
    colours = {"error": palette.error, "warning": palette.warning, "note": palette.muted}
    figure = new_figure(palette, x="findings", height=110 + ROW_PX * len(kinds))
    for severity in SEVERITIES:
        chosen = [kind for kind in kinds if KINDS[kind].severity == severity]
        figure.add_bar(
            y=[KINDS[kind].title for kind in chosen],
            x=[counts[kind] for kind in chosen],
            orientation="h",
            name=severity,
            marker={"color": colours[severity]},
            text=[counts[kind] for kind in chosen],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x}<extra></extra>",
        )
    figure.update_layout(barmode="overlay", showlegend=True)
    figure.update_yaxes(
        categoryorder="array", categoryarray=[KINDS[kind].title for kind in reversed(kinds)], ticks="", showgrid=False
    )
    figure.update_xaxes(rangemode="tozero", dtick=1 if max(counts.values(), default=0) <= 10 else None)
    return figure
