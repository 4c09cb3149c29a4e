"""Debian's Orthanc with its DICOMweb plugin, on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests


@contextmanager
def run_orthanc(program: str, plugin: Path, folder: Path) -> Iterator[str]:
    """Start a server that keeps its files in `folder`; yields its address, and ends it."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
    configuration = {
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": ports[0],
        "DicomPort": ports[1], "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [str(plugin)],
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        server = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{ports[0]}"
    try:
        for _ in range(600):
            try:
                requests.get(f"{url}/system", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)
