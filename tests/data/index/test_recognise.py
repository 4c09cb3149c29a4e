from pathlib import Path
from typing import Any

import pytest

from core.data.formats.dicom import read_header
from core.data.index.recognise import is_localiser_name, recognise_name, recognise_sequence, strip_sequence
from core.mri import MRSequence
from tests.data.dicom_files import write_mr

FLAIR, T1W, T1WCE, T2W, UNKNOWN = MRSequence


@pytest.mark.parametrize("sequence", [FLAIR, T1W, T1WCE, T2W])
def test_the_competitions_folders(sequence: MRSequence) -> None:
    assert recognise_name(sequence) is sequence


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("t2f", FLAIR), ("t1n", T1W), ("t1c", T1WCE), ("t2w", T2W), ("t1ce", T1WCE), ("t1gd", T1WCE), ("t1", T1W),
        ("00430_T1wCE_012", T1WCE), ("BraTS-GLI-00001-000-t2f", FLAIR), ("BraTS20_Training_001_t2", T2W),
        ("AX T2 FLAIR", FLAIR), ("AXT2FLAIR", FLAIR), ("Sag 3D CUBE FLAIR", FLAIR), ("t2_space_dark-fluid_sag", FLAIR),
        ("T1 FLAIR", T1W), ("t1_mprage_sag_p2_iso", T1W), ("MP RAGE", T1W), ("T1-weighted", T1W), ("AX_T1_PRE_CONTRAST", T1W),
        ("AX T1 POST", T1WCE), ("AXT1POST", T1WCE), ("T1+C", T1WCE), ("t1_se_tra_km", T1WCE), ("POST GAD T1 COR", T1WCE),
        ("MPRAGE post", T1WCE), ("t2_tse_tra_320", T2W), ("T2WI", T2W),
        ("T2*", UNKNOWN), ("t2star", UNKNOWN), ("DWI_b1000", UNKNOWN), ("localizer", UNKNOWN), ("SWI", UNKNOWN),
        ("axial_epi_fmri", UNKNOWN), ("T1 T2 mapping", UNKNOWN), ("flair_seg", UNKNOWN),
        ("Image-12", None), ("T10", None), ("yes", None), ("", None), ("1 no", None), ("unmethylated", None),
    ],
)  # fmt: skip
def test_names(name: str, sequence: MRSequence | None) -> None:
    assert recognise_name(name) is sequence
    assert recognise_name(name.upper()) is sequence
    assert recognise_name(name.lower()) is sequence


def test_the_folder_decides_before_the_file_and_the_header(tmp_path: Path) -> None:
    header = read_header(write_mr(tmp_path / "a.dcm", SeriesDescription="T2 TSE", ProtocolName="FLAIR"))
    found = recognise_sequence(folder="T1wCE", file="t2w", header=header)
    assert (found.sequence, found.reason) == (T1WCE, "folder name 'T1wCE'")
    found = recognise_sequence(folder="series 4", file="Image-3", header=header)
    assert (found.sequence, found.reason) == (T2W, "SeriesDescription 'T2 TSE'")
    found = recognise_sequence(folder="DWI", header=header)
    assert (found.sequence, found.confidence, found.reason) == (
        UNKNOWN,
        "",
        "a diffusion image, by its folder name 'DWI'",
    )


SPIN_ECHO_T1 = {"RepetitionTime": 500, "EchoTime": 12, "ScanningSequence": "SE"}


