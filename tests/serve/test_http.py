"""The HTTP interface gives what predict --json gives, refuses in the same words, and keeps nothing."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient

from core.cli.main import main
from core.phantom.study import make_sample_study
from core.serve.http import Desk, create_app
from core.settings import MEBIBYTE, PROJECT_ROOT, Settings

DEMO = PROJECT_ROOT / "checkpoints" / "demo-synthetic.safetensors"
ASK = "/predict?checkpoint=demo-synthetic"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic study."""
    return make_sample_study(tmp_path_factory.mktemp("sample"), seed=21, mgmt_value=1)


@pytest.fixture(scope="module")
def zipped(study: Path) -> bytes:
    """The study as one archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(study.rglob("*.dcm")):
            archive.write(path, path.relative_to(study.parent))
    return buffer.getvalue()


@pytest.fixture
def open_client(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TestClient]:
    """Return a function that starts the application; its uploads go below tmp_path/work."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(work))

    def start(**options: object) -> TestClient:
        limits = options.pop("settings", settings)
        return TestClient(create_app([DEMO], limits, work, **options), base_url="http://localhost")

    return start


def assert_nothing_left(tmp_path: Path) -> None:
    assert list((tmp_path / "work").iterdir()) == []


def test_the_answer_is_that_of_the_command_line(
    open_client: Callable[..., TestClient],
    study: Path,
    zipped: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = open_client().post(ASK, files=[("files", ("scan.zip", zipped))])
    assert answer.status_code == 200, answer.text
    assert_nothing_left(tmp_path)
    archive = tmp_path / "scan.zip"
    archive.write_bytes(zipped)
    capsys.readouterr()
    assert main(["predict", str(DEMO), str(archive), "--json"]) == 0
    assert answer.json() == json.loads(capsys.readouterr().out)
    files = [("files", (str(path.relative_to(study)), path.read_bytes())) for path in sorted(study.rglob("*.dcm"))]
    loose = open_client().post(ASK, files=files).json()
    assert loose["studies"][0]["probability"] == answer.json()["studies"][0]["probability"]


def test_what_a_caller_can_get_wrong(
    open_client: Callable[..., TestClient], settings: Settings, tmp_path: Path
) -> None:
    client = open_client(settings=replace(settings, upload_bytes=2 * MEBIBYTE, upload_files=3))

    def ask(url: str = ASK, name: str = "a.dcm", content: bytes = b"no scan", **options: object) -> tuple[int, str]:
        answer = client.post(url, **(options or {"files": [("files", (name, content))]}))
        assert set(answer.json()) == {"error", "detail"}
        return answer.status_code, answer.json()["detail"]

    for found, status, said in (
        (ask(), 422, "a.dcm"),
        (ask(name="../a.dcm"), 422, "leads out"),
        (ask(url="/predict?checkpoint=none"), 404, "demo-synthetic"),
        (ask(url="/predict?checkpoint=/etc/passwd"), 404, "demo-synthetic"),
        (ask(url="/predict"), 422, "checkpoint"),
        (ask(url="/nothing"), 404, "POST /nothing is not served. See /openapi.json."),
        (ask(url="/health"), 405, "See /openapi.json."),
        (ask(url=f"{ASK}&sequence=CT"), 422, "sequence"),
        (ask(content=b"0" * 4 * MEBIBYTE), 413, "2 MB"),
        (ask(content=b"0" * int(2.5 * MEBIBYTE)), 413, "2 MB"),
        (ask(files=[("files", (f"{number}", b"0")) for number in range(5)]), 413, "files"),
        (ask(content=b"{}", headers={"content-type": "application/json"}, json={}), 415, "multipart/form-data"),
        (ask(data={"other": "1"}, files=[("x", ("a", b"0"))]), 422, "'files'"),
    ):
        assert found[0] == status, found
        assert said in found[1], found
    assert_nothing_left(tmp_path)


def test_an_upload_of_unstated_length_is_cut_off(open_client: Callable[..., TestClient], settings: Settings) -> None:
    client = open_client(settings=replace(settings, upload_bytes=2 * MEBIBYTE))
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'

    def endless() -> Iterator[bytes]:
        yield head
        for _ in range(50):
            yield b"0" * MEBIBYTE

    answer = client.post(ASK, content=endless(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413


def test_who_may_ask(open_client: Callable[..., TestClient]) -> None:
    client = open_client(token="a long secret word")
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/checkpoints").status_code == 401
    assert client.get("/checkpoints", headers={"authorization": "Bearer wrong"}).status_code == 401
    right = {"authorization": "Bearer a long secret word"}
    assert [one["name"] for one in client.get("/checkpoints", headers=right).json()] == ["demo-synthetic"]
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/checkpoints", headers={**right, "origin": "http://evil.example"}).status_code == 403
    assert client.get("/checkpoints", headers={**right, "origin": "http://localhost"}).status_code == 200


def test_one_too_many_is_told_when_to_come_again(
    open_client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, str]] = []
    client = open_client(places=1)

    def ask_in_between(self: Desk, name: str) -> None:
        answer = client.post(ASK, files=[("files", ("a", b"0"))])
        seen.append((answer.status_code, answer.headers["retry-after"]))
        raise KeyError

    monkeypatch.setattr("core.serve.http._predict", lambda desk, name, *_, **__: ask_in_between(desk, name))
    with pytest.raises(KeyError):
        client.post(ASK, files=[("files", ("a", b"0"))])
    assert seen == [(429, "5")]
    assert client.get("/health").json()["predicting"] == 0


@pytest.mark.slow
def test_it_keeps_to_what_it_describes(open_client: Callable[..., TestClient], tmp_path: Path) -> None:
    """Schemathesis asks within and outside the schema: no answer is a server's error, or none that is described."""
    app = open_client(hosts=("testserver", "localhost")).app
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    asked = []

    def check(case: schemathesis.Case) -> None:
        asked.append(case.path)
        case.call_and_validate()

    limits = hypothesis.settings(
        max_examples=12, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    for operation in schema.get_all_operations():
        limits(hypothesis.seed(0)(hypothesis.given(operation.ok().as_strategy())(check)))()
    assert set(asked) == {"/health", "/checkpoints", "/predict"}
    assert_nothing_left(tmp_path)
