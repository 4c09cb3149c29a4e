"""The Runs page with several runs: found, tagged, deleted with a way back, exported and imported."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from core.runs import trash as trash_module
from core.runs.bundle import write_bundle
from core.runs.evaluation import evaluate_validation
from core.runs.folder import RunFolder, list_runs
from core.runs.records import UNNAMED, DataSource
from core.runs.tags import RunWords, change_tags, read_tags, read_words
from core.runs.unbundle import ImportNote
from core.settings import Settings
from tests.experiments.judged_runs import make_judged_run
from tests.pages.reading import App, words


@pytest.fixture
def runs(home: Settings) -> list[RunFolder]:
    """Three finished runs; the last one is the newest."""
    return [make_judged_run(home, name, seed=seed) for seed, name in enumerate(("alpha", "beta", "gamma"))]


@pytest.fixture(autouse=True)
def own_trash(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A trash of this test's own, as a server has."""
    monkeypatch.setattr(trash_module, "_open", {})
    yield
    for trash in trash_module._open.values():
        trash.close()


def table(app: AppTest) -> list[str]:
    """Names in the table."""
    return list(app.dataframe[0].value["run"])


def test_the_list_is_narrowed_by_words_state_and_tags(open_app: App, runs: list[RunFolder]) -> None:
    change_tags(runs[0], add=["kept"])
    runs[1].write_status(runs[1].status().model_copy(update={"note": "the second try", "state": "stopped"}))
    app = open_app("runs.py")
    assert table(app) == ["gamma", "beta", "alpha"]
    app.text_input(key="runs.find").set_value("second TRY").run()
    assert table(app) == ["beta"]
    assert "1 of 3 runs" in words(app)
    app.text_input(key="runs.find").set_value("").run()
    app.multiselect(key="runs.states").set_value(["finished"]).run()
    assert table(app) == ["gamma", "alpha"]
    app.multiselect(key="runs.tags").set_value(["kept"]).run()
    assert table(app) == ["alpha"]
    app.multiselect(key="runs.presets").set_value(["honest"]).run()
    assert not app.exception
    assert table(app) == ["alpha"]


def test_a_list_narrowed_to_nothing_can_be_widened(open_app: App, runs: list[RunFolder]) -> None:
    app = open_app("runs.py")
    app.text_input(key="runs.find").set_value("nothing like it").run()
    assert not app.exception
    assert "0 of 3 runs" in words(app)
    app.text_input(key="runs.find").set_value("").run()
    assert len(table(app)) == 3


def test_a_run_is_tagged_on_the_page(open_app: App, runs: list[RunFolder]) -> None:
    change_tags(runs[0], add=["old"])
    app = open_app("runs.py", query={"run": "alpha"})
    (field,) = (field for field in app.multiselect if str(field.key).startswith("runs.tags.alpha"))
    field.set_value([]).run()
    assert not app.exception
    assert read_tags(runs[0]) == ()


def test_a_deleted_run_can_be_brought_back(open_app: App, home: Settings, runs: list[RunFolder]) -> None:
    app = open_app("runs.py", query={"run": "beta"})
    app.button(key="runs.delete").click().run()
    assert not app.exception
    assert table(app) == ["gamma", "alpha"]
    assert "Deleted, until the app stops" in words(app)
    (undo,) = (button for button in app.button if str(button.key).startswith("runs.undo."))
    undo.click().run()
    assert not app.exception
    assert [entry.run.name for entry in list_runs(home)] == ["gamma", "beta", "alpha"]
    assert "".join(app.query_params["run"]) == "beta"


def test_the_last_run_deleted_can_be_brought_back_too(open_app: App, home: Settings) -> None:
    make_judged_run(home, "only")
    app = open_app("runs.py")
    app.button(key="runs.delete").click().run()
    assert "No runs yet" in words(app)
    app.button(key="runs.trash.empty").click().run()
    assert not app.exception
    assert "Deleted, until" not in words(app)
    assert not list((home.runs / ".trash").glob("*/*/only"))


def test_several_runs_are_compared_or_deleted_together(open_app: App, home: Settings, runs: list[RunFolder]) -> None:
    app = open_app("runs.py", query={"run": ["alpha", "gamma"]})
    assert "2 runs" in words(app)
    app.button(key="runs.delete.all").click().run()
    assert [entry.run.name for entry in list_runs(home)] == ["beta"]
    assert len([button for button in app.button if str(button.key).startswith("runs.undo.")]) == 2


