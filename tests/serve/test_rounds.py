"""serve dicom: killed anywhere it loses and doubles nothing; servers that lie, hang or cut off are named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import requests
from pydicom import dcmread

from core.cli.main import main
from core.data.formats import dicom
from core.data.formats.untrusted_files import Budget
from core.errors import ConfigError, LimitError, ServerError, StorageError
from core.inference.predict import Predictor
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.serve import dicomweb
from core.serve import rounds as rounds_module
from core.serve.dicomweb import DicomWeb
from core.serve.rounds import RoundResult, Rounds
from core.serve.rules import Rules, read_rules
from core.settings import PROJECT_ROOT, Settings
from tests.jobs.killing import Killer, Kind, killing
from tests.serve.archive import JSON, PARTS, Archive, Reply, lying_server, part
from tests.serve.orthanc import run_orthanc

STUDY, SERIES = "1.2.3", "1.2.3.4"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny synthetic studies."""
    folder = tmp_path_factory.mktemp("pacs") / "cohort"
    make_phantom(folder, PhantomConfig(studies=3, slices=4, size=32, signal=3.0), jobs=1)
    return folder


def series_list(uid: object = STUDY) -> bytes:
    return json.dumps([{"0020000D": {"vr": "UI", "Value": [uid]}}]).encode()


@pytest.mark.parametrize(
    ("reply", "said", "times"),
    [
        ((401, JSON, b""), "check user and password", 1),
        ((404, JSON, b""), "refuses the request", 1),
        ((302, JSON, b""), "refuses the request", 1),
        ((500, JSON, b""), "answers 500, 4 times", 4),
        ((429, JSON, b""), "answers 429, 4 times", 4),
        ((200, "text/html", b"<html>"), "not DICOM JSON", 1),
        ((200, JSON, b'[{"0020'), "cut off, 4 times", 4),
        ((200, JSON, b"[" * 200_000), "cut off, 4 times", 4),
        ((200, JSON, b'{"a": 1}'), "no DICOM JSON", 1),
        ((200, JSON, series_list("../../etc")), "valid UID", 1),
        ((200, JSON, series_list(7)), "valid UID", 1),
    ],
)
def test_a_list_that_is_none(reply: Reply, said: str, times: int, settings: Settings) -> None:
    with lying_server(lambda path, sent: reply) as (url, asked):
        client = DicomWeb(url, settings, wait=lambda seconds: None)
        with pytest.raises(ServerError, match=said):
            client.list_studies({})
        assert len(asked) == times


def test_pages_that_repeat_end(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "PAGE", 1)
    with lying_server(lambda path, sent: (200, JSON, series_list())) as (url, asked):
        assert [one["uid"] for one in DicomWeb(url, settings).list_studies({})] == [STUDY]
        assert len(asked) == 2
    monkeypatch.setattr(dicomweb, "ANSWER_BYTES", 10)
    with (
        lying_server(lambda path, sent: (200, JSON, series_list())) as (url, _),
        pytest.raises(ServerError, match="larger"),
    ):
        DicomWeb(url, settings).list_studies({})


def test_a_scan_that_is_none(cohort: Path, settings: Settings, tmp_path: Path) -> None:
    path = next(cohort.rglob("*.dcm"))
    header, content = dcmread(path), path.read_bytes()
    own = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)

    def fetch(kind: str, body: bytes, names: tuple[str, str] = own, count: int = 1) -> int:
        with lying_server(lambda path, sent: (200, kind, body)) as (url, _):
            client = DicomWeb(url, settings, wait=lambda seconds: None)
            return client.fetch_series(*names, count, tmp_path / "scan", Budget(settings))

    assert fetch(PARTS, part(content)) == 1
    for kind, body, names, count, said in (
        ("application/json", b"{}", own, 1, "not multipart"),
        (PARTS, part(content, b""), own, 1, "cut off"),
        (PARTS, part(content)[:-400], own, 1, "cut off"),
        (PARTS, part(b"no scan"), own, 1, "no DICOM instance"),
        (PARTS, part(content), (STUDY, own[1]), 1, "another study"),
        (PARTS, part(content), (own[0], SERIES), 1, "another study"),
        (PARTS, part(content), own, 2, "1 of 2"),
        (PARTS, b"--x--\r\n", own, 0, "no instance|cut off"),
    ):
        with pytest.raises(ServerError, match=said):
            fetch(kind, body, names, count)
    small = replace(settings, upload_bytes=100)
    with lying_server(lambda path, sent: (200, PARTS, part(content))) as (url, _), pytest.raises(LimitError):
        DicomWeb(url, small).fetch_series(*own, 1, tmp_path / "scan", Budget(small))
    with (
        lying_server(lambda path, sent: (202, JSON, b'{"00081198": {"vr": "SQ", "Value": [{}]}}')) as (url, _),
        pytest.raises(ServerError, match="stored 0 of 1 results and refused 1"),
    ):
        DicomWeb(url, settings).store(own[0], [path])


