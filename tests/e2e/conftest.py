"""A server of the app's own, on a free port and an empty home, and a browser."""

from __future__ import annotations

import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.cli.main import main
from core.reports.web_page import VENDOR, WEB
from tests.e2e.driving import Server, Visit

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (requirements-dev.txt)")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app on a free port, ended with every process that it started."""
    server = Server(home=tmp_path_factory.mktemp("home"), port=free_port())
    server.start()
    yield server
    for run in (server.home / "runs").glob("*/config.json"):
        (run.parent / "stop").touch()
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[playwright.Browser]:
    """Debian's chromium."""
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(server: Server, browser: playwright.Browser) -> Iterator[Callable[..., Visit]]:
    """Open tabs; what they wrote to the console as an error is held against them at the end."""
    visits: list[Visit] = []

    def open_tab(width: int = 1440, scheme: str = "light") -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab = Visit(page=context.new_page(), url=server.url)
        tab.page.set_default_timeout(120_000)  # two busy cores may take their time; a page that hangs is still found
        tab.page.on("console", tab.note)
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        visits.append(tab)
        return tab

    yield open_tab
    complaints = [complaint for tab in visits for complaint in tab.complaints]
    for tab in visits:
        tab.page.context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the shipped checkpoint."""
    if not all((WEB / "node_modules" / place).is_dir() for place in VENDOR):
        pytest.skip("needs the packages of web/: make web (Node 20)")
    folder = tmp_path_factory.mktemp("web") / "page"
    assert main(["export", "web", "demo-synthetic", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def sample(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    zipfile.ZipFile(built / "sample.zip").extractall(folder)
    return next(folder.iterdir())
