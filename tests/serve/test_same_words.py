"""What the reader refuses is refused by the command line, over HTTP and on the page in the same words."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pydicom
import pytest
import streamlit as st
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from core.cli.main import main
from core.serve.http import create_app
from core.settings import MEBIBYTE, PROJECT_ROOT, Settings
from tests.data.dicom_files import write_mr
from tests.e2e.test_web import write_refused

DEMO = PROJECT_ROOT / "checkpoints" / "demo-synthetic.safetensors"


def changed(folder: Path, change: Callable[[pydicom.Dataset], None]) -> bytes:
    """Return an MR slice with something changed in its header."""
    path = write_mr(folder / "made.dcm")
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path.read_bytes()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def be_ct(dataset: pydicom.Dataset) -> None:
    dataset.Modality = "CT"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"


def be_giant(dataset: pydicom.Dataset) -> None:
    dataset.Rows = dataset.Columns = 65535


def lose_pixels(dataset: pydicom.Dataset) -> None:
    del dataset.PixelData


def zip_scan(name: str, folder: Path) -> tuple[str, bytes]:
    """Zip one of the scans that are refused for what their headers and voxels say."""
    write_refused(folder)
    files = [path for path in sorted((folder / name).rglob("*")) if path.is_file()]
    return "scan.zip", zipped({str(path.relative_to(folder)): path.read_bytes() for path in files})


WORDS = {
    "mosaic": "mosaic", "colour": "colour image", "repeats": "lie at only 2 positions", "uneven": "unevenly spaced",
    "sizes": "do not form one volume", "directions": "not two perpendicular", "bits": "BitsAllocated is 12", "misfit": "do not fit",
    "frames": "does not say where they lie", "blank": "are blank", "unnamed": "Name the sequence", "time": "4 dimensions",
    "flat": "has the shape", "labels": "label map by its voxels", "segmentation": "segmentation by its name",
}  # fmt: skip
"""Of each such scan, some of what is said of it."""
CASES: dict[str, Callable[[Path], tuple[str, bytes]]] = {
    "a letter": lambda folder: ("letter.dcm", b"Dear doctor, this is not an image."),
    "a CT": lambda folder: ("slice.dcm", changed(folder, be_ct)),
    "no pixels": lambda folder: ("slice.dcm", changed(folder, lose_pixels)),
    "giant dimensions": lambda folder: ("slice.dcm", changed(folder, be_giant)),
    "cut off": lambda folder: ("slice.dcm", write_mr(folder / "made.dcm").read_bytes()[:700]),
    "a damaged zip": lambda folder: ("scan.zip", b"PK\x03\x04" + bytes(100)),
    "a zip that climbs out": lambda folder: ("scan.zip", zipped({"../../a.dcm": b"x"})),
    "a zip that inflates": lambda folder: ("scan.zip", zipped({"zeros.dcm": bytes(3 * MEBIBYTE)})),
    "a zip without a scan": lambda folder: ("scan.zip", zipped({"note.txt": b"hello"})),
    "a NIfTI that is none": lambda folder: ("FLAIR.nii", b"no header" * 100),
    "a gzip that is none": lambda folder: ("FLAIR.nii.gz", b"no gzip" * 100),
    "an image cut off": lambda folder: ("FLAIR.png", b"\x89PNG\r\n\x1a\n" + bytes(30)),
    "an empty file": lambda folder: ("slice.dcm", b""),
    **{f"{name}, zipped": partial(zip_scan, name) for name in WORDS},
}
"""Name and content of what is handed in."""


def show_upload(checkpoint: str, name: str, content: bytes) -> None:
    """The Predict page's own functions, in an app of their own."""
    from pathlib import Path

    import streamlit as st
    from streamlit.proto.Common_pb2 import FileURLs
    from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec

    from ui.predict.prediction import load_prediction
    from ui.predict.scans import keep_upload, open_chosen_scan
    from ui.widgets.errors import report_errors
    from ui.widgets.state import choose_scan

    with report_errors():
        record = UploadedFileRec(file_id=name + str(len(content)), name=name, type="", data=content)
        choose_scan(keep_upload([UploadedFile(record, FileURLs())], None))
        cohort = open_chosen_scan()
        assert cohort is not None
        load_prediction(Path(checkpoint), cohort, cohort.studies[0])
        st.success("read")


@pytest.mark.parametrize("case", CASES)
def test_three_ways_in_refuse_in_the_same_words(
    case: str,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MGMT_LAB_HOME", str(settings.home))
    monkeypatch.setenv("MGMT_LAB_UPLOAD_MB", "2")
    made, place, work = tmp_path / "made", tmp_path / "files", tmp_path / "work"
    for folder in (made, place, work):
        folder.mkdir()
    name, content = CASES[case](made)
    (place / name).write_bytes(content)

    capsys.readouterr()
    assert main(["predict", str(DEMO), str(place), "--json"]) == 2
    by_command = capsys.readouterr().err.strip().removeprefix("error: ").replace("in files", "in the upload")

    limits = replace(settings, upload_bytes=2 * MEBIBYTE)
    client = TestClient(create_app([DEMO], limits, work), base_url="http://localhost")
    answer = client.post("/predict?checkpoint=demo-synthetic", files=[("files", (name, content))])
    assert answer.status_code in (413, 422)
    by_http = answer.json()["detail"]

    monkeypatch.setattr("ui.predict.scans.open_workspace", lambda: work)
    st.cache_resource.clear()  # every AppTest is the same session
    handed_in = {"checkpoint": str(DEMO), "name": name, "content": content}
    app = AppTest.from_function(show_upload, kwargs=handed_in, default_timeout=60).run()
    assert not app.exception
    assert not app.success
    (by_page,) = (error.value.replace("\\", "") for error in app.error)

    assert WORDS.get(case.removesuffix(", zipped"), "") in by_command
    assert by_http == by_command
    assert by_page == by_command
