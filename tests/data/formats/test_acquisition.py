import json
from pathlib import Path

import pytest

from core.data.formats.acquisition import Acquisition, agent_of, read_sidecar, seconds_of
from core.data.formats.dicom import read_header
from core.errors import DataError
from tests.data.dicom_files import write_mr


def test_a_sidecar_and_a_header_say_the_same(tmp_path: Path) -> None:
    header = read_header(
        write_mr(
            tmp_path / "a.dcm", SeriesDescription="T1 3D sag mdc", ProtocolName="T1", ScanningSequence=["GR", "IR"],
            PerformedProcedureStepDescription="RM CON MDC", SequenceName="*tfl3d1", ScanOptions=["FS", "SP"],
            MRAcquisitionType="3D", ImageType=["ORIGINAL", "PRIMARY", "M"], ContrastBolusAgent="Dotarem", FlipAngle=9,
            RepetitionTime=2300, EchoTime=2.5, InversionTime=900, SeriesNumber=12, AcquisitionTime="103342.500000",
        )
    )  # fmt: skip
    fields = {
        "SeriesDescription": "T1 3D sag mdc", "ProtocolName": "T1", "ScanningSequence": "GR\\IR",
        "ProcedureStepDescription": "RM CON MDC", "SequenceName": "*tfl3d1", "ScanOptions": "FS\\SP",
        "MRAcquisitionType": "3D", "ImageType": ["ORIGINAL", "PRIMARY", "M"], "ContrastBolusIngredient": "Dotarem",
        "FlipAngle": 9, "RepetitionTime": 2.3, "EchoTime": 0.0025, "InversionTime": 0.9, "SeriesNumber": 12,
        "AcquisitionTime": "10:33:42.500000",
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(fields))
    sidecar = read_sidecar(tmp_path / "a.json")
    assert sidecar == header.acquisition
    assert sidecar.acquired_seconds == header.acquisition.acquired_seconds == 10 * 3600 + 33 * 60 + 42.5


def test_odd_fields_of_a_sidecar_count_as_not_stated(tmp_path: Path) -> None:
    odd = {"EchoTime": "n/a", "RepetitionTime": None, "ImageType": 7, "SeriesDescription": ["T1"]}
    (tmp_path / "a.json").write_text(json.dumps({**odd, "FlipAngle": float("nan"), "AcquisitionTime": "noon"}))
    assert read_sidecar(tmp_path / "a.json") == Acquisition(image_type=("7",))
    assert read_sidecar(tmp_path / "a.json").acquired_seconds is None


def test_a_sidecar_of_an_older_converter(tmp_path: Path) -> None:
    fields = {"ScanningSequence": "EP_GR", "ScanOptions": "FAST_GEMS\\FS", "PulseSequenceDetails": "%SiemensSeq%\\ep2d"}
    (tmp_path / "a.json").write_text(json.dumps(fields))
    found = read_sidecar(tmp_path / "a.json")
    assert (found.scanning_sequence, found.scan_options) == (("EP", "GR"), ("FAST_GEMS", "FS"))
    assert found.sequence_name == "%SiemensSeq%\\ep2d"


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_sidecar_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sub-1_T1w.json").write_bytes(content)
    with pytest.raises(DataError, match=r"sub-1_T1w\.json .*convert the scan again"):
        read_sidecar(tmp_path / "sub-1_T1w.json")


def test_a_text_where_a_number_describes_the_scan_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    for keyword, tag in (("RepetitionTime", b"\x18\x00\x80\x00"), ("EchoTime", b"\x18\x00\x81\x00")):
        odd = write_mr(tmp_path / f"{keyword}.dcm", **{keyword: "1234"})
        odd.write_bytes(odd.read_bytes().replace(tag + b"DS\x04\x001234", tag + b"DS\x04\x00ANON"))
        assert b"ANON" in odd.read_bytes()
        acquisition = read_header(odd).acquisition
        assert (acquisition.repetition_time_ms, acquisition.echo_time_ms) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "", "none", "NO", "N/A", "no contrast", "0", "--", "ohne KM", "without", "keine KM", "nein", "non", "aucun",
        "ninguno", "S/C", "nessuno", "sem contraste", "geen", "brak", "yok", "0.0 ml", "W/O", "nativ", "None given", "ingen",
    ],
)  # fmt: skip
def test_an_agent_that_was_not_given_is_none(text: str) -> None:
    assert agent_of(text) == ""


@pytest.mark.parametrize("text", ["Dotarem", "GADAVIST", "Novarem 10 ml", "10ml", "Sinerem", "Nonionic Gd"])
def test_an_agent_that_was_given(text: str) -> None:
    assert agent_of(text) == text


def test_times_of_day() -> None:
    assert seconds_of("000010") == seconds_of("00:00:10.") == 10
    assert seconds_of("10:4:9.25") == 36249.25
    assert seconds_of("") is None
