"""The page of several cohorts: what it found, how far it is, what it starts, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.experiments.external.parameters import ExternalParameters
from core.jobs.experiment import Experiment
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import CONFIG
from tests.pages.reading import App, words
from tests.pages.test_cross_validation import note_starts
from tests.ui.external_results import make_external


def begin(home: Settings, data: Path, result: dict[str, Any] | None = None) -> Path:
    """A question as its command leaves it."""
    folder = home.experiments / "outside"
    folder.mkdir(parents=True)
    source = DataSource(root=str(data))
    parameters = ExternalParameters(checkpoint="/mine.safetensors", sha256="0", cohorts=(source, source))
    question = {
        "kind": "external",
        "parameters": parameters.model_dump(mode="json"),
        "config": CONFIG.model_dump(mode="json"),
        "source": source.model_dump(mode="json"),
        "created": "2026-01-01T00:00:00+00:00",
    }
    (folder / "question.json").write_text(json.dumps(question))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.mark.parametrize("left_out", [False, True])
def test_a_result_tells_the_mean_each_cohort_and_who_was_dropped(
    left_out: bool, open_app: App, home: Settings, phantom_folder: Path
) -> None:
    result = make_external(left_out=left_out)
    begin(home, phantom_folder, result)
    app = open_app("external.py", phantom_folder)
    assert not app.exception
    assert not app.error
    assert app.metric[0].value == f"{result['mean']['value']:.3f}"
    text = words(app)
    assert "n = 3 cohorts" in text
    assert "(95% prediction)" in text
    assert list(app.dataframe[0].value["overlap removed"]) == [0, 2, 0]
    assert app.dataframe[0].value["Calibration slope"][2] == "none: the classes are separated"
    assert list(app.dataframe[1].value["known by"]) == ["equal pixels"] * 2
    assert ("Trained on, evaluated on" in text) == left_out


def test_one_that_was_stopped_says_how_far_it_is_and_is_resumed(
    open_app: App, home: Settings, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin(home, phantom_folder)
    (folder / "cohorts").mkdir()
    (folder / "cohorts" / "01.json").write_text("{}")
    started = note_starts(monkeypatch)
    app = open_app("external.py", phantom_folder)
    assert "1 of 2 cohorts evaluated" in app.get("progress")[0].proto.text
    app.button(key="external.outside.go_on").click().run()
    assert not app.exception
    assert [one.folder for one in started] == [folder]


def test_the_form_starts_what_it_shows(
    open_app: App, home: Settings, phantom_folder: Path, with_checkpoint: Path, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    started: list[Experiment] = note_starts(monkeypatch)
    (tmp_path / "other").mkdir()
    app = open_app("external.py", phantom_folder)
    app.text_area(key="external.cohorts").set_value(f"{phantom_folder}\n{tmp_path / 'other'}\n").run()
    assert not app.exception
    app.button(key="external.start").click().run()
    (experiment,) = started
    question = experiment.question()
    assert question.kind == "external"
    assert [one["root"] for one in question.parameters["cohorts"]] == [str(phantom_folder), str(tmp_path / "other")]
    assert experiment.name.startswith("external-")

    app = open_app("external.py", phantom_folder)
    app.segmented_control(key="external.what").set_value("Leave one out").run()
    app.text_area(key="external.left").set_value(f"{phantom_folder}\n{tmp_path / 'other'}\n")
    app.toggle(key="external.matrix").set_value(True).run()
    app.button(key="external.start").click().run()
    question = started[1].question()
    assert question.kind == "leave_one_cohort_out"
    assert question.parameters["matrix"] is True
    assert [one.root for one in (question.source, *question.source.joined)] == [
        str(phantom_folder),
        str(tmp_path / "other"),
    ]


def test_a_folder_that_is_not_there_is_one_error(open_app: App, phantom_folder: Path, with_checkpoint: Path) -> None:
    app = open_app("external.py", phantom_folder)
    app.text_area(key="external.cohorts").set_value("/nowhere/at/all").run()
    assert not app.exception
    assert len(app.error) == 1
    assert "There is no folder" in app.error[0].value.replace("\\", "")
