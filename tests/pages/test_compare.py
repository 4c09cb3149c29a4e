"""The Compare page: the same figures as the command line's, and no test patient opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.experiments.comparison.comparison import compare_runs
from core.figure_text import value_text
from core.models.card import read_card
from core.runs.evaluation import evaluate_validation, store_evaluation, with_figures
from core.runs.folder import RunFolder
from core.settings import Settings
from tests.experiments.judged_runs import make_judged_run
from tests.pages.reading import App, words


@pytest.fixture
def runs(home: Settings) -> list[RunFolder]:
    """Two honest runs and a leaky one."""
    return [
        make_judged_run(home, "alpha"),
        make_judged_run(home, "beta", seed=1, batch_size=8),
        make_judged_run(home, "sly", seed=2, unit="slice"),
    ]


def test_one_run_is_not_compared(open_app: App, home: Settings) -> None:
    make_judged_run(home, "alpha")
    app = open_app("compare.py")
    assert not app.exception
    assert "takes two runs" in words(app)


def test_the_page_says_what_the_command_says(open_app: App, home: Settings, runs: list[RunFolder]) -> None:
    app = open_app("compare.py", query={"run": ["alpha", "beta"]})
    assert not app.exception
    assert not app.error
    assert app.multiselect(key="compare.runs").value == ["alpha", "beta"]
    figure = compare_runs(runs[:2], home).differences[0].figure
    assert figure is not None
    (row,) = app.dataframe[0].value.to_dict("records")
    assert row["difference (95%)"] == value_text(figure, signed=True)
    assert row["n"] == "20"
    settings = app.dataframe[2].value.set_index("setting")
    assert settings.loc["Batch size"].tolist()[1:] == ["32", "8"]
    assert "2 runs are compared" in words(app)


def test_a_leaky_run_is_warned_of_and_the_reference_can_be_chosen(open_app: App, runs: list[RunFolder]) -> None:
    app = open_app("compare.py", query={"run": ["alpha", "beta", "sly"]})
    assert any("Leaky split: sly" in warning.value.replace("\\", "") for warning in app.warning)
    assert list(app.dataframe[0].value["run"]) == ["beta", "sly"]
    app.selectbox(key="compare.reference").set_value("sly").run()
    assert not app.exception
    assert list(app.dataframe[0].value["run"]) == ["alpha", "beta"]
    app.selectbox(key="compare.course").set_value("val_loss").run()
    assert not app.exception


def test_test_patients_are_not_opened(open_app: App, home: Settings, runs: list[RunFolder]) -> None:
    app = open_app("compare.py", query={"run": ["alpha", "beta"]})
    app.segmented_control(key="compare.part").set_value("test").run()
    assert not app.exception
    assert "not been evaluated" in app.error[0].value
    assert not (home.runs / "test_looks.jsonl").exists()
    for run in runs[:2]:
        store_evaluation(
            run,
            with_figures(replace(evaluate_validation(run), part="test", looked_at=1), read_card(run.checkpoint)),
            "",
        )
    app.run()
    assert not app.exception
    assert not app.error
    assert "Test patients" in words(app)


def test_runs_of_the_address_that_are_not_here_are_left_out(open_app: App, runs: list[RunFolder]) -> None:
    app = open_app("compare.py", query={"run": ["../../etc", "alpha"]})
    assert not app.exception
    assert set(app.multiselect(key="compare.runs").value) == {"alpha", "beta", "sly"}


def test_a_run_that_trains_is_followed(open_app: App, runs: list[RunFolder]) -> None:
    run = runs[1]
    app = open_app("compare.py", query={"run": ["alpha", "beta"]})
    assert "Still training" not in words(app)
    run.write_status(run.status().model_copy(update={"state": "running", "finished": None}))
    with run.lock():
        app = open_app("compare.py", query={"run": ["alpha", "beta"]})
        assert not app.exception
        assert "Still training: beta" in words(app)
        app.selectbox(key="compare.reference").set_value("beta").run()
        assert list(app.dataframe[0].value["run"]) == ["alpha"]