@pytest.mark.parametrize(
    ("folder", "attributes", "sequence", "confidence", "reason"),
    [
        ("T2w", SPIN_ECHO_T1, T2W, "certain", "folder name 'T2w'"),
        ("s1", {"SeriesDescription": "AX T1"}, T1W, "likely", "SeriesDescription 'AX T1'"),
        ("s1", {"SeriesDescription": "AX T1", **SPIN_ECHO_T1}, T1W, "likely",
         "SeriesDescription 'AX T1', borne out by timing (TR 500 ms, TE 12 ms)"),
        ("s1", {"SeriesDescription": "AX T1 w/o contrast", **SPIN_ECHO_T1}, T1W, "certain",
         "SeriesDescription 'AX T1 w/o contrast', borne out by timing (TR 500 ms, TE 12 ms)"),
        ("s1", {"SeriesDescription": "AX T1 +GD", **SPIN_ECHO_T1}, T1WCE, "certain",
         "SeriesDescription 'AX T1 +GD', borne out by timing (TR 500 ms, TE 12 ms)"),
        ("s1", {"SeriesDescription": "AX T1", "ContrastBolusAgent": "Gadavist", **SPIN_ECHO_T1}, T1WCE, "likely",
         "SeriesDescription 'AX T1', borne out by timing (TR 500 ms, TE 12 ms, contrast agent); with a contrast agent"),
        ("s1", {"SeriesDescription": "AX T1", "ContrastBolusAgent": "none", **SPIN_ECHO_T1}, T1W, "likely",
         "SeriesDescription 'AX T1', borne out by timing (TR 500 ms, TE 12 ms)"),
        ("s1", {"ProtocolName": "T2 TSE", **SPIN_ECHO_T1}, T2W, "guess",
         "ProtocolName 'T2 TSE', though timing (TR 500 ms, TE 12 ms) speaks for T1w"),
        ("s1", SPIN_ECHO_T1, T1W, "guess", "timing (TR 500 ms, TE 12 ms)"),
        ("s1", {"AcquisitionContrast": "FLUID_ATTENUATED"}, FLAIR, "likely", "AcquisitionContrast 'FLUID_ATTENUATED'"),
        ("s1", {"AcquisitionContrast": "T1", "ContrastBolusAgent": "Gadavist"}, T1WCE, "likely",
         "AcquisitionContrast 'T1'; with a contrast agent"),
        ("s1", {}, UNKNOWN, "", "neither name nor timing say which sequence it is"),
    ],
)  # fmt: skip
def test_how_sure_it_is(
    tmp_path: Path, folder: str, attributes: dict[str, Any], sequence: MRSequence, confidence: str, reason: str
) -> None:
    header = read_header(write_mr(tmp_path / "a.dcm", **attributes))
    found = recognise_sequence(folder=folder, file="Image-1", header=header)
    assert (found.sequence, found.confidence, found.reason) == (sequence, confidence, reason)


