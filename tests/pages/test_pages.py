"""Every page in three states: nothing loaded, data, data and a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.models.card import replace_card
from core.presets import PRESETS
from core.runs.folder import RunFolder, list_runs
from core.settings import PROJECT_ROOT, Settings
from tests.data.cohorts.trees import write_upenn
from tests.pages.reading import App, make_tiny_cohort, words
from ui.widgets.state import Scan

PAGES = sorted(path.name for path in (PROJECT_ROOT / "pages").glob("*.py"))


def test_there_are_pages() -> None:
    assert {"home.py", "predict.py", "cohort.py", "train.py", "runs.py"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_nothing_loaded_says_what_to_do(page: str, open_app: App) -> None:
    app = open_app(page)
    assert not app.exception
    assert not app.error
    assert ("MGMT promoter methylation" in app.title[0].value) == (page == "home.py")
    assert app.button or app.info


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_data(page: str, open_app: App, phantom_folder: Path) -> None:
    app = open_app(page, phantom_folder)
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_data_and_a_checkpoint(
    page: str, open_app: App, phantom_folder: Path, with_checkpoint: Path, finished_run: RunFolder
) -> None:
    app = open_app(page, phantom_folder)
    assert not app.exception
    assert not app.error


def test_a_public_cohort_shows_its_participants(open_app: App, tmp_path: Path) -> None:
    app = open_app("cohort.py", cohort=write_upenn(tmp_path / "upenn"))
    assert not app.exception
    assert "Participants" in [heading.value for heading in app.subheader]
    reasons = [table.value for table in app.dataframe if "reason" in table.value.columns]
    assert sorted(reasons[0]["study"]) == ["UPENN-GBM-00002_21", "UPENN-GBM-00003_11"]


def test_home_tells_what_it_is_and_that_it_is_for_research(open_app: App) -> None:
    app = open_app("home.py")
    assert "MGMT promoter methylation" in app.title[0].value
    assert "Research use only" in words(app)


def test_the_sample_is_predicted_with_what_to_doubt(open_app: App, with_checkpoint: Path) -> None:
    app = open_app("predict.py")
    app.button(key="predict.sample").click().run()
    assert not app.exception
    assert not app.error
    assert 0 <= float(app.metric[0].value) <= 1
    text = words(app)
    assert "0.800 (0.600 to 0.900), n = 24 patients" in text
    assert "synthetic" in text
    assert "Research use only" in text


def test_a_refused_scan_shows_its_reason_and_no_number_unless_asked(open_app: App, with_checkpoint: Path) -> None:
    refusing = with_checkpoint.with_name("refusing.safetensors")
    shutil.copy(with_checkpoint, refusing)
    replace_card(refusing, lambda card: card.model_copy(update={"name": "refusing", "processing": "raw 1: n4, brain"}))
    with_checkpoint.unlink()
    app = open_app("predict.py")
    app.button(key="predict.sample").click().run()
    assert not app.exception
    assert not app.metric
    text = words(app)
    assert "## No answer" in text
    assert "did not go through the processing" in text
    assert "Process from raw" in text
    assert "Probability of" not in text
    app.toggle[0].set_value(True).run()
    assert not app.exception
    assert not app.metric
    assert any("Probability of methylated: 0." in caption.value for caption in app.caption)


def test_the_sample_is_shown_without_a_checkpoint_too(open_app: App) -> None:
    app = open_app("predict.py")
    app.button(key="predict.sample").click().run()
    assert not app.exception
    assert not app.metric
    assert "Series in this scan" in words(app)


def test_a_study_of_the_cohort_is_predicted(open_app: App, phantom_folder: Path, with_checkpoint: Path) -> None:
    app = open_app("cohort.py", phantom_folder)
    study = next((phantom_folder / "train").iterdir()).name
    app.session_state["scan"] = Scan(kind="study", place=study)
    app.switch_page("pages/predict.py").run()
    assert not app.exception
    assert study in words(app)
    assert app.metric


def test_a_scan_that_cannot_be_read_is_one_error(open_app: App, tmp_path: Path) -> None:
    (tmp_path / "note.dcm").write_text("not a scan")
    app = open_app("predict.py")
    app.session_state["scan"] = Scan(kind="path", place=str(tmp_path / "note.dcm"))
    app.run()
    assert not app.exception
    assert len(app.error) == 1


def test_a_folder_that_is_not_there_is_one_error_and_the_choice_stays(open_app: App, tmp_path: Path) -> None:
    app = open_app("cohort.py", tmp_path / "nowhere")
    assert not app.exception
    assert len(app.error) == 1
    assert app.button(key="cohort.make")


def test_a_tiny_cohort_is_made_and_loaded(open_app: App, home: Settings) -> None:
    app = make_tiny_cohort(open_app)
    assert [metric.value for metric in app.metric][:3] == ["2", "2", "8"]
    app.button(key="cohort.count").click().run()
    assert not app.exception
    assert "slices are blank" in words(app)


def test_two_clicks_start_one_run(
    open_app: App, phantom_folder: Path, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.queue.ensure_worker", lambda settings: None)
    app = open_app("train.py", phantom_folder)
    app.number_input(key="train.honest.epochs").set_value(1).run()
    app.button(key="train.start").click().run()
    assert not app.exception
    first = list_runs(home)
    assert [entry.status.state for entry in first] == ["queued"]
    assert first[0].run.config.epochs == 1
    app.button(key="train.start").click().run()
    assert list_runs(home) == first
    app.button(key=f"live.{first[0].run.name}.stop").click().run()
    assert [entry.status.state for entry in list_runs(home)] == ["stopped"]


def test_the_leaky_protocol_is_named_so(open_app: App, phantom_folder: Path) -> None:
    app = open_app("train.py", phantom_folder)
    app.selectbox(key="train.preset").set_value("paper").run()
    assert not app.exception
    text = words(app)
    assert "leaky split" in text
    assert "Always saying" in text


def test_a_run_is_found_by_its_address_and_a_made_up_one_is_not(open_app: App, finished_run: RunFolder) -> None:
    assert "done" in words(open_app("runs.py", query={"run": "done"}))
    app = open_app("runs.py", query={"run": "../../etc"})
    assert not app.exception
    assert app.warning


def test_a_run_is_judged_on_validation_and_test_waits_for_a_click(open_app: App, finished_run: RunFolder) -> None:
    app = open_app("runs.py")
    assert not app.exception
    assert "Validation patients chose the epoch" in words(app)
    assert not (finished_run.path / "evaluation-test.json").exists()


def test_a_failed_run_tells_its_ways_out(open_app: App, finished_run: RunFolder) -> None:
    message = "The ImageNet weights cannot be fetched; give a local file, or choose weights=none."
    finished_run.write_status(finished_run.status().model_copy(update={"state": "failed", "message": message}))
    app = open_app("train.py", query={"run": "done"})
    assert not app.exception
    assert message.split(";")[0] in words(app)


def test_a_run_like_another_starts_from_its_values(open_app: App, finished_run: RunFolder) -> None:
    app = open_app("runs.py")
    app.button(key="runs.clone").click().run()
    assert not app.exception
    assert app.title[0].value == "Train"
    config = finished_run.config
    assert app.selectbox(key="train.preset").value == config.preset
    assert app.number_input(key=f"train.clone.{finished_run.name}.epochs").value == config.epochs
    assert app.session_state["cohort"] == finished_run.source
    assert app.session_state["train.clone"] == finished_run.name


def test_a_run_like_another_can_go_back_to_the_preset(open_app: App, finished_run: RunFolder) -> None:
    app = open_app("train.py")
    app.session_state["train.clone"] = finished_run.name
    preset = finished_run.config.preset
    app.selectbox(key="train.preset").set_value(preset).run()
    app.button(key="train.clone.drop").click().run()
    assert not app.exception
    assert "train.clone" not in app.session_state
    assert app.number_input(key=f"train.{preset}.epochs").value == PRESETS[preset].config.epochs
