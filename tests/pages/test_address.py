"""What a session chose is in the address: a reload, or a link, finds cohort, overrides, scan and checkpoint again."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from core.mri import MRSequence
from core.runs.records import DataSource
from core.settings import PROJECT_ROOT, Settings
from ui.widgets.address import PARAMETER
from ui.widgets.state import Scan


def start(**query: str) -> AppTest:
    app = AppTest.from_file(str(PROJECT_ROOT / "streamlit_app.py"), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return app


def test_another_session_with_the_same_address_has_the_same_choices(home: Settings, phantom_folder: Path) -> None:
    source = DataSource(root=str(phantom_folder), assign=(("1.2.3", MRSequence.T2W),))
    app = start()
    app.session_state["cohort"], app.session_state["scan"] = source, Scan(kind="study", place="10001")
    app.session_state["checkpoint"] = "a.safetensors"
    app.run()
    assert not app.exception
    (name,) = [path.stem for path in (home.home / "links").iterdir()]
    assert app.query_params[PARAMETER] == name
    again = start(open=name).run()
    assert not again.exception
    assert again.session_state["cohort"] == source
    assert again.session_state["scan"] == Scan(kind="study", place="10001")
    assert again.session_state["checkpoint"] == "a.safetensors"


def test_an_upload_is_not_kept_and_a_strange_address_chooses_nothing(home: Settings, tmp_path: Path) -> None:
    app = start()
    app.session_state["scan"] = Scan(kind="upload", place="/tmp/secret-place")
    app.run()
    assert not app.exception
    assert PARAMETER not in app.query_params
    assert not (home.home / "links").exists()
    (home.home / "links").mkdir(parents=True)
    (home.home / "links" / f"{'a' * 16}.json").write_text('{"cohort": 5}')
    for name in ("../../etc/passwd", "f" * 16, "a" * 16):
        app = start(open=name).run()
        assert not app.exception
        assert "cohort" not in app.session_state
