"""The Cohort page: a person overrules what was recognized, and what he says goes with the runs that start from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.data.cohort import scan_cohort
from core.mri import MRSequence
from core.runs.folder import list_runs
from core.settings import Settings
from tests.pages.reading import App, words


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a person changes in the table of series: AppTest cannot edit one. {"row": ..., "sequence": ...}."""
    change: dict[str, Any] = {}

    def edited(rows: Any, **options: Any) -> Any:
        assert "sequence" not in options["disabled"]
        rows = rows.copy()
        if change:
            rows.loc[change["row"], "sequence"] = change["sequence"]
        return rows

    monkeypatch.setattr("ui.widgets.study_view.st.data_editor", edited)
    return change


def test_a_sequence_is_overruled_and_recognized_anew(
    open_app: App, phantom_folder: Path, edit: dict[str, Any], home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.queue.ensure_worker", lambda settings: None)
    study = scan_cohort(phantom_folder).studies[0]
    first = study.series[0]
    app = open_app("cohort.py", phantom_folder)
    assert app.button(key="cohort.assign").disabled
    edit.update(row=0, sequence="T2w")
    app.run()
    app.button(key="cohort.assign").click()
    edit_once(app, edit)
    assert not app.exception
    assert app.session_state["cohort"].assign == ((first.series_uid, MRSequence.T2W),)
    text = words(app)
    assert "has 2 series of T2w" in text.replace("\\", "")
    assert "1 series of this cohort are named by you" in text
    assert f"**{MRSequence.T2W}**" in text
    assert f"**{first.sequence}**" not in text, "the viewer says what the person says"
    app.switch_page("pages/train.py").run()
    app.button(key="train.start").click().run()
    (entry,) = list_runs(home)
    assert entry.run.source.assign == ((first.series_uid, MRSequence.T2W),)
    app.switch_page("pages/cohort.py").run()
    app.button(key="cohort.unassign").click().run()
    assert not app.exception
    assert app.session_state["cohort"].assign == ()
    for key, left in (("cohort.undo", 1), ("cohort.undo.all", 0), ("cohort.undo", 1), ("cohort.undo", 0)):
        app.button(key=key).click().run()
        assert not app.exception
        assert len(app.session_state["cohort"].assign) == left
    assert not [button for button in app.button if str(button.key).startswith("cohort.undo")]


def edit_once(app: Any, edit: dict[str, Any]) -> None:
    """Let the click take the change; the table that is drawn afterwards begins unchanged, as its key is another."""
    import ui.cohort.choose

    take = ui.cohort.choose._take

    def taken(source: Any) -> None:
        edit.clear()
        take(source)

    ui.cohort.choose._take = taken
    try:
        app.run()
    finally:
        ui.cohort.choose._take = take
