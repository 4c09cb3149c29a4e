"""Whatever a person can get wrong ends in exit 2 and one line that says what and how to mend it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pydicom
import pytest

from tests.cli.commands import TINY, Command


@pytest.fixture
def slice_file(study: Path, tmp_path: Path) -> Path:
    """A copy of one synthetic DICOM file."""
    return Path(shutil.copy(sorted((study / "FLAIR").iterdir())[3], tmp_path / "slice.dcm"))


def test_text_named_dcm(command: Command, home_with_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "letter.dcm"
    path.write_text("Dear doctor, this is not an image.")
    command("predict", "tiny", path).assert_refused("letter.dcm")
    command("predict", "tiny", path, "--json").assert_refused("letter.dcm")


def test_ct(command: Command, home_with_run: Path, slice_file: Path) -> None:
    dataset = pydicom.dcmread(slice_file)
    dataset.Modality = "CT"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.save_as(slice_file)
    command("predict", "tiny", slice_file).assert_refused("CT", "MR")


def test_no_pixels(command: Command, home_with_run: Path, slice_file: Path) -> None:
    dataset = pydicom.dcmread(slice_file)
    del dataset.PixelData
    dataset.save_as(slice_file)
    command("predict", "tiny", slice_file).assert_refused("pixel")


def test_giant_dimensions(command: Command, home_with_run: Path, slice_file: Path) -> None:
    dataset = pydicom.dcmread(slice_file)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(slice_file)
    command("predict", "tiny", slice_file).assert_refused("65535")


def test_zip_that_climbs_out(command: Command, home_with_run: Path, slice_file: Path, tmp_path: Path) -> None:
    archive = tmp_path / "climbing.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(slice_file, "../../escaped.dcm")
    command("predict", "tiny", archive).assert_refused("../../escaped.dcm", "refused")
    assert not list(tmp_path.rglob("escaped.dcm"))


def test_zip_that_inflates(
    command: Command, home_with_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MGMT_LAB_UPLOAD_MB", "1")
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros.dcm", bytes(8 * 1024 * 1024))
    command("predict", "tiny", archive).assert_refused("1 MB")


def test_damaged_zip(command: Command, home_with_run: Path, tmp_path: Path) -> None:
    archive = tmp_path / "damaged.zip"
    archive.write_bytes(b"PK\x03\x04" + bytes(100))
    command("predict", "tiny", archive).assert_refused("damaged.zip")


def test_empty_folders(command: Command, home_with_run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments in (("predict", "tiny", empty), ("index", empty), ("prepare", empty), ("train", empty)):
        result = command(*arguments)
        assert (result.status, result.stdout) == (2, "")
        assert "empty" in result.stderr.splitlines()[-1]
        assert result.stderr.splitlines()[-1].startswith("error: ")


def test_what_does_not_exist(command: Command, home_with_run: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    command("predict", "tiny", nowhere).assert_refused("nowhere")
    command("index", nowhere).assert_refused("nowhere")
    command("predict", "none", nowhere).assert_refused("'none'", "tiny")
    command("evaluate", "none").assert_refused("'none'")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("BraTS21ID,label\n10000,1\n", "MGMT_value"),
        ("colour,MGMT_value\n10000,1\n", "BraTS21ID"),
        ("BraTS21ID,MGMT_value\n{id},2\n", "2"),
        ("BraTS21ID,MGMT_value\n{id},1\n{id},0\n", "{id}"),
        ("BraTS21ID,MGMT_value\n../x,1\n", "../x"),
        ("", "labels.csv"),
    ],
)
def test_label_tables(command: Command, cohort: Path, study: Path, tmp_path: Path, content: str, said: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(content.replace("{id}", study.name))
    command("index", cohort, "--labels", table, "--jobs", 1).assert_refused(
        "labels.csv", said.replace("{id}", study.name)
    )


def test_missing_label_table(command: Command, cohort: Path) -> None:
    command("index", cohort, "--labels", "/nowhere/labels.csv", "--jobs", 1).assert_refused("labels.csv")


def test_damaged_checkpoints(command: Command, home_with_run: Path, study: Path, tmp_path: Path) -> None:
    whole = (home_with_run / "runs" / "tiny" / "best.safetensors").read_bytes()
    for name, content in (
        ("text", b"not weights at all"),
        ("empty", b""),
        ("short", whole[: len(whole) // 2]),
        ("header", whole[:8] + b"x" * 100 + whole[108:]),
    ):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        command("predict", path, study).assert_refused(f"{name}.safetensors")
        command("explain", path, study, "--out", tmp_path / "maps").assert_refused(f"{name}.safetensors")


def test_a_sequence_that_the_checkpoint_never_saw(
    command: Command, cohort: Path, study: Path, home_with_run: Path
) -> None:
    only = ("--set", "sequences=FLAIR", "--set", "epochs=1", "--run", "flair")
    assert command("train", cohort, *TINY, *only).status == 0
    command("predict", "flair", study / "T2w").assert_refused("trained on FLAIR", "T2w")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--preset", "best"), "paper, honest"),
        (("--set", "epoch=2"), "Did you mean epochs"),
        (("--set", "epochs"), "name=value"),
        (("--set", "epochs=0"), "epochs"),
        (("--set", "epochs=many"), "many"),
        (("--set", "architecture=resnet19"), "resnet18"),
        (("--set", "weights=/nowhere/weights.pth"), "/nowhere/weights.pth"),
        (("--set", "sequences=DWI"), "DWI"),
        (("--layout", "heap"), "heap"),
        (("--patient-pattern", "("), "("),
        (("--colour",), "--colour"),
    ],
)
def test_configurations(command: Command, cohort: Path, arguments: tuple[str, ...], said: str) -> None:
    result = command("train", cohort, *TINY[:6], *arguments)
    assert result.status == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert said in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_settings_of_the_installation(command: Command, cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGMT_LAB_THREADS", "many")
    command("index", cohort).assert_refused("MGMT_LAB_THREADS", "many")


def test_a_folder_that_cannot_be_written(command: Command, home_with_run: Path, study: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    command("explain", "tiny", study, "--out", file / "maps").assert_refused(str(file))
    command("phantom", file, "--studies", 2).assert_refused(str(file))


def test_a_result_that_cannot_be_written_is_refused_in_words_before_the_work(
    command: Command, home_with_run: Path, cohort: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("core.inference.predict.Predictor.predict", lambda *_, **__: pytest.fail("it was predicted"))
    long = tmp_path / ("n" * 300)
    for words, said in (
        (
            ("predict", "tiny", study, "--report", tmp_path / "file" / "a.pdf"),
            "where a folder should be there is a file",
        ),
        (("predict", "tiny", cohort, "--csv", tmp_path / "file" / "a.csv"), "there is a file"),
        (("explain", "tiny", study, "--out", tmp_path / "file"), "where a folder should be there is a file"),
        (("predict", "tiny", study, "--report", long.with_suffix(".pdf")), "the name is too long"),
        (("predict", "tiny", study, "--report", "/proc/a.pdf"), "/proc/a.pdf: it is not there, or its folder takes no"),
        (("predict", "tiny", cohort, "--csv", "/proc/a.csv"), "/proc/a.csv: it is not there, or its folder takes no"),
    ):
        command(*words).assert_refused(said)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name == "file") == ["file"]
    assert (tmp_path / "file").read_text() == "in the way"


def test_no_command(command: Command) -> None:
    command().assert_refused("COMMAND")
    command("dance").assert_refused("dance")
    command("export").assert_refused("FORM")
