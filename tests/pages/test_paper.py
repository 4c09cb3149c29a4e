"""The Paper page: the claims as claims, one click to a twin run, and the sentence at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.experiments.run import run_experiment
from core.experiments.twin.pair import list_pairs
from core.jobs.experiment import Display, Experiment, RunOptions
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import make_record
from tests.pages.reading import App, words
from tests.phantoms import copy_phantom
from ui.cohort import synthetic
from ui.paper import twin_start
from ui.paper.twin_start import DEMO


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing trains in the background of a test."""
    monkeypatch.setattr("core.experiments.twin.pair.ensure_worker", lambda settings: None)
    monkeypatch.setattr("ui.runs.runs.wake_queue", lambda: None)
    monkeypatch.setattr(synthetic, "make_phantom", copy_phantom)
    monkeypatch.setattr(twin_start, "DEMO", DEMO.model_copy(update={"studies": 16, "slices": 8, "size": 32}))
    monkeypatch.setattr(twin_start, "QUICK_SETTINGS", ("weights=none", "size_px=32", "slice_count=4", "epochs=1"))


def figure(value: float) -> dict[str, object]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 32}


def test_the_claims_are_shown_as_claims(open_app: App) -> None:
    app = open_app("paper.py")
    assert not app.exception
    text = words(app)
    assert "90.87%" in text
    assert "does not state its split unit" in text.replace("\n", " ")
    assert "Split unit" in text
    assert "would come out the other way if" in text
    table = app.dataframe[0].value
    assert [frame.value.columns[-1] for frame in app.dataframe[1:]] == ["top-5, torchvision", "152 layers"]
    assert list(table["the paper's claim"]) == ["60.49%", "93.00%", "3.0781", "0.5954", "2.2196", "1.7253", "90.87%"]


def test_a_run_stands_beside_the_claims(open_app: App, finished_run: RunFolder) -> None:
    app = open_app("paper.py")
    table = app.dataframe[0].value
    shown = list(table["this run"])[:3]
    assert [text.partition(" ")[0] for text in shown] == ["50.0%", "50.0%", "0.700"]
    assert all("no interval" in text for text in shown)
    assert "not a reproduction" in words(app).replace("\n", " ")


def test_one_click_starts_a_twin_run_on_a_cohort_made_for_it_and_a_second_does_not(
    open_app: App, home: Settings
) -> None:
    app = open_app("paper.py")
    app.button(key="paper.twin.start").click().run()
    assert not app.exception
    assert not app.error
    pairs = list_pairs(home)
    assert len(pairs) == 1
    assert {run.status().state for run in pairs[0].runs.values()} == {"queued"}
    app.button(key="paper.twin.start").click().run()
    assert len(list_pairs(home)) == 1
    app.button(key=f"paper.{pairs[0].name}.stop").click().run()
    assert not app.exception
    assert {run.status().state for run in pairs[0].runs.values()} == {"stopped"}


def test_a_cohort_too_small_for_the_lesson_is_told_so_and_offered_the_one_made_for_it(
    open_app: App, home: Settings, phantom_folder: Path
) -> None:
    app = open_app("paper.py", phantom_folder)
    assert "2 patients of its rarer class" in words(app)
    app.button(key="paper.twin.made").click().run()
    assert not app.exception
    assert not app.error
    (pair,) = list_pairs(home)
    assert "for-the-twin-run" in pair.runs["slice_split"].source.root
    assert app.session_state["cohort"] == DataSource(root=str(phantom_folder))


def test_shuffled_labels_are_another_question(open_app: App, home: Settings) -> None:
    app = open_app("paper.py")
    app.toggle(key="paper.twin.shuffle").set_value(True).run()
    app.number_input(key="paper.twin.seed").set_value(3).run()
    app.button(key="paper.twin.start").click().run()
    assert not app.exception
    assert list_pairs(home)[0].runs["slice_split"].source.shuffle_seed == 3


def test_a_finished_pair_ends_in_its_sentence(open_app: App, home: Settings) -> None:
    app = open_app("paper.py")
    app.button(key="paper.twin.start").click().run()
    pair = list_pairs(home)[0]
    for run in pair.runs.values():
        run.append_epoch(make_record(1))
        run.write_status(run.status().model_copy(update={"state": "finished", "best_epoch": 1}))
    level = {"accuracy": figure(0.9), "auroc": figure(0.95)}
    arm = {"slice": level, "patient": level}
    found = {
        "slice_split": arm, "patient_split": arm, "difference": {"slice": level}, "validation": {"patient_split": arm},
        "sentence": "On the same 32 test slices the figures differ.", "synthetic": True,
    }  # fmt: skip
    (pair.runs["slice_split"].path / "twin-result.json").write_text(json.dumps(found))
    app.run()
    assert not app.exception
    text = words(app)
    assert "On the same 32 test slices" in text
    assert "The scans are synthetic" in text
    assert "0.900 (0.800 to 1.000)" in app.dataframe[0].value["no siblings"].iloc[0]


@pytest.mark.parametrize("section", ["leak", "twin", "random", "permutation", "shortcuts"])
def test_each_control_says_what_would_turn_it(open_app: App, section: str, phantom_folder: Path) -> None:
    for cohort in (None, phantom_folder):
        app = open_app("validity.py", cohort, query={"section": section})
        assert not app.exception
        assert not app.error
        assert "It would come out the other way if" in words(app)


def test_the_leak_is_measured_by_another_process_and_every_session_finds_the_answer(
    open_app: App, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.phantom.config import PhantomConfig

    copy_phantom(tmp_path / "more", PhantomConfig(studies=12, slices=4, size=32))
    started: list[str] = []
    monkeypatch.setattr("core.jobs.experiment.start_detached", lambda module, folder, **_: started.append(folder))
    app = open_app("validity.py", tmp_path / "more", query={"section": "leak"})
    app.button(key="validity.leak.start").click().run()
    assert not app.exception
    (folder,) = started
    assert "It goes on when you leave the page" in words(app)
    run_experiment(Experiment(Path(folder)), home, RunOptions(), Display())
    app = open_app("validity.py", tmp_path / "more", query={"section": "leak"})
    assert not app.exception
    assert "shuffled among the patients" in words(app)
    assert "12 synthetic patients" in words(app)
    assert app.button(key="validity.leak.start").label == "Measure again"


def test_a_measurement_that_failed_says_why(
    open_app: App, phantom_folder: Path, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(module: str, folder: str, *, log: Path, **_: object) -> None:
        log.write_text("error: The leak meter needs at least 10 labelled patients.\n")

    monkeypatch.setattr("core.jobs.experiment.start_detached", fail)
    app = open_app("validity.py", phantom_folder, query={"section": "leak"})
    app.button(key="validity.leak.start").click().run()
    assert not app.exception
    assert "at least 10 labelled patients" in app.error[0].value
