"""A refused upload is told once a rerun, and neither kept nor unpacked again."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from core.data.formats.archive import unpack
from core.errors import DataError
from core.settings import Settings
from tests.data.dicom_files import write_mr
from tests.jobs.killing import Killer, killing
from tests.pages.reading import App

BOMB = io.BytesIO()
with zipfile.ZipFile(BOMB, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("a.dcm", b"\0" * 2**20)
    archive.writestr("b.dcm", b"\0" * 2**20)


def hand_in(app: AppTest, name: str, content: bytes) -> AppTest:
    app.segmented_control(key="predict.way").set_value("files").run()
    return app.file_uploader(key="predict.upload.files").set_value([(name, content, "application/zip")]).run()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where uploads are written."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("ui.predict.scans.open_workspace", lambda: folder)
    return folder


@pytest.mark.parametrize("megabytes", [1, 2], ids=["unpacked it is too large", "it holds no scan"])
def test_a_refused_upload_is_not_kept_and_not_read_again(
    open_app: App,
    home: Settings,
    checkpoint_file: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    megabytes: int,
) -> None:
    monkeypatch.setenv("MGMT_LAB_UPLOAD_MB", str(megabytes))
    unpacked: list[str] = []
    monkeypatch.setattr(
        "core.data.upload.unpack", lambda file, *rest: (unpacked.append(file.name), unpack(file, *rest))
    )
    app = hand_in(open_app("predict.py"), "bomb.zip", BOMB.getvalue())
    expected = "holds more than 1 MB" if megabytes == 1 else "No scan in"
    for _ in range(3):
        assert not app.exception
        assert [error.value for error in app.error if expected not in error.value] == []
        assert len(app.error) == 1
        assert [file.name for file in temporary.rglob("*") if file.is_file()] == ["refused.txt"]
        app.run()
    assert unpacked == ["bomb.zip"]


@pytest.mark.parametrize("place", ["core.data.formats.archive.zipfile.ZipFile", "core.data.upload.receive"])
def test_a_fault_of_the_moment_is_not_remembered(
    open_app: App, home: Settings, checkpoint_file: Path, temporary: Path, place: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            raise DataError("a.zip cannot be read.") from error

    with mock.patch(place, side_effect=MemoryError if "zipfile" in place else fail):
        app = hand_in(open_app("predict.py"), "a.zip", BOMB.getvalue())
    assert [error.value for error in app.error if "try again" not in error.value] == []
    assert len(app.error) == 1
    app.run()
    assert "No scan in" in app.error[0].value, "it was read again"


def test_another_sequence_reads_the_same_upload_anew(
    open_app: App, home: Settings, checkpoint_file: Path, temporary: Path, tmp_path: Path
) -> None:
    slice_of_no_sequence = write_mr(tmp_path / "a.dcm").read_bytes()
    app = hand_in(open_app("predict.py"), "a.dcm", slice_of_no_sequence)
    app.selectbox(key="predict.sequence").set_value("FLAIR").run()
    assert [file.name for file in temporary.rglob("*") if file.is_file()] in (["a.dcm"], ["refused.txt"])
    assert not app.exception


def test_deleting_an_upload_leaves_nothing_of_it(
    open_app: App, home: Settings, checkpoint_file: Path, temporary: Path, tmp_path: Path
) -> None:
    app = hand_in(open_app("predict.py"), "FLAIR.dcm", write_mr(tmp_path / "a.dcm").read_bytes())
    assert any(path.is_file() for path in temporary.rglob("*"))
    app.button(key="predict.delete").click().run()
    assert not app.exception
    assert list(temporary.rglob("*")) == []
    assert app.session_state["scan"] is None
    assert "Upload a scan above" in app.info[-1].value


def test_taking_the_file_back_leaves_nothing_of_it(
    open_app: App, home: Settings, checkpoint_file: Path, temporary: Path, tmp_path: Path
) -> None:
    app = hand_in(open_app("predict.py"), "FLAIR.dcm", write_mr(tmp_path / "a.dcm").read_bytes())
    app.file_uploader(key="predict.upload.files").set_value([]).run()
    assert not app.exception
    assert list(temporary.rglob("*")) == []
    assert app.session_state["scan"] is None


def test_an_upload_that_a_full_disk_stopped_is_received_again(
    open_app: App, home: Settings, checkpoint_file: Path, temporary: Path, tmp_path: Path
) -> None:
    full = Killer(lambda path: path.endswith("FLAIR.dcm"), 0, "ENOSPC")
    with killing(full):
        app = hand_in(open_app("predict.py"), "FLAIR.dcm", write_mr(tmp_path / "a.dcm").read_bytes())
    assert [error.value for error in app.error if "no space is left" in error.value]
    assert [file for file in temporary.rglob("*") if file.is_file()] == []
    app.run()
    assert not app.exception
    assert [file.name for file in temporary.rglob("*") if file.is_file()] == ["FLAIR.dcm"]
