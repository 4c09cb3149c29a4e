"""What failed for want of memory, or because a disk failed at that moment, is no last word: nothing keeps it."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from core.audit.marks import mark_cohort
from core.audit.pixels import read_all
from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.formats import codestream, dicom, images
from core.data.formats.dicom import read_pixels
from core.data.prepare.cache import load_prepared
from core.errors import DicomError, may_pass
from core.inference.batch import predict_cohort
from core.inference.predict import Predictor
from core.phantom.study import make_sample_study
from core.progress import silent
from core.settings import PROJECT_ROOT, Settings
from tests.data.dicom_files import write_mr, write_series

MOMENTS = (MemoryError(), *(OSError(code, os.strerror(code)) for code in (errno.EIO, errno.EMFILE, errno.EACCES)))
LASTING = (ValueError("damaged"), OSError("image file is truncated"), OSError(errno.ENOENT, "gone"))
HEADS = np.random.default_rng(0).integers(1, 4000, (6, 24, 20)).astype(np.uint16)


@contextmanager
def failing(error: Exception, name: str = "Image-1.dcm") -> Iterator[None]:
    """Let every parsing of the DICOM files of a name fail, as where memory or the disk gives out."""
    whole = dicom.build_header

    def build(elements: Any, path: Path, *rest: Any) -> Any:
        if path.name == name:
            raise error
        return whole(elements, path, *rest)

    with mock.patch.object(dicom, "build_header", build):
        yield


@pytest.mark.parametrize("error", [*MOMENTS, *LASTING], ids=repr)
def test_a_refusal_says_whether_it_may_pass(tmp_path: Path, error: Exception) -> None:
    path = write_mr(tmp_path / "Image-1.dcm")
    with failing(error), pytest.raises(DicomError) as caught:
        read_pixels(path)
    assert may_pass(str(caught.value)) == (error in MOMENTS)
    assert str(caught.value).count("try again") == (error in MOMENTS)


@pytest.mark.parametrize("error", MOMENTS, ids=repr)
def test_no_cache_keeps_it(tmp_path: Path, settings: Settings, error: Exception) -> None:
    write_series(tmp_path / "data/train/00001/FLAIR", HEADS)

    def look() -> tuple[int, int, int, int]:
        cohort = scan_cohort(tmp_path / "data", settings=settings)
        (series,), (again,) = whole.series, cohort.series
        (pixels,) = read_all([series], whole.root, settings, 1, silent)
        assert not isinstance(pixels, str)
        marks = mark_cohort(whole, settings, among=[series.sequence])
        prepared = load_prepared(series, PrepConfig(size_px=32, slice_count=6), settings)
        return len(again.files), len(pixels.files), len(marks.faults), len(prepared.pixels)

    whole = scan_cohort(tmp_path / "data")
    with failing(error):
        assert look() == (5, 5, 1, 5)
    assert look() == (6, 6, 0, 6)


def test_no_cache_of_pictures_keeps_it(tmp_path: Path, settings: Settings) -> None:
    for name in ("00001-1.png", "00002-1.png"):
        (tmp_path / "data").mkdir(exist_ok=True)
        Image.fromarray(HEADS[0].astype(np.uint8)).save(tmp_path / "data" / name)
    with mock.patch.object(images.Image, "open", side_effect=MOMENTS[1]), pytest.raises(Exception, match="try again"):
        scan_cohort(tmp_path / "data", settings=settings, layout="flat")
    assert len(scan_cohort(tmp_path / "data", settings=settings, layout="flat")) == 2


def test_an_answer_without_a_sequence_that_failed_for_the_moment_is_made_anew(
    tmp_path: Path, settings: Settings
) -> None:
    make_sample_study(tmp_path / "data" / "train", seed=3, mgmt_value=1)
    cohort = scan_cohort(tmp_path / "data")
    predictor = Predictor(PROJECT_ROOT / "checkpoints" / "demo-synthetic.safetensors", threads=1)
    with failing(MOMENTS[1], next(iter(cohort.series)).files[0].name):
        (row,) = predict_cohort(predictor, cohort, tmp_path / "a.csv").rows
    assert may_pass(row["warnings"])
    result = predict_cohort(predictor, cohort, tmp_path / "a.csv")
    assert (result.kept, may_pass(result.rows[0]["warnings"])) == (0, False)
    assert predict_cohort(predictor, cohort, tmp_path / "a.csv").kept == 1


def compressed(folder: Path) -> Path:
    """An MR slice in JPEG 2000."""
    dataset = pydicom.dcmread(str(get_testdata_file("MR_small_jp2klossless.dcm")))
    dataset.save_as(folder / "slice.dcm")
    return folder / "slice.dcm"


def starve(worker: codestream._Worker) -> None:
    """Leave a decoder no more memory than it has."""
    process = worker._process.pid
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[0])
    hard = resource.prlimit(process, resource.RLIMIT_AS)[1]
    resource.prlimit(process, resource.RLIMIT_AS, (pages * resource.getpagesize(), hard))


@pytest.mark.parametrize(
    "harm", [starve, lambda worker: os.kill(worker._process.pid, signal.SIGKILL)], ids=["starved", "killed"]
)
def test_a_decoder_that_runs_out_of_memory_did_not_judge_the_file(
    tmp_path: Path, harm: Callable[[codestream._Worker], None]
) -> None:
    path = compressed(tmp_path)
    codestream._pool.end()
    worker = codestream._pool._take()
    harm(worker)
    codestream._pool._give_back(worker)
    with pytest.raises(DicomError) as caught:
        read_pixels(path)
    codestream._pool.end()
    assert may_pass(str(caught.value)), str(caught.value)
    assert read_pixels(path).shape == (64, 64)
