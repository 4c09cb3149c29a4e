import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary

from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.formats.dicom import read_header
from core.data.formats.header import ATTRIBUTES
from core.data.privacy import privacy_warnings, survey_identifying_tags
from core.data.summary import describe_cohort
from core.dataset.table import build_table
from core.settings import Settings
from tests.data.dicom_files import write_mr, write_series

STACK = np.random.default_rng(0).integers(1, 4000, (9, 40, 40)).astype(np.uint16)
SECRET = "Zyxwv^Quentin"
BIRTH = "19121212"
TEXT_KINDS = ("LO", "SH", "PN", "LT", "ST", "UT", "UC", "AE")


def secrets() -> dict[str, str]:
    """A name in every text attribute and a date in every date that the project does not need."""
    planted = {}
    for tag, (kind, _, _, retired, keyword) in DicomDictionary.items():
        if tag >> 16 >= 8 and keyword and keyword not in ATTRIBUTES and not retired:
            if kind in TEXT_KINDS:
                planted[keyword] = SECRET[:16]
            elif kind == "DA":
                planted[keyword] = BIRTH
    return planted


def test_the_attributes_that_identify_are_named_and_their_values_not_read(tmp_path: Path) -> None:
    path = write_mr(tmp_path / "a.dcm", PatientBirthDate=BIRTH, InstitutionName="", OperatorsName=SECRET)
    assert tuple(sorted(read_header(path).identifying)) == (
        "OperatorsName",
        "PatientBirthDate",
        "PatientID",
        "PatientName",
    )


def test_a_survey_counts_files_and_leaves_out_what_is_de_identified(tmp_path: Path) -> None:
    write_series(tmp_path / "00001" / "FLAIR", STACK[:3], SeriesInstanceUID="1.1", PatientBirthDate=BIRTH)
    write_series(tmp_path / "00001" / "T1w", STACK[:2], SeriesInstanceUID="1.2")
    write_series(tmp_path / "00001" / "T2w", STACK[:2], SeriesInstanceUID="1.3", PatientIdentityRemoved="YES")
    cohort = scan_cohort(tmp_path)
    expected = {"PatientBirthDate": 3, "PatientID": 5, "PatientName": 5}
    assert survey_identifying_tags(cohort.series) == expected
    assert describe_cohort(cohort)["privacy"] == expected
    (warning,) = privacy_warnings(cohort.series)
    assert "(PatientBirthDate, PatientID, PatientName)" in warning
    assert privacy_warnings([series for series in cohort.series if series.sequence == "T2w"]) == ()


@pytest.mark.parametrize(
    ("attributes", "burned"),
    [
        ({"BurnedInAnnotation": "YES"}, True),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, True),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "BurnedInAnnotation": "NO"}, False),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, True),
        ({}, False),
    ],
)
def test_text_in_the_pixels_is_warned_of(tmp_path: Path, attributes: dict[str, Any], burned: bool) -> None:
    write_series(tmp_path / "00001" / "FLAIR", STACK[:3], PatientIdentityRemoved="YES", **attributes)
    cohort = scan_cohort(tmp_path)
    assert describe_cohort(cohort)["burned_in"] == int(burned)
    warnings = privacy_warnings(cohort.series)
    assert len(warnings) == int(burned)
    sequence = next(iter(cohort.series)).sequence  # a picture of a screen is no FLAIR, whatever its folder says
    assert all(f"burned into the pixels ({sequence})" in warning for warning in warnings)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_no_name_and_no_birth_date_is_written_anywhere(
    tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    planted = secrets()
    assert len(planted) > 500
    paths = write_series(tmp_path / "data" / "00001" / "FLAIR", STACK, **planted)
    paths += write_series(tmp_path / "data" / "00002" / "T1w", STACK, syntax="1.2.840.10008.1.2", **planted)
    dataset = pydicom.dcmread(paths[0])
    dataset.private_block(0x0011, "A VENDOR", create=True).add_new(1, "LO", SECRET)
    dataset.save_as(paths[0])
    cut = paths[1].read_bytes()
    paths[1].write_bytes(cut[: len(cut) // 2])
    with caplog.at_level(logging.DEBUG):
        cohort = scan_cohort(tmp_path / "data", settings=settings)
        table = build_table(cohort, PrepConfig(size_px=32), settings, jobs=1)
    said = (
        json.dumps(describe_cohort(cohort))
        + repr(cohort)
        + repr(table.faults)
        + caplog.text
        + "".join(capfd.readouterr())
    )
    written = [path for path in settings.home.rglob("*") if path.is_file()]
    assert "PatientBirthDate" in said
    assert len(written) >= 3
    for secret in (SECRET.split("^")[0], BIRTH):
        assert secret not in said
        assert not any(secret.encode() in path.read_bytes() for path in written)
