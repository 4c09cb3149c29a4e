"""The page of cross-validations: what it starts, how far one is, what it found, and the way to Predict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.experiments.folds.candidates import CrossValidationParameters
from core.jobs.experiment import Experiment, RunOptions
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import CONFIG, make_record
from tests.pages.reading import App, words
from tests.ui.fold_results import make_result


def begin(home: Settings, data: Path, result: dict[str, Any] | None = None, **parameters: Any) -> Path:
    """A cross-validation as its command leaves it."""
    folder = home.experiments / "mine"
    folder.mkdir(parents=True)
    question = {
        "kind": "cross_validation",
        "parameters": CrossValidationParameters(**({"folds": 3} | parameters)).model_dump(mode="json"),
        "config": CONFIG.model_dump(mode="json"),
        "source": DataSource(root=str(data)).model_dump(mode="json"),
        "created": "2026-01-01T00:00:00+00:00",
    }
    (folder / "question.json").write_text(json.dumps(question))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def note_starts(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """Start no process; the experiments whose process would be started are noted."""
    started: list[Experiment] = []
    monkeypatch.setattr(
        "core.jobs.experiment.start_detached",
        lambda module, folder, **options: started.append(Experiment(Path(folder))),
    )
    return started


@pytest.mark.parametrize("nested", [False, True])
def test_a_result_tells_the_mean_the_folds_and_who_won(
    nested: bool, open_app: App, home: Settings, phantom_folder: Path
) -> None:
    begin(home, phantom_folder, make_result(nested=nested, seeds=2))
    app = open_app("cross_validation.py", phantom_folder)
    assert not app.exception
    assert not app.error
    assert app.metric[0].value == "0.700"
    text = words(app)
    assert "0.520 to 0.860" in text
    assert "n = 30 patients" in text
    assert "between **0.680** and **0.720**" in text
    assert ("Which candidate won where" in text) == nested
    assert "Why nested" in text
    assert list(app.dataframe[0].value["fold"]) == [1, 2, 3, 1, 2, 3]


def test_one_that_was_stopped_says_how_far_it_is_and_is_resumed(
    open_app: App, home: Settings, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin(home, phantom_folder, vary={"learning_rate": ["0.1", "0.01"]})
    run = RunFolder.create(
        home, CONFIG, DataSource(root=str(phantom_folder)), folder=folder / "runs" / "seed-00-fold-01", state="stopped"
    )
    run.append_epoch(make_record(1))
    started = note_starts(monkeypatch)
    app = open_app("cross_validation.py", phantom_folder)
    assert "stopped" in words(app)
    assert "1 of 12 epochs, 0 of 6 trainings finished" in app.get("progress")[0].proto.text
    app.button(key="folds.mine.go_on").click().run()
    assert not app.exception
    (experiment,) = started
    assert experiment.folder == folder
    assert experiment.question().parameters["vary"] == {"learning_rate": ["0.1", "0.01"]}
    assert experiment.question().config == CONFIG


def test_the_form_starts_what_it_shows(
    open_app: App, home: Settings, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = note_starts(monkeypatch)
    app = open_app("cross_validation.py", phantom_folder)
    app.number_input(key="folds.folds").set_value(4)
    app.number_input(key="folds.honest.epochs").set_value(3)
    app.text_area(key="folds.vary").set_value("learning_rate 0.001 0.0001\nseed=0 1").run()
    assert not app.exception
    assert "16 trainings, 48 epochs in all" in words(app)
    app.button(key="folds.start").click().run()
    (experiment,) = started
    assert experiment.name == "folds-01"
    question = experiment.question()
    vary = {"learning_rate": ["0.001", "0.0001"], "seed": ["0", "1"]}
    assert question.parameters == {"folds": 4, "seeds": 1, "inner_folds": 1, "vary": vary}
    assert question.config.epochs == 3
    assert question.source.root == str(phantom_folder)
    assert experiment.options() == RunOptions()


def test_what_cannot_be_compared_is_one_error(open_app: App, phantom_folder: Path) -> None:
    app = open_app("cross_validation.py", phantom_folder)
    app.text_area(key="folds.vary").set_value("learning_rat 0.1").run()
    assert not app.exception
    assert len(app.error) == 1
    assert "Did you mean" in app.error[0].value
    app.text_area(key="folds.vary").set_value("seed").run()
    assert len(app.error) == 1


def test_the_ensemble_opens_on_predict(open_app: App, home: Settings, phantom_folder: Path) -> None:
    folder = begin(home, phantom_folder)
    (folder / "result.json").write_text(json.dumps(make_result() | {"ensemble": str(folder / "ensemble.json")}))
    app = open_app("cross_validation.py", phantom_folder)
    app.button(key="folds.predict").click().run()
    assert app.session_state["checkpoint"] == str(folder / "ensemble.json")
    assert app.title[0].value == "Predict"
