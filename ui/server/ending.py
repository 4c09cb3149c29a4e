"""What stays of a visit: nothing, a few seconds after the page was closed."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime import Runtime
from streamlit.runtime.state import SessionState
from streamlit.web.server.starlette import App

from core.settings import Settings
from ui.predict.sample import warm_sample
from ui.server.workspace import DELETED, sweep

LEFT_SECONDS = 8.0
"""How long a closed page may come back: a reload of the connection, not of the page."""
EVERY_SECONDS = 3.0


@asynccontextmanager
async def watch_sessions(settings: Settings, app: App) -> AsyncIterator[None]:
    """Sweep what killed servers left, compute the sample's answer where visitors share it, and end sessions in time."""
    sweep()
    if settings.hosted:
        threading.Thread(target=warm_sample, daemon=True, name="warm-sample").start()
    task = asyncio.create_task(_end_for_ever(SessionEnd(Runtime.instance())))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class SessionEnd:
    """Closes sessions whose page has gone, and removes what belongs to none."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._gone: dict[str, float] = {}
        self._tidy = 0

    def tick(self, now: float) -> None:
        """Look once; call it on the event loop of the server."""
        manager = self._runtime._session_mgr
        stored = {info.session.id: info.session for info in manager._session_storage.list()}  # type: ignore[attr-defined]
        self._gone = {name: self._gone.get(name, now) for name in stored}
        ended = [name for name, since in self._gone.items() if now - since >= LEFT_SECONDS]
        for name in ended:
            self._runtime.close_session(name)
            # The server's loop keeps the last session that it has sent anything to.
            stored[name]._session_state = SessionState()
            stored[name]._client_state = ClientState()
        uploads, media = self._runtime.uploaded_file_mgr, self._runtime.media_file_mgr
        for name in list(uploads.file_storage):  # type: ignore[attr-defined]
            if manager.get_session_info(name) is None:
                uploads.remove_session_files(name)
        for name in list(media._files_by_session_and_coord):
            if manager.get_session_info(name) is None:
                media.clear_session_refs(name)
        self._tidy = (
            3 if ended or DELETED.is_set() else max(0, self._tidy - 1)
        )  # a download is marked once, and deleted the next time
        DELETED.clear()
        if self._tidy:
            forget_texts()
            media.remove_orphaned_files()
            give_back_memory()


async def _end_for_ever(end: SessionEnd) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            end.tick(time.monotonic())
        except (AttributeError, KeyError, RuntimeError):
            logging.getLogger(__name__).exception("Closed sessions could not be tidied up.")


def forget_texts() -> None:
    """Empty what functions of core.data remember of their last calls: texts of headers, and names of files."""
    for name, module in list(sys.modules.items()):
        if name.startswith("core.data."):
            for function in vars(module).values():
                if hasattr(function, "cache_clear"):
                    function.cache_clear()


def give_back_memory() -> None:
    """Free what only cycles hold, and give free memory back to the system where it has a call for that."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
