"""Many studies on the Predict page: started in a process of their own, seen as a table, each opened in the viewer."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.cli.scans.cohort import main
from core.inference.batch import read_predictions
from core.jobs.experiment import Experiment
from core.jobs.predictions import TABLE, ask_predictions, cohort_source
from core.settings import Settings
from tests.pages.reading import App, words
from tests.pages.test_cross_validation import note_starts


def test_a_folder_is_predicted_in_a_process_of_its_own(
    open_app: App, home: Settings, with_checkpoint: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = note_starts(monkeypatch)
    app = open_app("predict.py")
    app.segmented_control(key="predict.way").set_value("many").run()
    app.text_input(key="predict.many.folder").set_value(str(phantom_folder / "nothing")).run()
    assert "There is no folder" in words(app)
    app.text_input(key="predict.many.folder").set_value(str(phantom_folder)).run()
    app.button(key="predict.many.start").click().run()
    assert not app.exception
    assert [one.name for one in started] == ["predictions-01"]
    question = started[0].question()
    assert question.source.root == str(phantom_folder)
    assert question.parameters["checkpoint"] == str(with_checkpoint.resolve())


def test_its_table_is_filtered_and_a_study_opens(
    open_app: App, home: Settings, with_checkpoint: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.ask(home, "mine", ask_predictions(with_checkpoint, cohort_source(str(phantom_folder))))
    assert main([str(experiment.folder)]) == 0
    rows = read_predictions(experiment.folder / TABLE)
    app = open_app("predict.py")
    app.segmented_control(key="predict.way").set_value("many").run()
    assert not app.exception
    assert list(app.dataframe[0].value["study_id"]) == [row["study_id"] for row in rows]
    assert "finished" in words(app) or "4 of 4 studies" in app.get("progress")[0].proto.text
    app.text_input(key="predict.many.contains").set_value(rows[2]["study_id"]).run()
    assert list(app.dataframe[0].value["study_id"]) == [rows[2]["study_id"]]
    app.segmented_control(key="predict.many.kind").set_value("failed").run()
    assert "No row is like that." in words(app)
    app.segmented_control(key="predict.many.kind").set_value("all").run()
    monkeypatch.setattr("streamlit.dataframe", lambda table, **_: Selection())
    app.run()
    app.button(key="predict.many.open").click().run(timeout=60)
    assert not app.exception
    assert any(f"Study {rows[2]['study_id']}" in one.value for one in app.header)
    number = app.metric[0].value
    assert float(number) == pytest.approx(float(rows[2]["probability"]), abs=6e-4)


class Selection:
    """A table in which the first row is selected."""

    def __init__(self) -> None:
        self.selection = self
        self.rows = [0]


def test_an_answer_can_be_taken_along(open_app: App, with_checkpoint: Path) -> None:
    app = open_app("predict.py")
    app.button(key="predict.sample").click().run(timeout=60)
    assert not app.exception
    labels = [one.proto.label for one in app.get("download_button")]
    assert {"Report as PDF", "Report as HTML", "Prediction as JSON", "DICOM files (zip)"} <= set(labels)


def test_the_demo_offers_strangers_no_folder_of_this_server(
    open_app: App, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    app = open_app("predict.py")
    assert "many" not in app.segmented_control(key="predict.way").options
    assert not [one for one in app.segmented_control(key="predict.way").options if "Many" in one]
