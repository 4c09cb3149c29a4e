"""--assign, the recognised series, and what identifies a person, as predict and index tell them."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.cli.commands import Command


@pytest.fixture(autouse=True)
def _home(home_with_run: Path) -> Iterator[None]:
    return


@pytest.fixture
def nameless(study: Path, tmp_path: Path) -> Path:
    """A study whose T2w series says nowhere what it is, and whose files hold a name."""
    folder = tmp_path / "case"
    shutil.copytree(study, folder)
    (folder / "T2w").rename(folder / "s4")
    for path in (folder / "s4").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SeriesDescription = "brain"
        dataset.PatientName, dataset.PatientIdentityRemoved = "Zyxwv^Quentin", "NO"
        del dataset.ScanningSequence, dataset.RepetitionTime
        dataset.save_as(path)
    return folder


def test_a_series_is_assigned_its_sequence(command: Command, nameless: Path) -> None:
    document = command("predict", "tiny", nameless, "--json").json
    stranger = next(series for series in document["series"] if series["sequence"] == "unknown")
    assert stranger["confidence"] == ""
    uid = stranger["series_uid"]
    result = command("predict", "tiny", nameless, "--assign", f"{uid}=t2w", "--json")
    assigned = next(series for series in result.json["series"] if series["series_uid"] == uid)
    assert (assigned["sequence"], assigned["confidence"]) == ("T2w", "certain")
    assert assigned["reason"] == "as assigned by you"
    assert len(result.json["studies"][0]["series"]) == 4


def test_what_identifies_a_person_is_named_without_its_value(command: Command, nameless: Path, study: Path) -> None:
    result = command("predict", "tiny", nameless, "--json")
    assert any(
        "identifying attributes" in text and "PatientName" in text for text in result.json["studies"][0]["warnings"]
    )
    assert "Zyxwv" not in result.stdout + result.stderr
    index = command("index", nameless, "--json")
    assert index.json["privacy"]["PatientName"] == 8
    assert "Zyxwv" not in index.stdout + index.stderr
    assert command("index", study, "--json").json["privacy"] == {}


def test_a_name_typed_into_a_description_is_not_printed(command: Command, nameless: Path) -> None:
    for path in nameless.rglob("*"):
        if path.is_file():
            dataset = pydicom.dcmread(path)
            dataset.PatientName, dataset.SeriesDescription = "Zyxwv^Quentin", "zyxwv t1"
            dataset.save_as(path)
    for name in ("index", "audit"):
        result = command(name, nameless, "--json")
        assert "zyxwv" not in (result.stdout + result.stderr).lower()
    assert "[redacted]" in command("predict", "tiny", nameless, "--json").stdout


def test_an_assignment_that_cannot_be_is_refused(command: Command, study: Path) -> None:
    command("predict", "tiny", study, "--assign", "1.2.3").assert_refused("'1.2.3' is not UID=SEQUENCE", "FLAIR")
    command("predict", "tiny", study, "--assign", "1.2.3=PET").assert_refused("is not UID=SEQUENCE")
    command("predict", "tiny", study, "--assign", "1.2.3=FLAIR").assert_refused("No series has the UID '1.2.3'")


def test_a_tar_gives_the_same_answer_as_the_folder(command: Command, study: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "scan.tar.gz", "w:gz") as archive:
        archive.add(study, arcname=study.name)
    answers = [command("predict", "tiny", scan, "--json").json["studies"] for scan in (study, tmp_path / "scan.tar.gz")]
    assert answers[0][0]["probability"] == answers[1][0]["probability"]
