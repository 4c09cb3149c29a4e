"""A visitor of the app without a browser: he talks to the server over its websocket, as the page in a browser does."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from uuid import uuid4

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

from core.settings import PROJECT_ROOT

ANSWER_SECONDS = 900
START_SECONDS = 120
XSRF = "_streamlit_xsrf"


class Visitor:
    """A session on one page; use it in a ``with`` block, whose end closes the page."""

    def __init__(self, port: int, page: str = "predict") -> None:
        self._port, self._page = port, page
        self._cookies: dict[str, str] = {}
        for place in ("", "_stcore/health"):
            request = urllib.request.Request(f"http://localhost:{port}/{place}", headers={"Accept": "text/html"})
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                for text in answer.headers.get_all("set-cookie", []):
                    self._cookies |= {name: one.value for name, one in SimpleCookie(text).items()}
        self._states: dict[str, WidgetState] = {}
        self.elements: list[Any] = []
        """What the last run of the page drew."""

    def __enter__(self) -> Visitor:
        self._stream = connect(
            f"ws://localhost:{self._port}/_stcore/stream",
            subprotocols=["streamlit", self._cookies[XSRF]],  # type: ignore[list-item]
            additional_headers={"Cookie": self._cookie()},
            max_size=None,
            open_timeout=ANSWER_SECONDS,
            ping_interval=None,
        )
        self.run()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close the page."""
        self._stream.close()

    def run(self) -> bool:
        """Run the page with what is chosen; return whether it went well."""
        message = BackMsg()
        message.rerun_script.page_name = self._page
        message.rerun_script.widget_states.widgets.extend(self._states.values())
        self._stream.send(message.SerializeToString())
        self.elements, well = [], True
        while True:
            came = self._receive()
            kind = came.WhichOneof("type")
            if kind == "delta" and came.delta.WhichOneof("type") == "new_element":
                element = came.delta.new_element
                self.elements.append(element)
                well = well and element.WhichOneof("type") != "exception"
            if kind == "script_finished" and came.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                drawn = {getattr(getattr(one, str(one.WhichOneof("type"))), "id", "") for one in self.elements}
                self._states = {name: state for name, state in self._states.items() if name in drawn}
                return well

    def says(self, text: str) -> bool:
        """Whether the text stands anywhere on the page."""
        return any(text.encode() in one.SerializeToString() for one in self.elements)

    def press(self, label: str) -> bool:
        """Press the button whose label begins so, and return whether the run went well."""
        button = next((one.button for one in self._of("button") if one.button.label.startswith(label)), None)
        if button is None:
            raise LookupError(f"no button {label}; the page shows {str(self.elements)[-500:]}")
        self._states[button.id] = WidgetState(id=button.id, trigger_value=True)
        try:
            return self.run()
        finally:
            self._states.pop(button.id, None)

    def choose(self, option: str) -> bool:
        """Choose an option of a segmented control."""
        for element in self._of("button_group"):
            group = element.button_group
            if option in [one.content for one in group.options]:
                self._states[group.id] = WidgetState(id=group.id)
                self._states[group.id].string_array_value.data.append(option)
                return self.run()
        raise LookupError(option)

    def upload(self, files: dict[str, bytes]) -> bool:
        """Hand files in at the page's uploader, and return whether the run went well."""
        uploader = next(one.file_uploader for one in self._of("file_uploader"))
        ask = BackMsg()
        ask.file_urls_request.request_id = uuid4().hex
        ask.file_urls_request.file_names.extend(files)
        self._stream.send(ask.SerializeToString())
        while (came := self._receive()).WhichOneof("type") != "file_urls_response":
            pass
        state = WidgetState(id=uploader.id)
        for (name, content), urls in zip(files.items(), came.file_urls_response.file_urls, strict=True):
            self._put(urls.upload_url, name, content)
            info = state.file_uploader_state_value.uploaded_file_info.add(name=name, size=len(content))
            info.file_id = urls.file_id
            info.file_urls.CopyFrom(urls)
        self._states[uploader.id] = state
        return self.run()

    def _put(self, address: str, name: str, content: bytes) -> None:
        edge = uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        headers = {
            "Cookie": self._cookie(),
            "X-Xsrftoken": self._cookies[XSRF],
            "Content-Type": f"multipart/form-data; boundary={edge}",
        }
        request = urllib.request.Request(
            f"http://localhost:{self._port}{address}", data=body, headers=headers, method="PUT"
        )
        urllib.request.urlopen(request, timeout=ANSWER_SECONDS).close()

    def _of(self, kind: str) -> Iterator[Any]:
        return (one for one in self.elements if one.WhichOneof("type") == kind)

    def _receive(self) -> ForwardMsg:
        return ForwardMsg.FromString(self._stream.recv(timeout=ANSWER_SECONDS))

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())


@contextmanager
def serving(home: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Serve the app for strangers for the length of the block, as the image does: its process and port; its temporary files lie in its home."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    home.mkdir(parents=True, exist_ok=True)
    image = dict(re.findall(r"(PYTHONMALLOC|GLIBC_TUNABLES)=(\S+)", (PROJECT_ROOT / "Dockerfile").read_text()))
    given = {**image, "MGMT_LAB_HOME": str(home), "MGMT_LAB_MODE": "hosted", "TMPDIR": str(home), **environment}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env={**os.environ, **given}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((home / "server.log").read_text()[-2000:])
            time.sleep(0.3)
        yield process, port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2).close()
    except OSError:
        return False
    return True
