"""Studies sent by C-STORE are kept, answered and sent on; what is no image, another sender or a node that refuses is named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from pydicom import dcmread

from core.data.formats.untrusted_files import Budget
from core.errors import ConfigError, LimitError, ServerError
from core.inference.predict import Predictor
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.serve import rounds as rounds_module
from core.serve.cstore import NO_SPACE, NOT_OURS, Inbox, Node
from core.serve.rounds import RoundResult, Rounds
from core.serve.rules import Rules, open_client
from core.settings import PROJECT_ROOT, Settings
from tests.jobs.killing import Killer, killing
from tests.serve.test_rounds import orthanc  # noqa: F401 - a fixture

RULES = {"settle_seconds": 0, "rules": [{"name": "all", "checkpoint": "demo-synthetic", "series": "*flair*"}]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The FLAIR of two tiny synthetic studies, four slices each."""
    folder = tmp_path_factory.mktemp("sent") / "cohort"
    make_phantom(folder, PhantomConfig(studies=2, slices=4, size=32, signal=3.0), jobs=1)
    return sorted((folder / "train").rglob("FLAIR/*.dcm"))


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def test_what_is_sent_is_answered_sent_on_and_removed(files: list[Path], settings: Settings, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    results = Inbox(tmp_path / "pacs")
    rules = Rules.model_validate(
        {"listen": f"127.0.0.1:{ports[0]}", "send": f"PACS@127.0.0.1:{ports[1]}", "senders": ["SCANNER"], **RULES}
    )
    predictor = Predictor(settings.shipped_checkpoints / "demo-synthetic.safetensors", threads=1)
    studies = {str(dcmread(path).StudyInstanceUID) for path in files}
    for state, kept in (
        (tmp_path / "state", 1),
        (tmp_path / "state", 1),
    ):  # the same again: done before, and no second one
        rounds = Rounds(rules, state, settings, lambda name: predictor)
        with rounds.receiving():
            with pytest.raises(ServerError, match="does not take results"):
                Node(f"MGMTLAB@127.0.0.1:{ports[0]}", "STRANGER").store("", files)
            Node(f"MGMTLAB@127.0.0.1:{ports[0]}", "SCANNER").store("", files)
        if not list((tmp_path / "pacs").iterdir()):
            assert rounds.run_once() == RoundResult(waiting=2)
            assert len(list((state / "inbox").iterdir())) == 2
        time.sleep(rounds_module.CLOCK_SECONDS)
        with results.listen(f"127.0.0.1:{ports[1]}", "PACS", []):
            rounds.run_once()
        assert list((state / "inbox").iterdir()) == []
        for study in studies:
            (series,) = results.list_series(study)
            assert (series["modality"], series["count"]) == ("SR", kept)


def test_the_inbox_is_listed_and_bounded_as_a_server_is(files: list[Path], settings: Settings, tmp_path: Path) -> None:
    port, inbox = free_port(), Inbox(tmp_path / "inbox")
    with inbox.listen(f"127.0.0.1:{port}", "MGMTLAB", []):
        Node(f"MGMTLAB@127.0.0.1:{port}", "ANY").store("", files[:4])
        with pytest.raises(ServerError, match="cannot be listened at"):
            inbox.listen(f"127.0.0.1:{port}", "MGMTLAB", []).__enter__()
    header = dcmread(files[0])
    (study,) = inbox.list_studies({"ModalitiesInStudy": "MR", "StudyInstanceUID": f"{header.StudyInstanceUID[:9]}*"})
    assert study["uid"] == header.StudyInstanceUID
    assert inbox.list_studies({"PatientID": "nobody"}) == []
    (series,) = inbox.list_series(study["uid"])
    assert series["count"] == 4
    with pytest.raises(LimitError):
        inbox.fetch_series(study["uid"], series["uid"], 4, tmp_path / "a", Budget(replace(settings, upload_files=3)))
    assert inbox.fetch_series(study["uid"], series["uid"], 4, tmp_path / "b", Budget(settings)) == 4
    sent = sorted(dcmread(path).SOPInstanceUID for path in files[:4])
    assert sorted(dcmread(path).SOPInstanceUID for path in (tmp_path / "b").iterdir()) == sent
    inbox.forget(study["uid"], 0.0)
    assert len(inbox.list_studies({})) == 1, "what came since is kept"


def test_what_is_no_image_is_refused_and_what_finds_no_space_may_be_sent_again(
    files: list[Path], tmp_path: Path
) -> None:
    class Sent:
        assoc = "one"

        def __init__(self, content: bytes) -> None:
            self.content = content

        def encoded_dataset(self) -> bytes:
            return self.content

    inbox, whole = Inbox(tmp_path / "inbox"), files[0].read_bytes()
    for at in range(3):  # two folders and the file
        with killing(Killer(lambda path: path.startswith(str(tmp_path)), at, "ENOSPC", writes=True)):
            assert inbox._keep(Sent(whole)) == NO_SPACE  # type: ignore[arg-type]
    uid = str(dcmread(files[0]).SeriesInstanceUID).encode()
    climbing = whole.replace(uid, (b"../" * 30)[: len(uid)])
    for content in (b"", b"no image", whole[:200], climbing):
        assert inbox._keep(Sent(content)) == NOT_OURS  # type: ignore[arg-type]
    assert list(tmp_path.rglob("*.dcm")) == []
    assert inbox._keep(Sent(whole)) == 0  # type: ignore[arg-type]
    assert inbox.list_studies({}) == [], "its sender has not ended"
    inbox._end(Sent(b""))  # type: ignore[arg-type]
    assert len(inbox.list_studies({})) == 1


def test_rules_name_one_way_in_and_one_way_out(settings: Settings) -> None:
    for more, said in (
        ({}, "where studies come from"),
        ({"url": "http://a", "listen": "a:1", "send": "B@b:2"}, "where studies come from"),
        ({"listen": "a:1"}, "where results go"),
        ({"url": "http://a", "push": "http://b", "send": "B@b:2"}, "where results go"),
        ({"listen": "a", "send": "B@b:2"}, "listen"),
    ):
        with pytest.raises(ValueError, match=said):
            Rules.model_validate({**RULES, **more})
    with pytest.raises(ConfigError, match="name no DICOMweb server"):
        open_client(Rules.model_validate({"listen": "a:1", "send": "B@b:2", **RULES}), settings)


@pytest.mark.slow
def test_sent_by_dcmtk_killed_and_started_again_orthanc_has_one_report_a_study(
    orthanc: str,  # noqa: F811
    files: list[Path],
    tmp_path: Path,
) -> None:
    """The process is killed once a study has come, and once there is a result to be sent."""
    if not shutil.which("storescu"):
        pytest.skip("dcmtk is not installed: apt-get install dcmtk")
    port, system = free_port(), requests.get(f"{orthanc}/system", timeout=30).json()
    (tmp_path / "rules.toml").write_text(
        f'listen = "127.0.0.1:{port}"\nsend = "{system["DicomAet"]}@127.0.0.1:{system["DicomPort"]}"\n'
        'settle_seconds = 0\npoll_seconds = 0.1\n[[rules]]\nname = "all"\ncheckpoint = "demo-synthetic"\n'
    )
    state = tmp_path / "state"
    words = [sys.executable, "-m", "core", "serve", "dicom", str(tmp_path / "rules.toml"), "--state", str(state)]
    environment = {**os.environ, "MGMT_LAB_HOME": str(tmp_path / "home"), "MGMT_LAB_THREADS": "1"}
    studies = sorted({str(dcmread(path).StudyInstanceUID) for path in files})
    for study, moment in ((0, "inbox/*/*/*.dcm"), (1, "outbox/*/*.dcm")):
        with (tmp_path / "log").open("ab") as log:
            work = subprocess.Popen(words, cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log)
        unsent = [path for path in files if dcmread(path).StudyInstanceUID == studies[study]]
        while unsent or not (list(state.glob(moment)) or len(list(state.glob("done/*.json"))) == 2):
            assert work.poll() is None, (tmp_path / "log").read_text()
            command = ["storescu", "127.0.0.1", str(port), *unsent]
            if unsent and subprocess.run(command, capture_output=True, check=False).returncode == 0:
                unsent = []  # what was not confirmed is sent again, as a scanner does
            time.sleep(0.001)
        work.kill()
        assert work.wait() == -signal.SIGKILL
    last = subprocess.run(
        [*words, "--once", "--json"], cwd=PROJECT_ROOT, env=environment, capture_output=True, check=True
    )
    outcome = json.loads(last.stdout)
    assert (outcome["waiting"], outcome["refused"]) == (0, 0), outcome
    for study in studies:
        query = {"StudyInstanceUID": study, "Modality": "SR"}
        assert len(requests.get(f"{orthanc}/dicom-web/instances", params=query, timeout=30).json()) == 1
    assert list((state / "outbox").iterdir()) == []
