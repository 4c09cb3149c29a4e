"""The page that predicts in the browser: equal to core, silent towards anywhere else, alive after bad files, accessible."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pydicom
import pytest

from core.config import PrepConfig
from core.inference.predict import Predictor
from core.mri import MRSequence
from core.reports.web_page import export_web
from core.settings import PROJECT_ROOT
from tests.conftest import SIZE
from tests.data.dicom_files import write_enhanced, write_mr
from tests.e2e.conftest import CHROMIUM
from tests.e2e.web_page import SYNTAXES, WebPage, compare, is_equal, open_page, transcode
from tests.e2e.web_reading import compare_reading
from tests.inference.test_onnx import write as write_network

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright.sync_api", reason="needs playwright (requirements-dev.txt)")

pytestmark = pytest.mark.e2e

CHECKPOINT = PROJECT_ROOT / "checkpoints" / "demo-synthetic.safetensors"
THREE = (MRSequence.T1WCE, MRSequence.T2W, MRSequence.FLAIR)
WEBGPU = [
    "--no-sandbox",
    "--disable-background-networking",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
]


@pytest.fixture(scope="module")
def page(built: Path, browser: Browser) -> Iterator[WebPage]:
    with open_page(built, browser) as opened:
        yield opened
    assert opened.outside == []
    assert opened.complaints == []


def test_the_browser_answers_as_core_does(built: Path, page: WebPage, sample: Path, tmp_path: Path) -> None:
    predictor = Predictor(CHECKPOINT, runtime="onnx", threads=1)
    rows = compare("sample", built / "sample.zip", page, predictor)
    for name in SYNTAXES:
        rows += compare(name, transcode(sample / "T2w", tmp_path / name / "T2w", name).parent, page, predictor)
    assert len(rows) == 1 + len(SYNTAXES)
    assert is_equal(rows) == []


@pytest.mark.parametrize(
    ("architecture", "prep"),
    [
        ("multistream", PrepConfig(form="streams", sequences=THREE, grid_mm=3, slice_count=2, size_px=SIZE)),
        ("resnet10_3d", PrepConfig(form="volume", slice_choice="window", slice_count=8, size_px=SIZE)),
    ],
)
def test_several_sequences_and_volumes_too(
    architecture: str, prep: PrepConfig, built: Path, browser: Browser, tmp_path: Path
) -> None:
    checkpoint = write_network(tmp_path / "other.safetensors", architecture, prep)
    export_web(checkpoint, tmp_path / "page")
    with open_page(tmp_path / "page", browser) as opened:
        rows = compare(architecture, built / "sample.zip", opened, Predictor(checkpoint, runtime="onnx", threads=1))
    assert is_equal(rows) == []
    assert [(one.slices > 1, one.pixels) for one in rows] == [(True, 0)]


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_graphics_processor_computes_where_it_gives_what_the_export_got(
    wrong: int, built: Path, browser: Browser, sample: Path, tmp_path: Path
) -> None:
    prep = PrepConfig(sequences=(MRSequence.T2W,), slice_count=1, size_px=48)
    checkpoint = write_network(tmp_path / "other.safetensors", "resnet18", prep)
    export_web(checkpoint, tmp_path / "page")
    card = tmp_path / "page" / "card.json"
    document = json.loads(card.read_text())
    document["page"]["test_logits"][0] += wrong
    card.write_text(json.dumps(document))
    shutil.copytree(sample / "T2w", tmp_path / "scan" / "T2w")
    with (
        browser.browser_type.launch(executable_path=CHROMIUM, args=WEBGPU) as other,
        open_page(tmp_path / "page", other) as opened,
    ):
        predictor = Predictor(checkpoint, runtime="onnx", threads=1)
        rows = compare("graphics processor", tmp_path / "scan", opened, predictor)
    assert is_equal(rows) == []
    assert [one.runtime for one in rows] == ["browser, wasm" if wrong else "browser, webgpu"]


@pytest.mark.parametrize("threads", [True, False])
def test_a_browser_whose_webassembly_cannot_wait_for_javascript_computes_too(
    threads: bool, built: Path, browser: Browser, sample: Path, tmp_path: Path
) -> None:
    shutil.copytree(built, tmp_path / "page")
    module = tmp_path / "page" / "jspi.js"
    module.write_text(f"delete WebAssembly.Suspending; delete WebAssembly.promising;\n{module.read_text()}")
    shutil.copytree(sample / "FLAIR", tmp_path / "scan" / "FLAIR")
    with open_page(tmp_path / "page", browser, isolated=threads) as opened:
        rows = compare("without JSPI", tmp_path / "scan", opened, Predictor(CHECKPOINT, runtime="onnx", threads=1))
        assert opened.complaints == []
    assert is_equal(rows) == []
    assert [one.runtime for one in rows] == ["browser, wasm"]


@pytest.mark.parametrize("syntax", ["", "RLELossless"])
def test_frames_are_read_where_they_lie(page: WebPage, tmp_path: Path, syntax: str) -> None:
    stack = np.random.default_rng(0).integers(1, 4000, (9, 24, 20)).astype(np.uint16)
    scan = tmp_path / "plain" / "T2w"
    scan.mkdir(parents=True)
    write_enhanced(scan / "1.dcm", stack, slopes=[1 + index / 4 for index in range(9)] if not syntax else None)
    folder = transcode(scan, tmp_path / syntax / "T2w", syntax).parent if syntax else scan.parent
    (read,) = compare_reading("enhanced", folder, page)
    assert (read.shape, read.page) == ((9, 24, 20), "")


def test_a_checkpoint_of_synthetic_brains_refuses_what_is_not_marked(
    page: WebPage, sample: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "T2w"
    folder.mkdir()
    for path in (sample / "T2w").glob("*.dcm"):
        image = pydicom.dcmread(path)
        del image.ImageComments
        image.save_as(folder / path.name)
    (row,) = compare("unmarked", tmp_path, page, Predictor(CHECKPOINT, runtime="onnx", threads=1))
    assert row.same_guard
    assert "not known to be synthetic" in row.guard


def write_refused(folder: Path) -> dict[str, str]:
    """Write scans that core refuses, each in a folder of its own; of each, what core says of it."""

    def series(name: str, positions: Sequence[float], **attributes: Any) -> None:
        (folder / name / "T2w").mkdir(parents=True)
        for index, along in enumerate(positions):
            write_mr(folder / name / "T2w" / f"{index}.dcm", position=(0, 0, along), **attributes)

    series("mosaic", [0], ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    series("ct", [0], Modality="CT")
    series("colour", [0], PhotometricInterpretation="RGB", SamplesPerPixel=3)
    series("no pixels", [0], PixelData=None)
    series("cut", [0])
    cut = folder / "cut" / "T2w" / "0.dcm"
    cut.write_bytes(cut.read_bytes()[:-10])
    series("repeats", [0, 0, 0, 0, 5, 5, 5, 5])
    series("uneven", [0, 1, 2.5, 3.1, 7, 8.4])
    series("sizes", [0, 5])
    write_mr(folder / "sizes" / "T2w" / "other.dcm", np.zeros((6, 5), np.uint16), position=(0, 0, 9))
    write_mr(folder / "sizes" / "T2w" / "more.dcm", np.zeros((6, 5), np.uint16), position=(0, 0, 14))
    series("directions", [0], orientation=(1, 0, 0, 1, 0, 0))
    series("bits", [0], BitsAllocated=12, BitsStored=12, HighBit=11)
    series("misfit", [0], HighBit=3)
    series("frames", [0], pixels=np.ones((12, 5), np.uint16), Rows=4, NumberOfFrames=3)
    series("blank", [0, 5, 10, 15, 20, 25], pixels=np.zeros((8, 8), np.uint16))
    (folder / "unnamed" / "series").mkdir(parents=True)
    write_mr(folder / "unnamed" / "series" / "0.dcm")
    block = np.random.default_rng(0).integers(1, 200, (8, 8, 8, 2)).astype(np.float32)
    for name, file, values in (
        ("noise", "T2w.nii", None),
        ("time", "T2w.nii", block),
        ("flat", "T2w.nii", block[:, :, 0, 0]),
        ("labels", "T2w.nii", (block[..., 0] > 100).astype(np.uint8)),
        ("segmentation", "T2w_seg.nii", block[..., 0]),
    ):
        (folder / name).mkdir()
        if values is None:
            (folder / name / file).write_bytes(np.random.default_rng(0).bytes(4000))
        else:
            nibabel.Nifti1Image(values, np.eye(4)).to_filename(folder / name / file)
    (folder / "text").mkdir()
    (folder / "text" / "notes.txt").write_text("nothing")
    return {
        "mosaic": "mosaic",
        "ct": "Modality CT",
        "colour": "colour image (RGB)",
        "no pixels": "without pixel data",
        "cut": "4 x 5 pixels need 40 bytes, 30 are there",
        "repeats": "lie at only 2 positions",
        "uneven": "unevenly spaced, from 0.6 to 3.9 mm",
        "sizes": "do not form one volume",
        "directions": "not two perpendicular",
        "bits": "BitsAllocated is 12",
        "misfit": "HighBit 3 do not fit",
        "frames": "does not say where they lie",
        "blank": "are blank",
        "unnamed": "Name the sequence",
        "noise": "not a NIfTI",
        "time": "4 dimensions (8, 8, 8, 2)",
        "flat": "the shape (8, 8)",
        "labels": "label map by its voxels",
        "segmentation": "segmentation by its name",
        "text": "No scan was found in text",
    }


def test_the_page_refuses_in_cores_words(page: WebPage, tmp_path: Path) -> None:
    predictor = Predictor(CHECKPOINT, runtime="onnx", threads=1)
    rows = []
    for name, said in write_refused(tmp_path).items():
        (row,) = compare(name, tmp_path / name, page, predictor)
        assert said in row.guard, name
        rows.append(row)
    assert [row.guard for row in rows if not row.same_guard] == []
    assert is_equal(rows) == []


def test_bad_files_are_told_in_words_and_the_page_goes_on(page: WebPage, sample: Path, tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros.dcm", bytes(2**20))
    lying = bytearray(bomb.getvalue())
    place = lying.rindex(b"PK\x01\x02") + 24
    lying[place : place + 4] = (10).to_bytes(4, "little")
    cases = {
        "empty.dcm": (b"", "No scan was found"),
        "text.zip": (b"PK\x03\x04 nothing", "damaged zip"),
        "bomb.zip": (bytes(lying), "inflates to more than"),
        "cut.dcm": (next((sample / "T2w").glob("*.dcm")).read_bytes()[:400], "cut short"),
        "noise.nii": (np.random.default_rng(0).bytes(4000), "not a NIfTI"),
        "large.nii": (large_nifti(), "at most"),
        "wide.png": (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + bytes(10), "claims"),
    }
    for name, (content, said) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert said in page.ask(tmp_path / name)["error"], name
    assert page.ask(sample / "FLAIR")["document"]["studies"][0]["series"][0]["sequence"] == "FLAIR"


def large_nifti() -> bytes:
    """The header of a NIfTI file that claims eight gigabytes."""
    header = bytearray(400)
    struct.pack_into("<i8h", header, 0, 348, *([0] * 8))
    struct.pack_into("<8h", header, 40, 3, 2000, 2000, 1000, 1, 1, 1, 1)
    struct.pack_into("<2h8f", header, 70, 16, 32, 1, 1, 1, 1, 1, 1, 1, 1)
    header[344:348] = b"n+1\0"
    return bytes(header)


def test_gigabytes_are_refused_before_they_are_read(page: WebPage) -> None:
    said = page.page.evaluate(
        """async () => {
          const piece = new Blob([new Uint8Array(2 ** 26)]);
          const files = Array.from({ length: 20 }, (_, index) => ({ path: `a/${index}.dcm`, blob: piece }));
          return window.mgmtLab.predict(files).then(() => "", (error) => error.message);
        }"""
    )
    assert "Hand in one study" in said
