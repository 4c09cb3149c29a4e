"""DICOMweb servers for tests: one that answers what it is told to, and one that holds a cohort's studies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

JSON, PARTS = "application/dicom+json", "multipart/related; type=application/dicom; boundary=x"
Reply = tuple[int, str, bytes]


@contextmanager
def lying_server(reply: Callable[[str, bytes], Reply]) -> Iterator[tuple[str, list[str]]]:
    """A server that answers what it is told to; yields its address and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self, sent: bytes = b"") -> None:
            asked.append(self.path)
            status, kind, body = reply(self.path, sent)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def part(content: bytes, end: bytes = b"\r\n--x--\r\n") -> bytes:
    return b"--x\r\nContent-Type: application/dicom\r\n\r\n" + content + end


class Archive:
    """A small DICOMweb server: what a cohort's studies hold, and what was pushed."""

    def __init__(self, cohort: Path) -> None:
        self.content: dict[str, list[bytes]] = {}
        self.stored: list[str] = []
        self.studies: list[str] = []
        self.patients: list[str] = []
        self.refuses = self.has_them = False
        for path in sorted((cohort / "train").rglob("*.dcm")):
            header = dcmread(path, stop_before_pixels=True)
            if "FLAIR" in path.parts:
                self.content.setdefault(str(header.StudyInstanceUID), []).append(path.read_bytes())

    def __call__(self, path: str, sent: bytes) -> Reply:
        words = path.partition("?")[0].strip("/").split("/")
        if sent:
            return self._store(sent)
        if len(words) == 1:
            return 200, JSON, json.dumps([{"0020000D": {"Value": [uid]}} for uid in self.content]).encode()
        files = self.content[words[1]]
        if len(words) == 4:
            return 200, PARTS, b"".join(part(one, b"\r\n") for one in files) + b"--x--\r\n"
        series = str(dcmread(BytesIO(files[0]), stop_before_pixels=True).SeriesInstanceUID)
        found = {"0020000E": series, "00080060": "MR", "00201209": len(files), "0008103E": "FLAIR"}
        return 200, JSON, json.dumps([{tag: {"Value": [value]} for tag, value in found.items()}]).encode()

    def _store(self, sent: bytes) -> Reply:
        if self.refuses:
            return 507, JSON, b""
        boundary = sent.partition(b"\r\n")[0]
        bodies = [one.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for one in sent.split(boundary)[1:-1]]
        headers = [dcmread(BytesIO(body), stop_before_pixels=True) for body in bodies]
        uids = [{"00081155": {"Value": [str(header.SOPInstanceUID)]}} for header in headers]
        self.stored += [str(header.SOPInstanceUID) for header in headers]
        self.studies += [str(header.StudyInstanceUID) for header in headers]
        self.patients += [str(header.PatientID) for header in headers]
        if self.has_them:
            failed = [{**uid, "00081197": {"Value": [273]}} for uid in uids]
            return 409, JSON, json.dumps({"00081198": {"Value": failed}}).encode()
        return 200, JSON, json.dumps({"00081199": {"Value": uids}}).encode()