def test_the_zip_of_the_button_is_a_whole_run(runs: list[RunFolder], home: Settings) -> None:
    stream = io.BytesIO()
    write_bundle(runs[0], stream, home)
    with zipfile.ZipFile(stream) as archive:
        assert "best.safetensors" in archive.namelist()


def test_an_upload_that_is_no_run_is_one_error(open_app: App, home: Settings, runs: list[RunFolder]) -> None:
    app = open_app("runs.py")
    app.file_uploader(key="runs.import.0").set_value(("run.zip", b"PK not a zip", "application/zip")).run()
    app.button(key="runs.import.go").click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert len(list_runs(home)) == 3


def test_an_imported_run_says_so_and_asks_for_its_data(open_app: App, runs: list[RunFolder]) -> None:
    note = ImportNote(imported="2026-01-01T00:00:00", name="theirs", exported="", data="~/rsna", manifest_sha256="")
    (runs[0].path / "imported.json").write_text(note.model_dump_json())
    (runs[0].path / "data.json").write_text(DataSource(root=UNNAMED).model_dump_json())
    app = open_app("runs.py", query={"run": "alpha"})
    assert not app.exception
    assert "~/rsna" in words(app)
    app.text_input(key="runs.data.alpha").set_value("/nowhere/at/all").run()
    app.button(key="runs.data.alpha.go").click().run()
    assert not app.exception
    assert len(app.error) == 1


def test_a_run_is_named_and_noted_and_found_by_it(open_app: App, runs: list[RunFolder]) -> None:
    runs[0].write_status(runs[0].status().model_copy(update={"note": "as it was started"}))
    app = open_app("runs.py", query={"run": "alpha"})
    assert "as it was started" in words(app)
    app.text_input(key="runs.words.alpha.name").set_value("The ![x](http://evil) one")
    app.text_area(key="runs.words.alpha.note").set_value("worth another look")
    app.button(key="FormSubmitter:runs.words.alpha.form-Keep").click().run()
    assert not app.exception
    assert read_words(runs[0]) == RunWords(name="The ![x](http://evil) one", note="worth another look")
    assert "worth another look" in words(app)
    assert list(app.dataframe[0].value["name"]) == ["", "", "The ![x](http://evil) one"]
    app.text_input(key="runs.find").set_value("another LOOK").run()
    assert table(app) == ["alpha"]


def test_who_was_wrong_stands_first_and_opens_in_the_viewer(open_app: App, runs: list[RunFolder]) -> None:
    app = open_app("runs.py", query={"run": "gamma"})
    (patients,) = (one.value for one in app.dataframe if "answer" in one.value.columns)
    evaluation = evaluate_validation(runs[2])
    table_ = evaluation.tabulate_patients()
    assert list(patients["patient"]) == list(table_["patient"])
    right = [answer == "✓ right" for answer in patients["answer"]]
    assert right == sorted(right)
    assert sum(right) / len(right) == pytest.approx(evaluation.patient["accuracy"].value)
    assert set(table_["patient"]) == set(evaluation.patient_ids)


def test_the_trials_of_a_sweep_are_one_row_that_unfolds(open_app: App, home: Settings, runs: list[RunFolder]) -> None:
    for number in range(3):
        make_judged_run(home, f"mine-{number:03d}", seed=number)
    assert table(open_app("runs.py")) == ["mine-002", "mine-001", "mine-000", "gamma", "beta", "alpha"]
    (home.experiments / "mine").mkdir(parents=True)
    (home.experiments / "mine" / "question.json").write_text("{}")
    app = open_app("runs.py")
    assert table(app) == ["mine: 3 trials", "gamma", "beta", "alpha"]
    assert "3 runs" in words(app)
    app.button(key="runs.fold.mine").click().run()
    assert not app.exception
    assert table(app) == ["mine-002", "mine-001", "mine-000", "gamma", "beta", "alpha"]
    app.button(key="runs.fold.mine").click().run()
    assert table(app)[0] == "mine: 3 trials"
    assert table(open_app("runs.py", query={"run": "mine-001"})).index("mine-001") == 1
