"""A server of the app's own, on a free port and an empty home, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.settings import PROJECT_ROOT

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (requirements-dev.txt)")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@dataclass
class Server:
    """The app, running."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {**os.environ, "MGMT_LAB_HOME": str(self.home), "MGMT_LAB_MODE": "local", "MGMT_LAB_THREADS": "1"}
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(self.port)]
        self.process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1)
            except OSError:
                time.sleep(0.25)
            else:
                return
        raise RuntimeError("the app did not start")

    def stop(self) -> None:
        """End it as a person does with Ctrl-C."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=20)
            self.process = None


@dataclass
class Visit:
    """A browser tab with what it complained about."""

    page: playwright.Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> None:
        """Go to a page and wait until it is drawn."""
        self.page.goto(f"{self.url}/{path}")
        self.page.wait_for_selector("[data-testid=stAppViewContainer]")
        self.settle()

    def settle(self) -> None:
        """Wait until the app has finished drawing."""
        self.page.wait_for_timeout(600)
        self.page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'", timeout=120_000
        )

    def enter(self, label: str, value: str) -> None:
        """Type a number."""
        self.page.get_by_role("spinbutton", name=label, exact=True).fill(value)
        self.page.keyboard.press("Tab")
        self.settle()

    def press(self, name: str) -> None:
        """Click a button."""
        self.page.get_by_role("button", name=name).first.click()
        self.settle()

    def text(self) -> str:
        """Everything that can be read."""
        return str(self.page.inner_text("[data-testid=stMain]"))

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(
            self.page.evaluate(
                "() => Math.max(document.documentElement.scrollWidth,"
                " document.querySelector('[data-testid=stMain]').scrollWidth) - window.innerWidth"
            )
        )


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app on a free port, ended with every process that it started."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    server = Server(home=tmp_path_factory.mktemp("home"), port=port)
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
        tab.page.on("console", lambda message: tab.complaints.append(message.text) if message.type == "error" else None)
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.on("response", lambda answer: forgive_probe(tab, answer))
        visits.append(tab)
        return tab

    yield open_tab
    complaints = [complaint for tab in visits for complaint in tab.complaints]
    for tab in visits:
        tab.page.context.close()
    assert complaints == []


def forgive_probe(tab: Visit, answer: playwright.Response) -> None:
    """Streamlit looks for its server below a deep link first; that 404 is its own way of finding itself."""
    if answer.status == 404 and "/_stcore/" in answer.url:
        tab.page.once("console", lambda message: tab.complaints.remove(message.text) if message.text in tab.complaints else None)
