"""predict and explain, end to end."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from core.inference.predict import BF16_WARNING, SYNTHETIC_WARNING
from tests.cli.commands import TINY, Command


@pytest.fixture(autouse=True)
def _home(home_with_run: Path) -> Iterator[None]:
    return


def test_predict_a_study_folder(command: Command, study: Path, home_with_run: Path) -> None:
    result = command("predict", "tiny", study, "--json")
    assert result.status == 0
    (answer,) = result.json["studies"]
    assert answer["study_id"] == study.name
    assert answer["reason"] == ""
    assert 0 <= answer["probability"] <= 1
    assert answer["prediction"] in ("methylated", "unmethylated")
    assert (answer["probability"] >= answer["threshold"]) == (answer["prediction"] == "methylated")
    assert len(answer["slices"]) == 12
    assert set(answer["slices"][0]) == {"sequence", "index", "file", "position_mm", "probability"}
    assert SYNTHETIC_WARNING not in answer["warnings"]
    assert [part["slices"] for part in answer["series"]] == [8, 8, 8, 8]
    card = result.json["checkpoint"]
    assert (card["name"], card["synthetic"], card["positive_class"]) == ("tiny", True, "methylated")
    assert Path(card["path"]) == home_with_run / "runs" / "tiny" / "best.safetensors"


def test_every_way_to_hand_in_a_study_gives_the_same_answer(
    command: Command, study: Path, home_with_run: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "scan.zip"
    nameless = tmp_path / study.name
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(study.rglob("*.dcm")):
            file.write(path, path.relative_to(study.parent))
            copy = nameless / path.parent.name / path.stem
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    checkpoint = home_with_run / "runs" / "tiny" / "best.safetensors"
    answers = [
        command("predict", name, *scans, "--json").json["studies"][0]["probability"]
        for name, scans in (
            ("tiny", [study]),
            (checkpoint, [archive]),
            (checkpoint.parent, [nameless]),
            ("tiny", sorted(study.rglob("*.dcm"))),
        )
    ]
    assert answers == pytest.approx([answers[0]] * 4, abs=1e-6)


def test_one_file_is_enough(command: Command, study: Path) -> None:
    file = sorted((study / "FLAIR").iterdir())[3]
    (answer,) = command("predict", "tiny", file, "--json").json["studies"]
    assert [piece["file"] for piece in answer["slices"]] == [file.name]
    assert any("no T1w, T1wCE, T2w" in warning for warning in answer["warnings"])


def test_several_studies_at_once(command: Command, cohort: Path) -> None:
    first, second = sorted(path for path in (cohort / "train").iterdir() if path.is_dir())[:2]
    studies = command("predict", "tiny", first, second, "--json").json["studies"]
    assert [answer["study_id"] for answer in studies] == [first.name, second.name]


def test_a_faulty_file_is_named_in_a_warning_and_the_rest_goes_on(
    command: Command, study: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy" / study.name
    shutil.copytree(study, copy)
    (copy / "FLAIR" / "Image-9.dcm").write_text("this is not DICOM")
    (answer,) = command("predict", "tiny", copy, "--json").json["studies"]
    assert len(answer["slices"]) == 12
    assert any("Image-9.dcm" in warning for warning in answer["warnings"])


def test_a_gap_and_a_split_series_are_said_once(command: Command, study: Path, tmp_path: Path) -> None:
    scan = tmp_path / study.name
    shutil.copytree(study, scan)
    slices = sorted((scan / "FLAIR").iterdir(), key=lambda path: float(dcmread(path).ImagePositionPatient[2]))
    slices[3].unlink()
    for path in sorted((scan / "T2w").iterdir()):
        second = dcmread(path)
        second.EchoTime = 20
        second.SOPInstanceUID += ".2"
        second.save_as(path.with_name(f"second-{path.name}"))
    said = command("predict", "tiny", scan).stdout
    assert said.count("slices may be missing") == 1
    assert said.count("! The 16 files of T2w are 2 series by their echo time, and were split.") == 1
    assert said.count("were split") == 1


def test_one_study_of_several_that_cannot_be_predicted_is_named(
    command: Command, cohort: Path, study: Path, tmp_path: Path
) -> None:
    assert (
        command("train", cohort, *TINY, "--set", "sequences=FLAIR", "--set", "epochs=1", "--run", "flair").status == 0
    )
    other = tmp_path / "00001"
    shutil.copytree(study / "T2w", other / "T2w")
    result = command("predict", "flair", study, other, "--json")
    assert result.status == 0
    assert [answer["study_id"] for answer in result.json["studies"]] == [study.name]
    (failure,) = result.json["failed"]
    assert failure["study_id"] == "00001"
    assert "T2w" in failure["reason"]
    assert "study 00001 not predicted" in command("predict", "flair", study, other).stdout


def test_images_are_real_to_a_synthetic_checkpoint(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "slice.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60), dtype=np.uint8)).save(path)
    (answer,) = command("predict", "tiny", path, "--json").json["studies"]
    assert answer["warnings"][0] == SYNTHETIC_WARNING
    assert answer["slices"][0]["position_mm"] is None
    named = command("predict", "tiny", path, "--sequence", "T2w", "--json").json["studies"][0]
    assert named["slices"][0]["sequence"] == "T2w"


def test_bfloat16_is_computed_or_refused_and_never_dropped(command: Command, study: Path) -> None:
    for given in (["--bf16", "--runtime", "onnx"], ["--runtime", "onnx", "--bf16"]):
        command("predict", "tiny", study, *given).assert_refused("--bf16", "--runtime onnx", "leave one of them out")
    for given in (["--bf16", "--runtime", "torch"], ["--runtime", "auto", "--bf16"]):
        result = command("predict", "tiny", study, *given)
        # Which of the two, the processor decides.
        assert BF16_WARNING in result.stdout or "Leave --bf16 out" in result.stderr


def test_predict_for_a_person(command: Command, study: Path) -> None:
    result = command("predict", "tiny", study)
    assert f"study {study.name}: probability of methylated 0." in result.stdout
    assert "Research use only." in result.stdout
    assert "checkpoint tiny: resnet18, its own patient AUROC" in result.stdout
    assert "on synthetic validation patients, which chose the epoch" in result.stdout


def test_nothing_of_an_upload_is_kept(command: Command, study: Path, home_with_run: Path) -> None:
    before = sorted(home_with_run.rglob("*"))
    assert command("predict", "tiny", study).status == 0
    assert sorted(home_with_run.rglob("*")) == before


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
def test_explain_writes_each_slice_with_its_map(command: Command, study: Path, tmp_path: Path, method: str) -> None:
    out = tmp_path / "maps"
    result = command("explain", "tiny", study, "--method", method, "--out", out, "--json")
    assert result.status == 0
    assert json.loads((out / "index.json").read_text()) == result.json
    (answer,) = result.json["studies"]
    assert answer["class"] == answer["prediction"]
    assert len(answer["maps"]) == 12
    assert all(entry["raw_max"] >= 0 for entry in answer["maps"])
    strongest = max(answer["maps"], key=lambda entry: entry["raw_max"])
    image = np.asarray(Image.open(out / strongest["png"]))
    assert image.shape == (256, 512, 3)
    left, right = image[:, :256], image[:, 256:]
    assert (left[..., 0] == left[..., 2]).all()
    assert (right[..., 0] != right[..., 2]).any()
    assert len(list(out.glob("*.png"))) == 12


def test_explain_a_class_by_name_and_opacity(command: Command, study: Path, tmp_path: Path) -> None:
    strengths = {}
    for name in ("methylated", "unmethylated"):
        out = tmp_path / name
        result = command("explain", "tiny", study, "--class", name, "--opacity", "0", "--out", out, "--json")
        (answer,) = result.json["studies"]
        assert answer["class"] == name
        strengths[name] = [entry["raw_max"] for entry in answer["maps"]]
        images = [np.asarray(Image.open(path)) for path in out.glob("*.png")]
        assert all((image[:, :256] == image[:, 256:]).all() for image in images)
    assert strengths["methylated"] != strengths["unmethylated"]
    assert "Written to" in command("explain", "tiny", study, "--out", out).stdout


def test_what_explain_refuses(command: Command, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    command("explain", "tiny", study, "--out", out, "--method", "eigencam").assert_refused("eigencam", "hirescam")
    command("explain", "tiny", study, "--out", out, "--class", "glioma").assert_refused("glioma", "unmethylated")
    command("explain", "tiny", study, "--out", out, "--opacity", "2").assert_refused("--opacity", "'2'")
    command("explain", "tiny", study).assert_refused("--out")
    assert not out.exists()


def test_real_scans_are_answered_with_the_warning(command: Command, shared_data: Path) -> None:
    scans = [shared_data / "rsna_dicom" / "train" / study_id for study_id in ("00008", "00430")]
    if not all(scan.is_dir() for scan in scans):
        pytest.skip(f"no real series at {scans[0]}")
    partial, whole = command("predict", "tiny", *scans, "--json").json["studies"]
    for answer in (partial, whole):
        assert answer["warnings"][0] == SYNTHETIC_WARNING
        positions = [piece["position_mm"] for piece in answer["slices"]]
        assert positions == sorted(positions)
    assert [(part["plane"], part["blank_slices"], part["slices"]) for part in partial["series"]] == [
        ("sagittal", 8, 15)
    ]
    assert [(part["plane"], part["blank_slices"], part["slices"]) for part in whole["series"]] == [("axial", 13, 60)]


def test_explain_writes_dicom_beside_its_images(command: Command, study: Path, tmp_path: Path) -> None:
    asked = ("explain", "tiny", study, "--out", tmp_path / "out", "--dicom", "sr", "--dicom", "seg", "--json")
    (answer,) = command(*asked).json["studies"]
    assert [one["kind"] for one in answer["dicom"]] == ["sr", "seg", "seg", "seg", "seg"]
    for one in answer["dicom"]:
        assert str(dcmread(tmp_path / "out" / one["file"]).SOPInstanceUID) == one["sop_instance_uid"]
    picture = tmp_path / "FLAIR_1.png"
    Image.fromarray(np.full((40, 40), 90, np.uint8)).save(picture)
    refused = command("explain", "tiny", picture, "--out", tmp_path / "none", "--dicom", "sr")
    refused.assert_refused("no DICOM")
    assert not (tmp_path / "none").exists()


def test_predict_writes_a_report(command: Command, study: Path, tmp_path: Path) -> None:
    for name, begin in (("answer.pdf", b"%PDF"), ("answer.HTML", b"<!doctype html>")):
        said = command("predict", "tiny", study, "--report", tmp_path / name, "--json").json
        assert Path(said["report"]) == tmp_path / name
        assert (tmp_path / name).read_bytes().startswith(begin)
    command("predict", "tiny", study, "--report", tmp_path / "answer.docx").assert_refused(".pdf or .html")
    asked = ("predict", "tiny", study.parent, "--csv", tmp_path / "t.csv", "--report", tmp_path / "a.pdf")
    command(*asked).assert_refused("one of them")
