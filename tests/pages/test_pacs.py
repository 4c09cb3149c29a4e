"""From a PACS: what a rule names is listed, fetched, predicted and sent back; a hosted demo has it only where its operator says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.inference.ensemble import open_predictor
from core.models.catalogue import find_checkpoint
from core.serve.rounds import Rounds
from core.serve.rules import open_target, read_rules
from core.settings import Settings
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


def push(app: AppTest, *, keep_identity: bool = False) -> None:
    """Confirm, and send the answer of the study that was fetched."""
    if keep_identity:
        next(one for one in app.toggle if one.label.startswith("Carry")).set_value(True).run()
    assert app.button(key="pacs.push").disabled, "nothing is sent without a confirmation"
    next(one for one in app.checkbox if one.label.startswith("Write this into")).set_value(True).run()
    app.button(key="pacs.push").click().run()
    assert not app.exception


def test_the_answer_is_sent_back_as_the_command_sends_it(
    open_app: App, home: Settings, with_checkpoint: Path, phantom_folder: Path, tmp_path: Path
) -> None:
    archive = Archive(phantom_folder)
    log = home.home / "pacs" / "audit.jsonl"
    with lying_server(archive) as (url, _):
        (tmp_path / "rules.toml").write_text("settle_seconds = 0\n" + RULES.format(url=url))
        app = open_app("pacs.py")
        app.text_input(key="pacs.rules").set_value(str(tmp_path / "rules.toml")).run()
        app.button(key="pacs.list").click().run()
        app.button(key="pacs.open").click().run()
        assert not app.error
        (study,) = {one for one in archive.content if one in words(app)}
        app.switch_page("pages/pacs.py").run()
        push(app)
        assert not app.error
        assert "The archive has the object" in app.success[0].value
        first = list(archive.stored)
        rules = read_rules(tmp_path / "rules.toml")
        rounds = Rounds(rules, tmp_path / "state", home, lambda name: open_predictor(find_checkpoint(name, home)))
        assert rounds.run_once().pushed == len(archive.content)
        assert first[0] in archive.stored[1:], "the command's result of the same study is the same object"
        app.get("button_group")[0].set_value(["sr", "sc"]).run()
        push(app, keep_identity=True)
        assert not app.error
        assert "The archive has all" in app.success[0].value
    assert archive.studies[0] == archive.studies[-1] == study
    assert archive.stored[-1] != first[0], "one that says whose it is, is another object"
    known = {path.parent.parent.name for path in phantom_folder.rglob("*.dcm")}
    assert archive.patients[0] == ""
    assert archive.patients[-1] in known
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["event"], one["identity"]) for one in entries] == [("pushed", False), ("pushed", True)]
    assert study not in log.read_text()


def test_what_the_archive_refuses_is_said_and_can_be_sent_again(
    open_app: App, home: Settings, with_checkpoint: Path, phantom_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    archive = Archive(phantom_folder)
    waits: list[float] = []
    monkeypatch.setitem(open_target.__kwdefaults__, "wait", waits.append)
    with lying_server(archive) as (url, _):
        (tmp_path / "rules.toml").write_text(RULES.format(url=url))
        app = open_app("pacs.py")
        app.text_input(key="pacs.rules").set_value(str(tmp_path / "rules.toml")).run()
        app.button(key="pacs.list").click().run()
        app.button(key="pacs.open").click().run()
        app.switch_page("pages/pacs.py").run()
        archive.refuses = True
        push(app)
        assert "it answers 507, 4 times" in app.error[0].value
        assert not app.success
        assert len(waits) == 3
        archive.refuses = False
        app.button(key="pacs.push").click().run()
        assert not app.error
        assert app.success
    events = [json.loads(line)["event"] for line in (home.home / "pacs" / "audit.jsonl").read_text().splitlines()]
    assert events == ["failed", "pushed"]


def test_a_hosted_demo_sends_nothing(
    open_app: App, with_checkpoint: Path, phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(phantom_folder)
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    with lying_server(archive) as (url, _):
        (tmp_path / "rules.toml").write_text(RULES.format(url=url))
        monkeypatch.setenv("MGMT_LAB_PACS", str(tmp_path / "rules.toml"))
        app = open_app("pacs.py")
        app.button(key="pacs.list").click().run()
        app.button(key="pacs.open").click().run()
        app.switch_page("pages/pacs.py").run()
    assert "This demo sends nothing" in words(app)
    assert not [one for one in app.button if one.key == "pacs.push"]
