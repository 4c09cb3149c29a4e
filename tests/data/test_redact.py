"""Names typed into descriptions: taken out, by whichever way a header is read, and what recognition needs is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from core.data.cohort import scan_cohort
from core.data.formats.dicom import load_file, read_header
from core.data.formats.series_reader import SeriesReader
from core.data.privacy import privacy_warnings
from core.data.summary import describe_cohort
from core.data.upload import open_scan
from core.settings import Settings, load_settings
from tests.data.dicom_files import write_mr, write_series

STACK = np.random.default_rng(0).integers(1, 4000, (4, 40, 40)).astype(np.uint16)


def described(folder: Path, text: str, **attributes: Any) -> str:
    return read_header(write_mr(folder / "a.dcm", SeriesDescription=text, **attributes)).acquisition.series_description


@pytest.mark.parametrize(
    ("attributes", "text", "kept"),
    [
        ({"PatientName": "Zyxwv^Quentin"}, "AX FLAIR zyxwv_QUENTIN2", "AX FLAIR [redacted]_[redacted]2"),
        ({"PatientName": "Axial^Flair^Mprage^Post"}, "axial FLAIR mprage post", "axial FLAIR mprage post"),
        ({"PatientName": "Ax^Xu"}, "ax xu t1", "ax xu t1"),
        ({"PatientName": "Blanco^Magic"}, "t1 blanco Magic mdc", "t1 [redacted] [redacted] mdc"),
        ({"PatientName": "Mdc^Kontrast^Senza"}, "t1 senza mdc kontrast", "t1 senza mdc kontrast"),
        ({"PatientName": "Bianco^Ludwig"}, "t1 bianco LUDWIG mdc", "t1 [redacted] [redacted] mdc"),
        ({"PatientName": "Doe^Jane"}, "Doerte T1", "Doerte T1"),
        (
            {"OtherPatientNames": "Quux", "OperatorsName": ["Foobar^A", "Barfoo^B"]},
            "t2 quux Barfoo",
            "t2 [redacted] [redacted]",
        ),
        ({"ReferringPhysicianName": "Grault^Gwen"}, "t1 for Dr Grault", "t1 for Dr [redacted]"),
        ({"PatientID": "MRN-4711881"}, "t1 4711881 mrn", "t1 [redacted] [redacted]"),
        ({"PatientID": "512"}, "t1 512", "t1 512"),
        (
            {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Ötzi"},
            "t2 MULLER otzi",
            "t2 [redacted] [redacted]",
        ),
        ({"SpecificCharacterSet": "ISO_IR 192", "PatientName": "山田^太郎"}, "t2 山田", "t2 [redacted]"),
    ],
)
def test_words_of_identifying_attributes_are_taken_out(
    tmp_path: Path, attributes: dict[str, Any], text: str, kept: str
) -> None:
    assert described(tmp_path, text, **attributes) == kept
    assert described(tmp_path, text, syntax=ImplicitVRLittleEndian, **attributes) == kept


def test_the_study_s_own_id_stays(tmp_path: Path) -> None:
    assert described(tmp_path / "Case0815" / "x", "t1 case0815", PatientID="Case0815") == "t1 case0815"
    assert described(tmp_path / "00001" / "x", "t1 case0815", PatientID="Case0815") == "t1 [redacted]"


def test_every_free_text_that_is_kept_is_cleaned(tmp_path: Path) -> None:
    common = ("SeriesDescription", "ProtocolName", "ContrastBolusAgent")
    for further in (("StudyDescription", "SequenceName"), ("PerformedProcedureStepDescription", "PulseSequenceName")):
        texts = dict.fromkeys((*common, *further), "zyxwv")
        header = read_header(write_mr(tmp_path / "a.dcm", PatientName="Zyxwv^Q", **texts))
        assert repr(header).count("[redacted]") == 5
        assert "zyxwv" not in repr(header)


def test_a_file_whose_patient_differs_is_not_filled_from_the_one_before(tmp_path: Path) -> None:
    reader = SeriesReader(load_settings())
    names = ["Alpha^A", "Bravissimo^B", "Zyxwv^C", "Zyxwv^C"]
    said = []
    for index, name in enumerate(names):
        path = write_mr(
            tmp_path / f"{index}.dcm", PatientName=name, SeriesDescription="t1 zyxwv", SOPInstanceUID=f"1.{index}"
        )
        said.append(reader.read_frames(path, load_file(path))[0][0].acquisition.series_description)
    assert said == ["t1 zyxwv", "t1 zyxwv", "t1 [redacted]", "t1 [redacted]"]


def test_a_file_in_another_folder_is_not_filled_from_the_one_before(tmp_path: Path) -> None:
    """An ID that is the one study's folder is not that of the other's."""
    reader = SeriesReader(load_settings())
    own, other = (
        write_mr(tmp_path / folder / "a.dcm", PatientID="Case0815", SeriesDescription="t1 case0815")
        for folder in ("Case0815", "00001")
    )
    (header,) = reader.read_headers(own)
    assert header.acquisition.series_description == "t1 case0815"
    assert reader.match_header(other) is None


def test_no_typed_name_is_shown_or_kept(tmp_path: Path, settings: Settings) -> None:
    typed = {"PatientName": "Zyxwv^Quentin", "SeriesDescription": "ZYXWV T1 post", "ProtocolName": "Quentin head"}
    write_series(tmp_path / "data" / "00001" / "s1", STACK, **typed)
    cohort = scan_cohort(tmp_path / "data", settings=settings)
    (series,) = cohort.series
    assert (series.sequence, series.description) == ("T1wCE", "[redacted] T1 post")
    uploaded = open_scan([tmp_path / "data" / "00001"], tmp_path / "work", settings)
    warnings = privacy_warnings(uploaded.series)
    assert "PatientName" in warnings[0]
    said = repr(uploaded) + json.dumps(describe_cohort(uploaded)) + repr(cohort) + "".join(warnings)
    assert "[redacted] T1 post" in said
    written = [path.read_bytes() for path in settings.home.rglob("*") if path.is_file()]
    assert written
    for secret in ("zyxwv", "quentin"):
        assert secret not in said.lower()
        assert not any(secret.encode() in content.lower() for content in written)
