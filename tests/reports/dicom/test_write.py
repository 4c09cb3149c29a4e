"""An answer as DICOM: read back equal, by the standard's validator without an error, and of nobody by name."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from core.data.upload import open_scan
from core.errors import ConfigError, DicomError
from core.evaluation.figure import estimand_of
from core.explain.slices import MappedSlice, map_slices
from core.inference.batch import digest_checkpoint
from core.inference.predict import Predictor
from core.inference.prediction import OtherAnswer, Prediction
from core.phantom.config import PhantomConfig
from core.reports.dicom.source import DicomKind, require_dicom
from core.reports.dicom.write import pack_dicom, write_dicom
from core.settings import Settings
from tests.data.dicom_files import write_enhanced, write_series
from tests.phantoms import copy_phantom

KINDS: tuple[DicomKind, ...] = ("sr", "sc", "seg")
IDENTITY = {
    "PatientName": "Großer^Anna",
    "PatientID": "MRN-4711",
    "PatientBirthDate": "19610203",
    "PatientSex": "F",
    "StudyDate": "20240506",
    "AccessionNumber": "ACC-0815",
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a person with a name, its series in several planes."""
    root = tmp_path_factory.mktemp("scan")
    copy_phantom(root, PhantomConfig(studies=2, slices=8, size=48))
    folder = sorted(path for path in (root / "train").iterdir() if path.is_dir())[0]
    for path in folder.rglob("*.dcm"):
        dataset = dcmread(path)
        for keyword, value in IDENTITY.items():
            setattr(dataset, keyword, value)
        dataset.InstitutionName = "St. Elsewhere"
        del dataset.PatientIdentityRemoved, dataset.DeidentificationMethod
        dataset.save_as(path)
    return folder


Answer = tuple[Predictor, Prediction, list[MappedSlice]]


@pytest.fixture
def answer(write_checkpoint: Callable[..., Path], tmp_path: Path, settings: Settings) -> Callable[[Path], Answer]:
    metrics = {"test": {"patient": {"auroc": {"value": 0.71, "low": 0.6, "high": 0.8, "n": 90}}}}
    predictor = Predictor(write_checkpoint(metrics=metrics), runtime="torch")

    def predict(folder: Path) -> Answer:
        cohort = open_scan([folder], tmp_path / "unpacked", settings)
        prediction = predictor.predict(cohort.studies[0])
        mapped = map_slices(predictor, prediction, method="gradcam", layer="layer4.1", target=1)
        return predictor, prediction, mapped

    return predict


def by_uid(folder: Path) -> dict[str, Dataset]:
    return {str(one.SOPInstanceUID): one for one in map(dcmread, sorted(folder.rglob("*.dcm")))}


def assert_valid(folder: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian's dicom3tools) is not installed")
    for path in folder.glob("*.dcm"):
        said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, encoding="latin-1", check=False).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == [], path.name


def read_report(folder: Path) -> tuple[Dataset, dict[str, list[object]]]:
    """The report, and what each named item of its measurement group holds."""
    report = highdicom.sr.srread(next(folder.glob("*_sr.dcm")))
    assert isinstance(report, highdicom.sr.ComprehensiveSR)
    (group,) = report.content.get_image_measurement_groups()
    found: dict[str, list[object]] = {}
    for item in group[0].ContentSequence:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        value = {
            "NUM": lambda item: item.MeasuredValueSequence[0].NumericValue,
            "CODE": lambda item: item.ConceptCodeSequence[0].CodeMeaning,
            "TEXT": lambda item: item.TextValue,
            "IMAGE": lambda item: item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID,
            "UIDREF": lambda item: item.UID,
        }[item.ValueType](item)
        found.setdefault(name, []).append(value)
    return report, found


