"""The Cohort page writes a de-identified copy and says what is in it."""

from __future__ import annotations

from pathlib import Path

from core.data.cohort import scan_cohort
from core.settings import Settings
from tests.pages.reading import App


def test_a_copy_is_written_and_told(open_app: App, home: Settings, phantom_folder: Path, tmp_path: Path) -> None:
    app = open_app("cohort.py", cohort=phantom_folder)
    assert app.button(key="cohort.share.start").disabled
    app.text_input(key="cohort.share.out").set_value(str(tmp_path / "copy")).run(timeout=60)
    app.button(key="cohort.share.start").click().run(timeout=120)
    assert not app.exception
    assert not app.error
    assert ["files of 4 studies of 4 patients are in" in message.value for message in app.success] == [True]
    assert len(scan_cohort(tmp_path / "copy", jobs=1)) == 4
    app.button(key="cohort.share.start").click().run(timeout=60)
    assert ["is not empty" in error.value for error in app.error] == [True]
