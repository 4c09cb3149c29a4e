"""From a PACS: what a rule names is listed, fetched and predicted; a hosted demo has it only where its operator says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.reading import App, words
from tests.serve.archive import Archive, lying_server

RULES = 'url = "{url}"\n[[rules]]\nname = "flair"\ncheckpoint = "tiny"\nseries = "*flair*"\n'


def test_a_study_is_listed_fetched_and_predicted(
    open_app: App, with_checkpoint: Path, phantom_folder: Path, tmp_path: Path
) -> None:
    archive = Archive(phantom_folder)
    with lying_server(archive) as (url, _):
        (tmp_path / "rules.toml").write_text(RULES.format(url=url))
        app = open_app("pacs.py")
        app.text_input(key="pacs.rules").set_value(str(tmp_path / "rules.toml")).run()
        app.button(key="pacs.list").click().run()
        assert list(app.dataframe[0].value["study"]) == list(archive.content)
        app.button(key="pacs.open").click().run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "Predict"
    assert next(iter(archive.content)) in words(app)
    assert 0 <= float(app.metric[0].value) <= 1


def test_what_is_wrong_is_said(open_app: App, with_checkpoint: Path, phantom_folder: Path, tmp_path: Path) -> None:
    with lying_server(lambda path, sent: (401, "text/html", b"")) as (url, _):
        (tmp_path / "rules.toml").write_text(RULES.format(url=url))
        app = open_app("pacs.py")
        app.text_input(key="pacs.rules").set_value(str(tmp_path / "none.toml")).run()
        assert "cannot be read" in app.error[0].value
        app.text_input(key="pacs.rules").set_value(str(tmp_path / "rules.toml")).run()
        app.button(key="pacs.list").click().run()
    assert "check user and password" in app.error[0].value


def test_a_hosted_demo_has_only_the_archive_of_its_operator(
    open_app: App, with_checkpoint: Path, phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    app = open_app("pacs.py")
    assert "connected to no archive" in words(app)
    assert not app.text_input
    with lying_server(Archive(phantom_folder)) as (url, _):
        (tmp_path / "rules.toml").write_text(RULES.format(url=url))
        monkeypatch.setenv("MGMT_LAB_PACS", str(tmp_path / "rules.toml"))
        app = open_app("pacs.py")
        app.button(key="pacs.list").click().run()
        assert not app.text_input
        app.button(key="pacs.open").click().run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "Predict"
