"""Who a visitor of a hosted installation is: a random token in a signed cookie that no script and no link can set."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from core.files import replace_atomically, storage_errors
from core.runs.lock import hold_lock
from core.settings import Settings

COOKIE = "mgmt_lab_visitor"
KEY_BYTES = 32
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")


def visitor_key(settings: Settings) -> bytes:
    """Return the key that signs the cookies of an installation; made at the first call, and kept in its home.

    One that was cut short, as by a full disk, would sign what anybody can forge: it is made anew.
    """
    path = settings.home / ".visitor-key"
    if len(_read_key(path)) < KEY_BYTES:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(path.with_name(f"{path.name}.lock"), "Another server makes the visitors' key; try again.", 30):
            if len(_read_key(path)) < KEY_BYTES:  # else another process was faster, and has signed with it already
                with replace_atomically(path) as beside:
                    beside.touch(mode=0o600, exist_ok=False)
                    beside.write_bytes(secrets.token_bytes(KEY_BYTES))
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    with storage_errors(path):
        return path.read_bytes() if path.is_file() else b""


def make_cookie(key: bytes) -> str:
    """Return the value of a new visitor's cookie."""
    token = secrets.token_urlsafe(32)
    return f"{token}.{_sign(token, key)}"


def read_cookie(value: str, key: bytes) -> str | None:
    """Return the visitor's token of a cookie, or None where this installation did not sign it."""
    token, _, signature = value.partition(".")
    genuine = TOKEN.fullmatch(token) and hmac.compare_digest(signature.encode(), _sign(token, key).encode())
    return token if genuine else None


def _sign(token: str, key: bytes) -> str:
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