@pytest.mark.parametrize(
    ("timing", "sequence"),
    [
        ({"RepetitionTime": 9000, "EchoTime": 125, "InversionTime": 2500, "ScanningSequence": ["SE", "IR"]}, FLAIR),
        ({"RepetitionTime": 500, "EchoTime": 12, "ScanningSequence": "SE"}, T1W),
        ({"RepetitionTime": 500, "EchoTime": 12, "ScanningSequence": "SE", "ContrastBolusAgent": "Gadavist"}, T1WCE),
        ({"RepetitionTime": 2300, "EchoTime": 3, "InversionTime": 900, "ScanningSequence": ["GR", "IR"]}, T1W),
        ({"RepetitionTime": 4500, "EchoTime": 100, "ScanningSequence": "SE"}, T2W),
        ({"RepetitionTime": 5000, "EchoTime": 404, "InversionTime": 1800, "ScanningSequence": ["SE", "IR"]}, FLAIR),
        ({"RepetitionTime": 2000, "EchoTime": 20, "InversionTime": 800, "ScanningSequence": "IR"}, T1W),
        ({"RepetitionTime": 600, "EchoTime": 29, "MRAcquisitionType": "3D", "ScanningSequence": "SE"}, T1W),
        ({"RepetitionTime": 8, "EchoTime": 3.5, "MRAcquisitionType": "3D", "ScanningSequence": "GR"}, T1W),
        ({"RepetitionTime": 8, "EchoTime": 3.5, "MRAcquisitionType": "2D", "ScanningSequence": "GR"}, UNKNOWN),
        ({"RepetitionTime": 4000, "EchoTime": 60, "InversionTime": 160, "ScanningSequence": ["SE", "IR"]}, UNKNOWN),
        ({"RepetitionTime": 700, "EchoTime": 20, "ScanningSequence": "GR"}, UNKNOWN),
        ({"RepetitionTime": 3000, "EchoTime": 30, "ScanningSequence": "SE"}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_the_timing_is_asked_last(tmp_path: Path, timing: dict[str, Any], sequence: MRSequence) -> None:
    header = read_header(write_mr(tmp_path / "a.dcm", **timing))
    found = recognise_sequence(folder="series", file="Image-1", header=header)
    assert found.sequence is sequence
    assert ("TR" in found.reason) == bool(timing)


def test_the_sequence_comes_off_a_files_stem() -> None:
    assert strip_sequence("BraTS-GLI-00001-000-t2f") == "BraTS-GLI-00001-000"
    assert strip_sequence("case_7_t1ce") == "case_7"
    assert strip_sequence("t1") == "t1"
    assert strip_sequence("case_7") == "case_7"
    assert strip_sequence("sub-1_ses-2_run-01_T1w") == strip_sequence("sub-1_ses-2_FLAIR") == "sub-1_ses-2"
    assert strip_sequence("sub-1_ce-gadolinium_T1w") == "sub-1"
    assert strip_sequence("sub-1_notes") == "sub-1_notes"


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "a phase image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PHASE_MAP"]}, "a phase image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "R", "ND"]}, "a real or imaginary image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "T1 MAP"]}, "a map"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SUBTRACTION"]}, "a subtraction"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "a diffusion image"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "a projection"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "OPP_PHASE"]}, "a fat or opposed-phase image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "F", "F", "FFE"]}, "a fat or opposed-phase image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI", "ND"]}, "a susceptibility or T2* image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "ADC_MAP"]}, "a diffusion image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "ND", "STDDEV"]}, "a map"),
        ({"SequenceName": "*re_b1000"}, "an echo-planar or functional image"),
        ({"SequenceName": "*ci3d"}, "a cisternogram or balanced image"),
        ({"ComplexImageComponent": "PHASE"}, "a phase image"),
        ({"EchoPlanarPulseSequence": "YES"}, "an echo-planar or functional image"),
        ({"ScanningSequence": ["EP", "SE"]}, "an echo-planar or functional image"),
        ({"SequenceName": "*ep2d_tra"}, "an echo-planar or functional image"),
        ({"AngioFlag": "Y"}, "an angiogram"),
        ({"AcquisitionContrast": "DIFFUSION"}, "a diffusion image"),
    ],
)
def test_a_header_that_says_that_it_is_none_of_the_four_goes_before_a_name(
    tmp_path: Path, attributes: dict[str, Any], kind: str
) -> None:
    header = read_header(
        write_mr(tmp_path / "a.dcm", **SPIN_ECHO_T1 | {"SeriesDescription": "AX T1 POST"} | attributes)
    )
    found = recognise_sequence(folder="series", file="Image-1", header=header)
    assert (found.sequence, found.confidence, found.reason) == (UNKNOWN, "", f"{kind}, by its header")


@pytest.mark.parametrize(
    "image_type",
    [["ORIGINAL", "PRIMARY", "M", "FFE", "REAL"], ["ORIGINAL", "PRIMARY", "PROPELLER", "NONE", "REAL"],
     ["ORIGINAL", "SECONDARY", "M", "ND", "NORM"], ["ORIGINAL", "PRIMARY", "PROJECTION IMAGE", "M", "SE"]],
)  # fmt: skip
def test_a_magnitude_image_stays_one_of_the_four(tmp_path: Path, image_type: list[str]) -> None:
    header = read_header(write_mr(tmp_path / "a.dcm", SeriesDescription="T2 TSE", ImageType=image_type))
    assert recognise_sequence(header=header).sequence is T2W


