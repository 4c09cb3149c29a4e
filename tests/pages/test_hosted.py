"""In hosted mode a visitor names no server path and sees nobody else's runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from core.runs.folder import RunFolder
from core.settings import PROJECT_ROOT, Settings
from tests.pages.reading import App, make_tiny_cohort, words
from ui.server.visitor import COOKIE, TOKEN, make_cookie, read_cookie, visitor_key
from ui.widgets.state import Scan


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


@pytest.fixture
def come(open_app: App, home: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open a page with a cookie."""

    def open_page(page: str, cookie: str = "", query: dict[str, str] | None = None) -> AppTest:
        monkeypatch.setattr(ContextProxy, "cookies", {COOKIE: cookie} if cookie else {})
        return open_app(page, query=query)

    return open_page


def test_a_visitor_is_known_by_his_signed_cookie_alone(come: Callable[..., AppTest], home: Settings) -> None:
    key = visitor_key(home)
    cookie = make_cookie(key)
    mine = read_cookie(cookie, key)
    assert come("home.py", cookie).session_state["visitor"] == mine
    forged = f"{mine}.{'0' * 64}"
    elsewhere = make_cookie(b"another installation's key")
    for other in ("", forged, elsewhere, mine, "x' OR 1"):
        found = come("home.py", other).session_state["visitor"]
        assert TOKEN.fullmatch(found)
        assert found not in (mine, elsewhere.partition(".")[0])


def test_a_link_makes_nobody_of_its_sender(come: Callable[..., AppTest], home: Settings) -> None:
    app = come("home.py", query={"visitor": "m" * 43})
    assert app.session_state["visitor"] != "m" * 43


def test_a_visitor_sees_only_his_own_runs(
    come: Callable[..., AppTest], home: Settings, finished_run: RunFolder
) -> None:
    key = visitor_key(home)
    cookie = make_cookie(key)
    assert "No runs yet" in words(come("runs.py", cookie, {"run": "done"}))
    assert "No checkpoint yet" in words(come("home.py", cookie))
    finished_run.write_status(finished_run.status().model_copy(update={"owner": read_cookie(cookie, key)}))
    app = come("runs.py", cookie)
    assert not app.exception
    assert "done" in words(app)
    assert "No runs yet" in words(come("runs.py", make_cookie(key)))


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


def test_a_cohort_that_is_made_takes_the_place_of_one_unused(
    open_app: App, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGMT_LAB_HOSTED_CACHE_MB", "1")
    unused = home.cache / "synthetic" / "of another visitor"
    unused.mkdir(parents=True)
    (unused / "pixels").write_bytes(bytes(2**21))
    make_tiny_cohort(open_app)
    assert not unused.exists()
