"""Predict processes a scan from raw where it is asked to, shows each step, and says why a scan is refused."""

from __future__ import annotations

from pathlib import Path

from tests.pages.reading import App, words
from ui.widgets.state import Scan


def test_a_scan_is_processed_seen_before_and_after_and_taken_as_it_came_again(
    open_app: App, phantom_folder: Path
) -> None:
    study = sorted((phantom_folder / "train").iterdir())[0]
    app = open_app("predict.py")
    app.session_state["scan"] = Scan(kind="path", place=str(study))
    app.run(timeout=60)
    app.button_group(key="predict.raw.steps").set_value(["orient"]).run(timeout=60)
    app.button(key="predict.raw").click().run(timeout=60)
    said = words(app)
    assert not app.exception
    assert "Before and after" in said or any("Before and after" in one.label for one in app.expander)
    assert "raw 1: orient" in said
    app.button(key="predict.raw.undo").click().run(timeout=60)
    assert "raw 1: orient" not in words(app)


def test_a_scan_that_fails_a_check_is_refused_and_shown_as_it_came(open_app: App, phantom_folder: Path) -> None:
    study = sorted((phantom_folder / "train").iterdir())[0]
    app = open_app("predict.py")
    app.session_state["scan"] = Scan(kind="path", place=str(study / "FLAIR"))
    app.run(timeout=60)
    app.button_group(key="predict.raw.steps").set_value(["brain"]).run(timeout=60)
    app.button(key="predict.raw").click().run(timeout=60)
    assert not app.exception
    assert any("the study has none" in error.value for error in app.error)
