"""Who may come in: allowed hosts, the start token, the visitor's cookie, the limit of uploads, security headers."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.runtime import Runtime
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from core.settings import MEBIBYTE, Settings
from ui.server.visitor import COOKIE, make_cookie, read_cookie, visitor_key

START_COOKIE = "mgmt_lab_start"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
UPLOADS = "/_stcore/upload_file/"
FRAMED_BY = "https://huggingface.co https://*.huggingface.co"
"""Who may show a Space within a page of his own."""
MONTH_SECONDS = 30 * 24 * 3600
AT_ONCE = 4
"""Visitors whose uploads may be as large as one may be, all together."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors "
)
"""Streamlit's own scripts need what is called unsafe; pictures and connections to elsewhere are refused."""


def choose_options(settings: Settings) -> None:
    """Set Streamlit's own options where the operator has not: known hosts on a local machine, cookies within a frame."""
    if config.get_option("server.address") in LOOPBACK and not config.get_option("server.allowedHosts"):
        config.set_option("server.allowedHosts", list(LOOPBACK))
    if settings.framed and not config.is_manually_set("server.xsrfCookieSameSite"):
        config.set_option("server.xsrfCookieSameSite", "none")


def choose_token(settings: Settings) -> str:
    """Return the start token, made anew where it is "auto", and print the address that shows it; "" where none is asked for."""
    token = secrets.token_urlsafe(24) if settings.start_token == "auto" else settings.start_token
    if token:
        print(
            f"  This app asks for its token: http://localhost:{config.get_option('server.port')}/?token={token}",
            flush=True,
        )
    return token


class Gate:
    """The outermost layer of the server (an ASGI middleware)."""

    def __init__(self, app: ASGIApp, *, settings: Settings, start_token: str = "") -> None:
        self._app = app
        self._settings = settings
        self._start_token = start_token
        self._key = visitor_key(settings) if settings.hosted else b""
        self._arriving: Counter[str] = Counter()
        self._headers = {
            "content-security-policy": POLICY + ("'self' " + FRAMED_BY if settings.framed else "'self'"),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        refusal = self._refuse(request)
        if refusal is None and scope["type"] == "http" and scope["method"] == "PUT" and UPLOADS in scope["path"]:
            await self._receive_upload(request, scope, receive, self._adding(send, request))
        elif refusal is None:
            await self._app(scope, receive, self._adding(send, request))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, self._adding(send, request))

    def _refuse(self, request: HTTPConnection) -> Response | None:
        if request.url.path.endswith("/_stcore/health"):
            return None
        if not is_host_allowed(request.headers.get("host")):
            return PlainTextResponse(
                "This address is not one of the app's own. Open it at http://localhost with its port, or name the host in "
                "STREAMLIT_SERVER_ALLOWED_HOSTS.\n",
                421,
            )
        if not self._start_token:
            return None
        if hmac.compare_digest(request.cookies.get(START_COOKIE, "").encode(), self._start_token.encode()):
            return None
        if hmac.compare_digest(request.query_params.get("token", "").encode(), self._start_token.encode()):
            rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
            answer = RedirectResponse(request.url.path + (f"?{urlencode(rest)}" if rest else ""), 303)
            answer.set_cookie(START_COOKIE, self._start_token, httponly=True, samesite="lax", path="/")
            return answer
        return PlainTextResponse(
            "This app asks for its start token: open the address with ?token= that it printed when it started.\n", 403
        )

    def _adding(self, send: Send, request: HTTPConnection) -> Send:
        """Add the headers and, on a page, a new visitor's cookie to what is sent."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [_in_frames(*header) for header in message.get("headers", [])]
                headers += [(name.encode(), value.encode()) for name, value in self._headers.items()]
                page = request.scope["type"] == "http" and "text/html" in request.headers.get("accept", "")
                if page and self._key and read_cookie(request.cookies.get(COOKIE, ""), self._key) is None:
                    headers.append((b"set-cookie", self._visitor_cookie(request).encode()))
                message = {**message, "headers": headers}
            await send(message)

        return add

    def _visitor_cookie(self, request: HTTPConnection) -> str:
        secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").split(",")[0].strip())
        where = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
        return f"{COOKIE}={make_cookie(self._key)}; HttpOnly; Path=/; Max-Age={MONTH_SECONDS}; {where}"

    async def _receive_upload(self, request: HTTPConnection, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a file on if its visitor, and all together, do not hold too much of them in memory."""
        session = request.url.path.split(UPLOADS)[1].partition("/")[0]
        size = request.headers.get("content-length", "")
        refusal = (
            PlainTextResponse("The length of the file must be stated.\n", 411)
            if not size.isdigit()
            else self._refuse_upload(session, int(size))
        )
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self._arriving[session] += int(size)
        try:
            await self._app(scope, receive, send)
        finally:
            self._arriving[session] -= int(size)
            self._arriving += Counter()  # drops those at zero

    def _refuse_upload(self, session: str, size: int) -> Response | None:
        if not self._settings.hosted:
            return None
        files: dict[str, dict[str, Any]] = Runtime.instance().uploaded_file_mgr.file_storage  # type: ignore[attr-defined]
        held = {name: sum(len(file.data) for file in several.values()) for name, several in list(files.items())}
        most = self._settings.upload_bytes
        if held.get(session, 0) + self._arriving[session] + size > most + MEBIBYTE:
            return PlainTextResponse(
                f"All files that you hand in may have {most // MEBIBYTE} MB; remove some of them first.\n", 413
            )
        if len(files.get(session, ())) >= self._settings.upload_files:
            return PlainTextResponse(f"At most {self._settings.upload_files} files; remove some of them first.\n", 413)
        if sum(held.values()) + self._arriving.total() + size > AT_ONCE * most:
            return PlainTextResponse(
                "Other visitors' files fill the memory of this demo; try again in a minute.\n",
                503,
                headers={"retry-after": "60"},
            )
        return None


def _in_frames(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Keep Streamlit's cookie against forged requests apart for each site whose frame the app stands in.

    Browsers that block cookies of third parties still take partitioned ones.
    """
    if name == b"set-cookie" and b"SameSite=None" in value and b"Partitioned" not in value:
        return name, value + b"; Partitioned"
    return name, value
