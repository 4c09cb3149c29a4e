"""Optuna's figures in the app's colours: light and dark, and what stands out is the best trial."""

from __future__ import annotations

import optuna
import pytest

from core.reports.palette import DARK, LIGHT, Palette
from ui.figures.sweeps import draw_curves, draw_history, draw_importance, draw_parallel

TARGET = "validation AUROC by patient"
FOREIGN = ("#888", "#555", "#cccccc", "#CCCCCC", "white", "#2F3B52")
"""Colours of optuna's own."""


def make_study(direction: str = "maximize") -> optuna.Study:
    """Seven trials that ended well, the last of them the best, and one that was pruned."""
    study = optuna.create_study(direction=direction)  # type: ignore[arg-type]
    for number in range(8):
        trial = study.ask()
        rate = trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
        trial.suggest_categorical("optimiser", ["sgd", "adamw"])
        trial.report(0.4 + rate, 1)
        if number == 3:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            trial.report(0.5 + 0.05 * number, 2)
            study.tell(trial, 0.5 + 0.05 * number)
    return study


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_the_figures_have_the_apps_colours_and_no_others(palette: Palette) -> None:
    study = make_study()
    for figure in (
        draw_history(study, TARGET, palette),
        draw_importance(study, TARGET, palette),
        draw_parallel(study, TARGET, palette),
        draw_curves(study, TARGET, palette),
    ):
        assert figure.layout.font.color == palette.text
        assert figure.layout.title.text is None
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        visible = [trace for trace in figure.data if trace.name != "Infeasible Trial"]
        text = " ".join(trace.to_json() for trace in visible) + figure.layout.to_plotly_json().__repr__()
        assert not [colour for colour in FOREIGN if f"'{colour}'" in text or f'"{colour}"' in text]


def test_axes_say_what_they_are() -> None:
    study = make_study()
    assert draw_history(study, TARGET, LIGHT).layout.yaxis.title.text == TARGET
    curves = draw_curves(study, TARGET, LIGHT)
    assert (curves.layout.xaxis.title.text, curves.layout.yaxis.title.text) == ("epoch", TARGET)
    assert "learning_rate" in draw_parallel(study, TARGET, LIGHT).layout.xaxis.ticktext


def test_the_best_curve_is_the_strongest_and_pruned_ones_are_told_apart() -> None:
    curves = {trace.hovertemplate.split(",")[0]: trace for trace in draw_curves(make_study(), TARGET, LIGHT).data}
    best, pruned = curves["trial 7"], curves["trial 3"]
    assert best.name == "the best"
    assert best.line.width == max(trace.line.width for trace in curves.values())
    assert (pruned.name, pruned.line.color, pruned.line.dash) == ("pruned", LIGHT.warning, "dot")
    shown = [trace.name for trace in curves.values() if trace.showlegend]
    assert sorted(shown) == ["finished", "pruned", "the best"]


@pytest.mark.parametrize(("direction", "strongest"), [("maximize", 1.0), ("minimize", 0.0)])
def test_the_better_a_trial_the_stronger_its_line(direction: str, strongest: float) -> None:
    lines = [trace for trace in draw_parallel(make_study(direction), TARGET, LIGHT).data if trace.mode == "lines"]
    (best,) = [trace for trace in lines if trace.line.color == LIGHT.accent]
    assert best.y[0] == pytest.approx(strongest)
