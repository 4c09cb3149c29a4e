"""The app as a server of its own, and a browser tab that looks at it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page


@dataclass
class Server:
    """The app, running."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Settings that are not those of a local app."""

    @property
    def temporary(self) -> Path:
        """Where it puts what must not stay."""
        return self.home / "tmp"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.temporary.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "MGMT_LAB_HOME": str(self.home),
            "MGMT_LAB_MODE": "local",
            "MGMT_LAB_THREADS": "1",
            "TMPDIR": str(self.temporary),
            **self.environment,
        }
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(self.port)]
        self.process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(240):
            try:
                socket.create_connection(("localhost", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.25)
            else:
                return
        raise RuntimeError("the app did not start")

    def stop(self) -> None:
        """End it as a supervisor does: ask, and kill after a while.

        The web server (uvicorn 0.54 below Streamlit 1.67) waits without limit for the connections of open tabs.
        Now and then one of them never counts as closed, though no thread of the app is at work.
        """
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@dataclass
class Visit:
    """A browser tab with what it complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        """Keep an error of the console; below a deep link Streamlit first probes for its server, which is none."""
        if message.type == "error" and "/_stcore/" not in message.location["url"]:
            self.complaints.append(message.text)

    def open(self, path: str = "") -> None:
        """Go to a page and wait until it is drawn."""
        self.page.goto(f"{self.url}/{path}")
        self.page.wait_for_selector("[data-testid=stAppViewContainer]")
        self.settle()

    def settle(self, first_ms: int = 600) -> None:
        """Wait until the app has finished drawing and its pictures have come: the next run takes them from the server.

        It has `first_ms` to begin.
        """
        self.page.wait_for_timeout(first_ms)
        self.page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
            " && [...document.querySelectorAll('[data-testid=stImage] img')].every(image => image.complete)",
            timeout=120_000,
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
