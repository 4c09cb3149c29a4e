"""Strange hosts, missing tokens and too large uploads end at the gate; what passes carries the headers."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit import config
from streamlit.runtime import Runtime

from core.settings import MEBIBYTE, Settings
from ui.server.gate import AT_ONCE, Gate, choose_options, choose_token
from ui.server.visitor import COOKIE, make_cookie, read_cookie, visitor_key

PAGE = {"accept": "text/html"}
STREAM = "ws://localhost:8501/_stcore/stream"


async def answer(request: Request) -> PlainTextResponse:
    await request.body()
    reply = PlainTextResponse("the app")
    reply.headers.append("set-cookie", "_streamlit_xsrf=1; Path=/; SameSite=None; Secure")
    return reply


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def visit(settings: Settings, *, host: str = "localhost", **options: Any) -> TestClient:
    """A browser before the gate of an app."""
    routes = [Route("/{rest:path}", answer, methods=["GET", "PUT"]), WebSocketRoute("/_stcore/stream", talk)]
    return TestClient(Gate(Starlette(routes=routes), settings=settings, **options), base_url=f"http://{host}:8501")


@pytest.fixture(autouse=True)
def options() -> Iterator[None]:
    """Streamlit's options are those of the process."""
    names = ("server.allowedHosts", "server.address", "server.xsrfCookieSameSite")
    before = {name: config.get_option(name) for name in names}
    yield
    for name, value in before.items():
        config.set_option(name, value)


def test_a_local_app_answers_to_its_own_names_alone(settings: Settings) -> None:
    config.set_option("server.address", "localhost")
    choose_options(settings)
    for host, status in (("localhost", 200), ("127.0.0.1", 200), ("rebound.example", 421)):
        assert visit(settings, host=host).get("/").status_code == status
    with (
        pytest.raises(WebSocketDisconnect),
        visit(settings).websocket_connect(STREAM.replace("localhost", "rebound.example")),
    ):
        pass
    assert visit(settings, host="rebound.example").get("/_stcore/health").status_code == 200


def test_a_server_for_others_answers_to_any_name_unless_told(settings: Settings) -> None:
    config.set_option("server.address", "0.0.0.0")
    choose_options(settings)
    assert visit(settings, host="lab.example").get("/").status_code == 200


def test_a_start_token_is_asked_for_once(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    token = choose_token(replace(settings, start_token="auto"))
    assert f"?token={token}" in capsys.readouterr().out
    browser = visit(settings, start_token=token)
    assert browser.get("/predict").status_code == 403
    assert browser.get("/predict?token=guess").status_code == 403
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect(STREAM):
        pass
    shown = browser.get(f"/predict?token={token}&run=a", follow_redirects=False)
    assert (shown.status_code, shown.headers["location"]) == (303, "/predict?run=a")
    assert browser.get("/predict").status_code == 200
    with browser.websocket_connect(STREAM):
        pass
    assert choose_token(settings) == ""


def test_headers_are_on_every_answer(settings: Settings) -> None:
    for framed in (False, True):
        headers = visit(replace(settings, framed=framed)).get("/media/a.png").headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "img-src 'self' data: blob:;" in policy
        assert ("huggingface.co" in policy) == framed


def test_a_hosted_visitor_gets_a_cookie_once(settings: Settings) -> None:
    hosted = replace(settings, mode="hosted")
    browser = visit(hosted)
    assert COOKIE not in browser.get("/media/a.png").headers["set-cookie"]
    first = browser.get("/", headers=PAGE)
    assert read_cookie(browser.cookies[COOKIE], visitor_key(hosted))
    assert "HttpOnly" in first.headers["set-cookie"]
    assert COOKIE not in browser.get("/", headers=PAGE).headers["set-cookie"]
    secure = visit(hosted).get("/", headers={**PAGE, "x-forwarded-proto": "https"}).headers["set-cookie"]
    assert secure.count("SameSite=None; Secure; Partitioned") == 2  # ours, and Streamlit's against forged requests
    assert COOKIE not in visit(settings).get("/", headers=PAGE).headers["set-cookie"]


def test_uploads_of_one_and_of_all_are_counted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    hosted = replace(settings, mode="hosted", upload_bytes=2 * MEBIBYTE, upload_files=3)
    held: dict[str, dict[str, SimpleNamespace]] = {}
    manager = SimpleNamespace(uploaded_file_mgr=SimpleNamespace(file_storage=held))
    monkeypatch.setattr(Runtime, "instance", lambda: manager)
    one = SimpleNamespace(data=b"0" * MEBIBYTE)

    def put(session: str, size: int = MEBIBYTE, where: Settings = hosted) -> int:
        return visit(where).put(f"/_stcore/upload_file/{session}/f", content=b"0" * size).status_code

    assert put("a") == 200
    held["a"] = {"1": one, "2": one}
    assert put("a") == 200  # the widget's own limit is that of one upload; its files and their headers fit
    held["a"]["3"] = one
    assert put("a") == 413
    held["a"] = {name: SimpleNamespace(data=b"") for name in "123"}
    assert put("a", 1) == 413  # too many files
    assert put("a", 1, settings) == 200  # a local app counts what it reads, not what it is sent
    held.update({str(number): {"1": one, "2": one} for number in range(AT_ONCE)})
    refused = visit(hosted).put("/_stcore/upload_file/b/f", content=b"0")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    chunked = visit(hosted).put("/_stcore/upload_file/b/f", content=iter([b"0"]))
    assert chunked.status_code == 411


def test_two_servers_that_start_at_once_have_one_key(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins while the first draws its key: it must not sign with another, whichever is written last."""
    found: list[bytes] = []
    second = threading.Thread(target=lambda: found.append(visitor_key(settings)))

    def draw(count: int) -> bytes:
        monkeypatch.undo()
        second.start()
        second.join(0.3)  # without a lock it is done by then
        return secrets.token_bytes(count)

    monkeypatch.setattr("ui.server.visitor.secrets.token_bytes", draw)
    first = visitor_key(settings)
    second.join()
    assert found == [first] == [visitor_key(settings)]


def test_a_key_that_was_cut_short_is_made_anew(settings: Settings) -> None:
    key = visitor_key(settings)
    for left in (0, 7):
        (settings.home / ".visitor-key").write_bytes(key[:left])
        assert len(visitor_key(settings)) == len(key)
        assert read_cookie(make_cookie(key[:left]), visitor_key(settings)) is None
    assert (settings.home / ".visitor-key").stat().st_mode & 0o777 == 0o600
