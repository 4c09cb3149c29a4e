"""In hosted mode a visitor names no server path and sees nobody else's runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.runs.folder import RunFolder
from core.settings import PROJECT_ROOT
from tests.pages.reading import App, words
from ui.widgets.state import TOKEN, Scan


@pytest.fixture(autouse=True)
def hosted(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers use this installation."""
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    monkeypatch.setenv("MGMT_LAB_HOSTED_EPOCHS", "3")
    monkeypatch.setenv("MGMT_LAB_HOSTED_STUDIES", "6")


def test_no_path_can_be_typed(open_app: App, phantom_folder: Path) -> None:
    predict = open_app("predict.py")
    assert "path" not in predict.segmented_control(key="predict.way").options
    assert not any(field.key == "predict.path" for field in predict.text_input)
    cohort = open_app("cohort.py")
    assert not any("folder" in way.lower() for way in cohort.segmented_control(key="cohort.way").options)
    assert not any(field.key == "cohort.root" for field in cohort.text_input)


def test_a_path_that_gets_in_is_refused(open_app: App, phantom_folder: Path) -> None:
    app = open_app("predict.py")
    app.session_state["scan"] = Scan(kind="path", place=str(phantom_folder))
    app.run()
    assert not app.exception
    assert len(app.error) == 1


def token_of(app: AppTest) -> str:
    """The visitor in the address."""
    return "".join(app.query_params["visitor"])


def test_each_visitor_has_a_token_of_his_own_and_keeps_it(open_app: App) -> None:
    first, second = (token_of(open_app("home.py")) for _ in range(2))
    assert first != second
    assert TOKEN.fullmatch(first)
    assert token_of(open_app("home.py", query={"visitor": first})) == first
    assert token_of(open_app("home.py", query={"visitor": "x' OR 1"})) != "x' OR 1"


def test_a_visitor_sees_only_his_own_runs(open_app: App, finished_run: RunFolder) -> None:
    mine = "m" * 43
    assert "No runs yet" in words(open_app("runs.py", query={"run": "done"}))
    assert "No checkpoint yet" in words(open_app("home.py"))
    finished_run.write_status(finished_run.status().model_copy(update={"owner": mine}))
    app = open_app("runs.py", query={"visitor": mine})
    assert not app.exception
    assert "done" in words(app)
    assert "No runs yet" in words(open_app("runs.py", query={"visitor": "o" * 43}))


def test_limits_bound_the_forms(open_app: App, phantom_folder: Path) -> None:
    train = open_app("train.py", phantom_folder)
    assert train.number_input(key="train.honest.epochs").max == 3
    assert open_app("cohort.py").number_input(key="cohort.studies").max == 6


def test_home_and_cohort_do_not_import_torch(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('streamlit_app.py', default_timeout=120).run()\n"
        "assert not app.exception\n"
        "assert not app.switch_page('pages/cohort.py').run().exception\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {"MGMT_LAB_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "MGMT_LAB_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
