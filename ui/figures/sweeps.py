"""Optuna's own figures of a search, in the app's template and colours."""

from __future__ import annotations

from typing import Any

import optuna
import plotly.graph_objects as go
from optuna.trial import TrialState
from optuna.visualization import (
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
)

from core.reports.palette import Palette, new_figure

TALL = 320


def draw_history(study: optuna.Study, target: str, palette: Palette) -> go.Figure:
    """Each trial's figure in the order of the trials, and the best so far."""
    figure = _in_template(plot_optimization_history(study, target_name=target), palette, x="trial", y=target)
    for trace in figure.data:
        if trace.mode == "markers":
            trace.update(marker={"color": palette.muted, "size": 7})
        else:
            trace.update(line={"color": palette.accent, "shape": "hv", "width": 2})
        trace.update(showlegend=trace.name != "Infeasible Trial")
    _name_traces(figure, {target: "a finished trial", "Best Value": "best so far"})
    last = max((trial.number for trial in study.get_trials(deepcopy=False)), default=0)
    figure.update_xaxes(range=[-0.5, last + 0.5], dtick=max(1, round(last / 10)))
    return figure


def draw_importance(study: optuna.Study, target: str, palette: Palette) -> go.Figure:
    """How much each setting has to do with being among the best trials (PED-ANOVA)."""
    figure = _in_template(
        plot_param_importances(study, target_name=target), palette, x="share of what the settings explain", y=""
    )
    figure.update_traces(marker={"color": palette.accent}, textfont={"color": palette.text}, cliponaxis=False)
    figure.update_layout(showlegend=False)
    figure.update_xaxes(range=[0, 1.12], dtick=0.25)
    return figure


def draw_parallel(study: optuna.Study, target: str, palette: Palette) -> go.Figure:
    """One line per finished trial through all its settings; the better the trial, the stronger its colour."""
    figure = _in_template(plot_parallel_coordinate(study, target_name=target), palette)
    weak, strong = _blend(palette.grid, palette.muted, 0.5), palette.accent
    smaller = study.direction.name == "MINIMIZE"
    for trace in figure.data:
        if trace.mode == "lines" and trace.y is not None:
            share = float(trace.y[0])
            trace.update(line={"color": _blend(weak, strong, 1 - share if smaller else share), "width": 2}, opacity=0.9)
        elif trace.mode == "markers":
            bar = {"tickfont": {"color": palette.text}, "title": {"text": ""}, "thickness": 12, "outlinewidth": 0}
            trace.update(marker={"colorscale": [[0, weak], [1, strong]], "colorbar": bar, "reversescale": smaller})
    figure.update_shapes(line={"color": palette.muted})
    figure.update_annotations(font={"color": palette.text, "size": 10})
    figure.update_xaxes(showgrid=False, showline=False, ticks="")
    figure.update_yaxes(visible=False)
    figure.update_layout(margin={"l": 24})
    return figure


def draw_curves(study: optuna.Study, target: str, palette: Palette) -> go.Figure:
    """Every trial's validation curve by epoch: finished, pruned or running, the best one strong."""
    figure = _in_template(plot_intermediate_values(study), palette, x="epoch", y=target)
    states = {f"Trial{trial.number}": trial.state for trial in study.get_trials(deepcopy=False)}
    finished = any(state == TrialState.COMPLETE for state in states.values())
    best = f"Trial{study.best_trial.number}" if finished else ""
    styles: dict[str, dict[str, Any]] = {
        "best": {"line": {"color": palette.accent, "width": 3}, "opacity": 1.0},
        "finished": {"line": {"color": palette.accent, "width": 1.2}, "opacity": 0.55},
        "pruned": {"line": {"color": palette.warning, "width": 1.2, "dash": "dot"}, "opacity": 0.9},
        "other": {"line": {"color": palette.muted, "width": 1.2}, "opacity": 0.8},
    }
    titles = {"best": "the best", "finished": "finished", "pruned": "pruned", "other": "running or cut off"}
    kinds = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned"}
    shown: set[str] = set()
    for trace in figure.data:
        state = states.get(trace.name)
        kind = "other" if state is None else kinds.get(state, "other")
        kind = "best" if trace.name == best else kind
        number = trace.name.removeprefix("Trial")
        trace.update(
            **styles[kind],
            marker={"size": 6 if kind == "pruned" else 4, "color": styles[kind]["line"]["color"]},
            name=titles[kind],
        )
        trace.update(
            legendgroup=kind,
            showlegend=kind not in shown,
            hovertemplate=f"trial {number}, epoch %{{x}}: %{{y:.3f}}<extra></extra>",
        )
        shown.add(kind)
    figure.update_layout(showlegend=True)
    figure.update_xaxes(dtick=1 if _last_epoch(figure) <= 12 else None)
    return figure


def _in_template(figure: go.Figure, palette: Palette, *, x: str = "", y: str = "") -> go.Figure:
    """The app's layout over a figure of optuna's, whose traces, ticks, shapes and annotations stay."""
    ours = new_figure(palette, height=TALL, x=x, y=y).layout.to_plotly_json()
    figure.layout.template = "none"  # assigned, for an update would keep what the other template says besides
    figure.update_layout(title=None, **ours)
    return figure


def _name_traces(figure: go.Figure, names: dict[str, str]) -> None:
    for trace in figure.data:
        trace.update(name=names.get(trace.name, trace.name))


def _last_epoch(figure: go.Figure) -> int:
    return max((int(step) for trace in figure.data for step in trace.x or ()), default=1)


def _blend(first: str, second: str, share: float) -> str:
    """The colour so far on the way from one to another, as ``#rrggbb``."""
    pairs = ((int(first[at : at + 2], 16), int(second[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(one + (other - one) * share):02x}" for one, other in pairs)