def test_a_server_that_hangs_or_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "SILENT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerError, match=r"ReadTimeout\), 4 times; see that it runs"):
            DicomWeb(url, settings, wait=lambda seconds: None).list_studies({})
    client = DicomWeb(url, settings, wait=lambda seconds: None)
    for said in (r"ConnectionError\), 4 times; check the address", r"ConnectionError\); check the address"):
        with pytest.raises(ServerError, match=said):
            client.list_studies({})


def test_a_server_that_drips_is_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "WHOLE_SECONDS", 0.05)

    def drip(listener: socket.socket) -> None:
        for _ in range(dicomweb.TRIES):
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n")
                for _ in range(100):
                    connection.sendall(b" ")
                    time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        client = DicomWeb(f"http://127.0.0.1:{listener.getsockname()[1]}", settings, wait=lambda seconds: None)
        started = time.monotonic()
        with pytest.raises(ServerError, match="cut off, 4 times"):
            client.list_studies({})
        assert time.monotonic() - started < 6, "each answer takes two seconds and was waited for"


def test_rules_that_are_wrong_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    answers = 'rules = [{ name = "a", checkpoint = "b" }]'
    for text, said in (
        ("url =", "cannot be read"),
        ("url = 'a'", "rules: Field required"),
        ("odd = 1", "odd: Extra"),
        (
            f'url = "http://a"\nsend = "PACS@host:99999"\n{answers}',
            "host:99999: a port is a whole number of 1 to 65535",
        ),
        (f'listen = "host:0"\npush = "http://a"\n{answers}', "host:0: a port is"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_rules(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_rules(tmp_path / "none.toml")


@contextmanager
def archive_rounds(
    cohort: Path, state: Path, settings: Settings, **more: object
) -> Iterator[tuple[Archive, Callable[[], Rounds]]]:
    """An archive, and what makes rounds over it, as after each start of the process."""
    archive = Archive(cohort)
    with lying_server(archive) as (url, _):
        rules = Rules.model_validate(
            {"url": url, "settle_seconds": 0, "rules": [{"name": "all", "checkpoint": "demo-synthetic"}], **more}
        )
        predictor = Predictor(settings.shipped_checkpoints / "demo-synthetic.safetensors", threads=1)
        yield archive, lambda: Rounds(rules, state, settings, lambda name: predictor, wait=lambda seconds: None)


def test_what_cannot_be_pushed_is_kept_and_pushed_once(cohort: Path, settings: Settings, tmp_path: Path) -> None:
    with archive_rounds(cohort, tmp_path, settings) as (archive, start):
        archive.refuses = True
        assert start().run_once() == RoundResult(waiting=3)
        kept = sorted(path.read_bytes() for path in (tmp_path / "outbox").rglob("*.dcm"))
        assert start().run_once() == RoundResult(waiting=3)
        assert sorted(path.read_bytes() for path in (tmp_path / "outbox").rglob("*.dcm")) == kept
        archive.refuses, archive.has_them = False, True
        damaged = next((tmp_path / "outbox").rglob("*.dcm"))
        uid = dcmread(damaged).SOPInstanceUID
        damaged.write_bytes(b"half")
        assert start().run_once() == RoundResult(pushed=3)
        done = next((tmp_path / "done").iterdir()).stem
        shutil.copytree(cohort / "train", tmp_path / "outbox" / done)  # as by a process that ended after it was done
        assert start().run_once() == RoundResult(done_before=3)
        assert list((tmp_path / "outbox").iterdir()) == []
        assert len(archive.stored) == len(set(archive.stored)) == 3
        assert uid in archive.stored
    found = [json.loads(line)["event"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert sorted(found) == ["failed"] * 6 + ["predicted"] * 4 + ["pushed"] * 3


@pytest.mark.parametrize("place", ["work/tmp", "/scan/", "/results/", "/done/"])
@pytest.mark.parametrize("kind", ["ENOSPC", "EIO"])
def test_a_full_disk_ends_the_round_by_name_and_no_study_is_refused_for_it(
    place: str, kind: Kind, cohort: Path, settings: Settings, tmp_path: Path
) -> None:
    with archive_rounds(cohort, tmp_path, settings) as (archive, start):
        for at in range(3):
            rounds, full = (
                start(),
                Killer(lambda path: path.startswith(str(tmp_path)) and place in path, at, kind, writes=True),
            )
            with killing(full), pytest.raises(StorageError):
                rounds.run_once()
        assert start().run_once().refused == 0
        assert len(set(archive.stored)) == 3
    assert '"refused"' not in (tmp_path / "audit.jsonl").read_text()


def test_a_study_that_grows_is_left_for_later(cohort: Path, settings: Settings, tmp_path: Path) -> None:
    with archive_rounds(cohort, tmp_path, settings, settle_seconds=0.5) as (archive, start):
        rounds = start()
        growing = next(iter(archive.content))
        late = archive.content[growing].pop()
        assert rounds.run_once() == RoundResult(arriving=3)
        time.sleep(0.6)
        archive.content[growing].append(late)
        assert rounds.run_once() == RoundResult(pushed=2, arriving=1)
        time.sleep(0.6)
        assert rounds.run_once() == RoundResult(pushed=1, done_before=2)
        assert sorted(archive.studies) == sorted(archive.content)


def test_a_study_that_kills_the_process_comes_last_and_is_put_off(
    cohort: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with archive_rounds(cohort, tmp_path, settings, identifiers=True) as (archive, start):
        killer = next(iter(archive.content))
        fetch = DicomWeb.fetch_series

        def die(client: DicomWeb, study: str, *rest: object) -> int:
            if study == killer:
                raise SystemExit  # as a process that is killed: nothing that follows is done
            return fetch(client, study, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(DicomWeb, "fetch_series", die)
        for _ in range(rounds_module.UNFINISHED):
            with pytest.raises(SystemExit):
                start().run_once()
        rounds = start()
        assert rounds.run_once() == rounds.run_once() == RoundResult(done_before=2, put_off=1)
        assert len(archive.stored) == 2
        named = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        assert [one["study_uid"] for one in named if one["event"] == "put off"] == [killer]
        assert "ended 3 times" in named[-1]["reason"]
        monkeypatch.setattr(DicomWeb, "fetch_series", fetch)
        monkeypatch.setattr(rounds_module, "PUT_OFF_SECONDS", 0)
        assert rounds.run_once() == RoundResult(done_before=2, pushed=1)
        assert list((tmp_path / "tries").iterdir()) == []


@pytest.mark.parametrize("lost", ["a slice", "the study", "the answer"])
@pytest.mark.parametrize("passes", [True, False])
def test_what_memory_or_the_disk_refuses_is_tried_again_and_not_for_ever(
    lost: str, passes: bool, cohort: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, failing = dicom.build_header, True

    def build(elements: object, path: Path, *rest: object) -> object:
        if failing and "work" in path.parts and (lost == "the study" or path.name == "00000.dcm"):
            raise MemoryError
        return whole(elements, path, *rest)  # type: ignore[arg-type]

    def predict(*arguments: object, **options: object) -> object:
        if failing:
            raise MemoryError
        return answer(*arguments, **options)  # type: ignore[arg-type]

    answer = Predictor.predict
    if lost == "the answer":
        monkeypatch.setattr(Predictor, "predict", predict)
    else:
        monkeypatch.setattr(dicom, "build_header", build)
    with archive_rounds(cohort, tmp_path, settings) as (archive, start):
        for _ in range(rounds_module.UNFINISHED):
            assert start().run_once() == RoundResult(waiting=3)
        assert start().run_once() == RoundResult(put_off=3)
        assert archive.stored == []
        monkeypatch.setattr(rounds_module, "PUT_OFF_SECONDS", 0)
        if passes:
            failing = False
            assert start().run_once() == RoundResult(pushed=3)
        else:
            for _ in range(rounds_module.UNFINISHED, rounds_module.TRIES - 1):
                assert start().run_once() == RoundResult(waiting=3)
            last = RoundResult(pushed=3) if lost == "a slice" else RoundResult(refused=3)
            assert start().run_once() == last, "the last try takes what there is"
        assert start().run_once() == RoundResult(done_before=3)
    assert list((tmp_path / "tries").iterdir()) == []


def test_rounds_in_which_nothing_works_come_ever_later(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MGMT_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(dicomweb, "TRIES", 1)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        archive.refuses = len(pauses) < 3
        if len(pauses) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("core.cli.serve.dicom.time.sleep", lambda seconds: pause(seconds) if seconds > 20 else None)
    archive = Archive(cohort)
    archive.refuses = True
    with lying_server(archive) as (url, _):
        rules = f'url = "{url}"\npoll_seconds = 30\nsettle_seconds = 0\n[[rules]]\nname = "a"\ncheckpoint = "demo-synthetic"\n'
        (tmp_path / "rules.toml").write_text(rules)
        assert main(["serve", "dicom", str(tmp_path / "rules.toml"), "--state", str(tmp_path / "state")]) == 130
    assert pauses == [60, 120, 240, 30, 30]
    assert "3 waiting" in capsys.readouterr().err


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[str]:
    """Debian's Orthanc with its DICOMweb plugin, on loopback."""
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not (plugin.exists() and Path(program).exists()):
        pytest.skip("Orthanc is not installed: apt-get install orthanc orthanc-dicomweb")
    with run_orthanc(program, plugin, tmp_path) as url:
        yield url


@pytest.mark.slow
def test_killed_anywhere_nothing_is_lost_or_doubled(
    orthanc: str, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted((cohort / "train").rglob("*.dcm"))
    for path in paths:
        requests.post(f"{orthanc}/instances", data=path.read_bytes(), timeout=30).raise_for_status()
    (tmp_path / "rules.toml").write_text(
        f'url = "{orthanc}/dicom-web"\nsettle_seconds = 0\n[[rules]]\nname = "all"\ncheckpoint = "demo-synthetic"\nseries = "*flair*"\nobjects = ["sr", "sc"]\n'
    )
    state = tmp_path / "state"
    words = ["-m", "core", "serve", "dicom", str(tmp_path / "rules.toml"), "--state", str(state), "--once", "--json"]
    environment = {**os.environ, "MGMT_LAB_HOME": str(tmp_path / "home"), "MGMT_LAB_THREADS": "1"}
    for moment in ("outbox/*/*.dcm", "done/*.json"):
        work = subprocess.Popen([sys.executable, *words], cwd=PROJECT_ROOT, env=environment, stdout=subprocess.DEVNULL)
        while work.poll() is None and not list(state.glob(moment)):
            time.sleep(0.001)
        work.kill()
        assert work.wait() == -signal.SIGKILL, f"it ended before there was {moment}"
    out = subprocess.run(
        [sys.executable, *words], cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True
    ).stdout
    result = json.loads(out)
    assert (result["pushed"] + result["done_before"], result["waiting"], result["refused"]) == (3, 0, 0)
    studies = {str(dcmread(path, stop_before_pixels=True).StudyInstanceUID) for path in paths}
    for study in studies:
        found = requests.get(f"{orthanc}/dicom-web/studies/{study}/series", timeout=30).json()
        made = [one["00080060"]["Value"][0] for one in found]
        reports = [one for one in found if one["00080060"]["Value"][0] == "SR"]
        assert len(reports) == 1, made
        instances = requests.get(
            f"{orthanc}/dicom-web/studies/{study}/series/{reports[0]['0020000E']['Value'][0]}/instances", timeout=30
        ).json()
        assert len(instances) == 1
    monkeypatch.setenv("MGMT_LAB_HOME", str(tmp_path / "home"))
    capsys.readouterr()
    assert main(words[2:]) == 0
    assert json.loads(capsys.readouterr().out) == asdict(RoundResult(done_before=3))
    log = (state / "audit.jsonl").read_text()
    assert sum(json.loads(line)["event"] == "pushed" for line in log.splitlines()) >= 3
    assert not any(study in log for study in studies)
    assert list((state / "outbox").iterdir()) == []