def test_the_report_holds_the_answer_and_what_it_is_worth(
    answer: Callable[[Path], Answer], scan: Path, tmp_path: Path
) -> None:
    predictor, prediction, mapped = answer(scan)
    (written,) = write_dicom(["sr"], predictor, prediction, mapped, tmp_path / "out", prefix="01")
    report, found = read_report(tmp_path / "out")
    assert (report.VerificationFlag, report.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert written.sop_instance_uid == report.SOPInstanceUID
    assert found["Probability of methylated MGMT promoter"] == [pytest.approx(prediction.probability, abs=1e-6)]
    assert found["Threshold on the probability"] == [0.5]
    assert found["AUROC of the checkpoint by patient"] == [0.71]
    assert found["Lower limit of its 95% interval"] == [0.6]
    assert found["Predicted status"] == [prediction.prediction]
    assert found["The checkpoint abstains"] == ["No"]
    assert found["Intended use"] == ["Research use only, not a medical device"]
    assert found["Algorithm Name"] == ["tiny"]
    assert f"checkpoint {digest_checkpoint(predictor.path)}" in found["Algorithm Parameters"]
    assert len(found["Tracking Unique Identifier"]) == 1
    assert found["Comment"][:-1] == list(prediction.warnings)
    assert str(found["Comment"][-1]).endswith(estimand_of("predict"))
    source = by_uid(scan)
    names = {Path(source[str(uid)].filename).name for uid in found["Source of Measurement"]}
    assert sorted(names) == sorted({one.file for one in prediction.slices})
    evidence = {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert evidence == set(map(str, found["Source of Measurement"]))
    assert report.StudyInstanceUID == next(iter(source.values())).StudyInstanceUID
    assert_valid(tmp_path / "out")


def test_a_report_says_where_another_checkpoint_says_otherwise(
    answer: Callable[[Path], Answer], scan: Path, tmp_path: Path
) -> None:
    predictor, prediction, _ = answer(scan)
    other = next(name for name in predictor.card.class_names if name != prediction.prediction)
    for said, word in ((other, "Yes"), (prediction.prediction, "No"), ("", "No")):
        beside = OtherAnswer(checkpoint="second", prediction=said)
        out = tmp_path / f"out {said}"
        write_dicom(["sr"], predictor, replace(prediction, others=(beside,)), [], out, prefix="01")
        _, found = read_report(out)
        assert found["Another checkpoint says otherwise"] == [word]
        assert found["Comment"][0] == beside.describe(prediction.prediction)
        assert_valid(out)


def test_an_abstaining_checkpoint_reports_no_number(
    answer: Callable[[Path], Answer], scan: Path, tmp_path: Path
) -> None:
    predictor, prediction, mapped = answer(scan)
    refused = replace(prediction, guard="abstained", reason="No brain. Hand in a brain.")
    write_dicom(["sr"], predictor, refused, mapped, tmp_path / "out", prefix="01")
    _, found = read_report(tmp_path / "out")
    assert found["The checkpoint abstains"] == ["Yes"]
    assert found["Comment"][0] == "No brain. Hand in a brain."
    assert not {"Probability of methylated MGMT promoter", "Predicted status", "Possible class"} & set(found)
    assert_valid(tmp_path / "out")
    for kind in KINDS[1:]:
        with pytest.raises(DicomError, match="abstains"):
            write_dicom([kind], predictor, refused, mapped, tmp_path / "out", prefix="01")
    write_dicom(KINDS, predictor, refused, mapped, tmp_path / "anyway", prefix="01", anyway=True)
    _, found = read_report(tmp_path / "anyway")
    assert found["Probability of methylated MGMT promoter"] == [pytest.approx(prediction.probability, abs=1e-6)]
    assert not {"Predicted status", "Possible class"} & set(found)


def test_the_pictures_lie_where_their_sources_lie(answer: Callable[[Path], Answer], scan: Path, tmp_path: Path) -> None:
    predictor, prediction, mapped = answer(scan)
    blank = [replace(one, heat=np.zeros_like(one.heat)) for one in mapped]
    written = write_dicom(["sc"], predictor, prediction, blank, tmp_path / "out", prefix="01")
    source = by_uid(scan)
    assert len(written) == len(mapped)
    for one in written:
        capture = dcmread(one.path)
        original = source[str(capture.SourceImageSequence[0].ReferencedSOPInstanceUID)]
        assert capture.ImagePositionPatient == original.ImagePositionPatient
        assert capture.ImageOrientationPatient == original.ImageOrientationPatient
        assert capture.StudyInstanceUID == original.StudyInstanceUID
        assert capture.SeriesInstanceUID == one.series_instance_uid != original.SeriesInstanceUID
        grey, stored = capture.pixel_array[8:, :, 0], original.pixel_array[8:]  # above are the words
        here, *flipped = (
            np.corrcoef(grey.ravel(), stored[::down, ::across].ravel())[0, 1]
            for down, across in ((1, 1), (-1, 1), (1, -1), (-1, -1))
        )
        assert here > max(0.9, *flipped)
    assert len({one.series_instance_uid for one in written}) == len(prediction.series)
    assert_valid(tmp_path / "out")


@pytest.mark.parametrize("orientation", [(-1, 0, 0, 0, -1, 0), (0, 1, 0, 1, 0, 0), (0, -1, 0, 0, 0, -1)])
def test_a_picture_of_a_turned_slice_is_stored_as_its_source(
    orientation: tuple[int, ...], answer: Callable[[Path], Answer], tmp_path: Path
) -> None:
    voxels = np.kron(np.random.default_rng(2).integers(50, 900, (5, 8, 6)), np.ones((1, 10, 10))).astype(np.uint16)
    write_series(tmp_path / "study" / "FLAIR", voxels, orientation=orientation, FrameOfReferenceUID="1.2.3.9")
    predictor, prediction, mapped = answer(tmp_path / "study")
    blank = [replace(one, heat=np.zeros_like(one.heat)) for one in mapped]
    source = by_uid(tmp_path / "study")
    for one in write_dicom(["sc"], predictor, prediction, blank, tmp_path / "out", prefix="01", anyway=True):
        capture = dcmread(one.path)
        original = source[str(capture.SourceImageSequence[0].ReferencedSOPInstanceUID)]
        pair = (capture.pixel_array[10:, :, 0].ravel(), original.pixel_array[10:].ravel())
        assert np.corrcoef(*pair)[0, 1] > 0.99


def test_the_segment_is_where_the_map_is_above_half(
    answer: Callable[[Path], Answer], scan: Path, tmp_path: Path
) -> None:
    predictor, prediction, mapped = answer(scan)
    places = (2, 12, 22, 32, 42)  # each slice has its own
    corner = [
        replace(one, heat=np.pad(np.ones((20, 20), np.float32), ((place, 44 - place), (place, 44 - place))))
        for one, place in zip(mapped, places * len(mapped), strict=False)
    ]
    written = write_dicom(["seg"], predictor, prediction, corner, tmp_path / "out", prefix="01")
    assert len(written) == len(prediction.series)
    sources = by_uid(scan)
    write_dicom(["sc"], predictor, prediction, corner, tmp_path / "pictures", prefix="01", opacity=1.0)
    pictures = {
        str(one.SourceImageSequence[0].ReferencedSOPInstanceUID): one.pixel_array
        for one in map(dcmread, (tmp_path / "pictures").glob("*.dcm"))
    }
    for one in written:
        segmentation = highdicom.seg.segread(one.path)
        referred = [
            str(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
            for frame in segmentation.PerFrameFunctionalGroupsSequence
        ]
        assert {sources[uid].SOPInstanceUID for uid in referred} == set(referred)
        pixels = segmentation.get_pixels_by_source_instance(referred, combine_segments=True)
        for uid, region in zip(referred, pixels, strict=True):
            coloured = np.ptp(pictures[uid].astype(int), axis=-1) > 30
            assert 0.02 < region.mean() < 0.5
            assert coloured[region > 0].mean() > 0.9
    assert_valid(tmp_path / "out")


def test_nobodys_name_is_carried_unless_it_is_asked_for(
    answer: Callable[[Path], Answer], scan: Path, tmp_path: Path
) -> None:
    predictor, prediction, mapped = answer(scan)
    write_dicom(KINDS, predictor, prediction, mapped, tmp_path / "out", prefix="01")
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        words = [
            *(value.encode() for value in IDENTITY.values() if len(value) > 1),
            "Großer".encode("latin-1"),
            b"St. Else",
        ]
        assert [word for word in words if word in content] == []
        assert dcmread(path).PatientIdentityRemoved == "YES"
    write_dicom(KINDS, predictor, prediction, mapped, tmp_path / "kept", prefix="01", keep_identity=True)
    for path in (tmp_path / "kept").iterdir():
        dataset = dcmread(path)
        assert {keyword: str(dataset[keyword].value) for keyword in IDENTITY} == IDENTITY
        assert "PatientIdentityRemoved" not in dataset
        assert b"St. Else" not in path.read_bytes()
    assert_valid(tmp_path / "kept")


def test_an_enhanced_object_is_referred_to_frame_by_frame(answer: Callable[[Path], Answer], tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    voxels = np.kron(generator.integers(50, 900, (6, 8, 8)), np.ones((1, 8, 8))).astype(np.uint16)
    folder = tmp_path / "study" / "FLAIR"
    folder.mkdir(parents=True)
    write_enhanced(folder / "enhanced.dcm", voxels, FrameOfReferenceUID="1.2.3.9", StudyInstanceUID="1.2.3")
    predictor, prediction, mapped = answer(folder.parent)
    write_dicom(KINDS, predictor, prediction, mapped, tmp_path / "out", prefix="01", anyway=True)
    report, _ = read_report(tmp_path / "out")
    (group,) = report.content.get_image_measurement_groups()
    (image,) = [item for item in group[0].ContentSequence if item.ValueType == "IMAGE"]
    frames = sorted(image.ReferencedSOPSequence[0].ReferencedFrameNumber)
    assert frames == sorted(one.seen.slice_index + 1 for one in mapped)
    captures = [dcmread(path) for path in sorted((tmp_path / "out").glob("*_sc_*.dcm"))]
    assert [one.SourceImageSequence[0].ReferencedFrameNumber for one in captures] == frames
    assert [float(one.ImagePositionPatient[2]) for one in captures] == [-30 + 3.0 * (frame - 1) for frame in frames]
    assert_valid(tmp_path / "out")


def test_what_cannot_be_written_is_refused_by_name(
    answer: Callable[[Path], Answer], scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, prediction, mapped = answer(scan)
    part = prediction.series[0]
    loose = replace(prediction, series=(replace(part, series=replace(part.series, kind="nifti")),))
    with pytest.raises(DicomError, match="no DICOM"):
        write_dicom(["sr"], predictor, loose, mapped, tmp_path / "out", prefix="01")
    nowhere = replace(part, series=replace(part.series, frame_of_reference_uid=""))
    with pytest.raises(DicomError, match="no Frame of Reference"):
        write_dicom(KINDS, predictor, replace(prediction, series=(nowhere,)), mapped, tmp_path / "out", prefix="01")
    together = replace(prediction, series=(replace(part, together=(part.series,)),))
    with pytest.raises(DicomError, match="common grid"):
        write_dicom(["seg"], predictor, together, mapped, tmp_path / "out", prefix="01")
    assert write_dicom(["sr"], predictor, together, mapped, tmp_path / "out", prefix="01")
    monkeypatch.setattr("core.reports.dicom.source.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"requirements-dicom\.txt"):
        require_dicom()


def test_the_page_hands_them_out_as_one_zip(answer: Callable[[Path], Answer], scan: Path) -> None:
    predictor, prediction, mapped = answer(scan)
    with zipfile.ZipFile(io.BytesIO(pack_dicom(KINDS, predictor, prediction))) as packed:
        assert len(packed.namelist()) == 1 + len(mapped) + len(prediction.series)
        with packed.open("01_sr.dcm") as report:
            assert dcmread(io.BytesIO(report.read())).VerificationFlag == "UNVERIFIED"