@pytest.mark.parametrize(
    ("name", "timing", "sequence", "confidence"),
    [
        ("AX_T2__GRE", {"RepetitionTime": 620, "EchoTime": 20, "ScanningSequence": "GR"}, UNKNOWN, ""),
        ("AX T2", {"RepetitionTime": 620, "EchoTime": 20, "ScanningSequence": "GR"}, UNKNOWN, ""),
        ("T2 DUAL", {"RepetitionTime": 2800, "EchoTime": 14, "ScanningSequence": "SE"}, UNKNOWN, ""),
        ("AX PD T2", {"RepetitionTime": 2800, "EchoTime": 90, "ScanningSequence": "SE"}, T2W, "certain"),
        ("t2_spc_da-fl_sag", {"RepetitionTime": 5000, "EchoTime": 390, "InversionTime": 1800}, FLAIR, "certain"),
        ("t2_space_sag", {"RepetitionTime": 5000, "EchoTime": 390, "InversionTime": 1800}, FLAIR, "likely"),
        ("t2_tirm_cor", {"RepetitionTime": 5000, "EchoTime": 60, "InversionTime": 170}, UNKNOWN, ""),
        ("T1 vol DTI", {"RepetitionTime": 8, "EchoTime": 3.7, "ScanningSequence": "GR"}, T1W, "likely"),
        ("T1 vol DTI", {"RepetitionTime": 8000, "EchoTime": 90, "ScanningSequence": "SE"}, UNKNOWN, ""),
    ],
)
def test_the_timing_tells_what_a_name_leaves_open(
    tmp_path: Path, name: str, timing: dict[str, Any], sequence: MRSequence, confidence: str
) -> None:
    header = read_header(write_mr(tmp_path / "a.dcm", SeriesDescription=name, **timing))
    found = recognise_sequence(folder="series", file="Image-1", header=header)
    assert (found.sequence, found.confidence) == (sequence, confidence)


def test_a_folder_called_by_its_description_is_no_statement(tmp_path: Path) -> None:
    gradient = {"RepetitionTime": 620, "EchoTime": 20, "ScanningSequence": "GR"}
    header = read_header(write_mr(tmp_path / "a.dcm", **gradient))
    assert recognise_sequence(folder="AX T2 TRA", header=header).sequence is UNKNOWN
    assert recognise_sequence(folder="T2w", header=header).sequence is T2W
    planar = read_header(write_mr(tmp_path / "b.dcm", ScanningSequence="EP"))
    assert recognise_sequence(folder="AX T2 TRA", header=planar).sequence is UNKNOWN
    assert recognise_sequence(folder="T2w", header=planar).sequence is T2W


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "a phase image"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SUBTRACTION"]}, "a subtraction"),
        ({"ImageType": ["DERIVED", "PRIMARY", "T1 MAP"]}, "a map"),
        ({"ImageType": ["DERIVED", "PRIMARY", "ADC"]}, "a diffusion image"),
        ({"ComplexImageComponent": "PHASE"}, "a phase image"),
    ],
)
def test_an_image_type_goes_before_the_name_of_a_folder(tmp_path: Path, attributes: dict[str, Any], kind: str) -> None:
    header = read_header(write_mr(tmp_path / "a.dcm", **attributes))
    found = recognise_sequence(folder="T1w", header=header)
    assert (found.sequence, found.none_of_the_four) == (UNKNOWN, True)
    assert found.reason == f"{kind}, by its header, whatever its folder name 'T1w' says"
    plain = read_header(write_mr(tmp_path / "b.dcm", ImageType=["DERIVED", "SECONDARY"]))
    assert recognise_sequence(folder="T1w", header=plain).confidence == "certain"


@pytest.mark.parametrize(
    "name", ["AAHead_Scout", "3 Plane Loc SSFSE", "Survey_SHC", "localizer", "3-plane", "Smart Brain"]
)
def test_localisers_by_name(name: str) -> None:
    assert is_localiser_name(name)
    assert not is_localiser_name("ax t1")
