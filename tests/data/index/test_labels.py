from pathlib import Path

import pytest

from core.data.index.identity import person_of, read_identities
from core.data.index.labels import normalise_id, read_labels
from core.errors import LabelError


def table(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_one_means_methylated_and_ids_keep_their_zeros(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "BraTS21ID,MGMT_value\n00000,1\n2,0\nUPENN-GBM-0001,1\n")
    assert read_labels(path) == {"00000": 1, "00002": 0, "UPENN-GBM-0001": 1}


def test_other_programs_ways_of_writing_are_read(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "\ufeffsite,mgmt_VALUE , BraTS21ID\r\nx,1.0, 7\r\n\r\ny,0,8\r\ny,0,8\r\n")
    assert read_labels(path) == {"00007": 1, "00008": 0}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("BraTS21ID\n1\n", "no column MGMT_value"),
        ("id,MGMT_value\n1,1\n", r"no column BraTS21ID.*found 'id', 'MGMT_value'"),
        ("", "no column BraTS21ID and no column MGMT_value.*found nothing"),
        ("BraTS21ID,MGMT_value\n", "no row"),
        ("BraTS21ID,MGMT_value\n1,0\n2,2\n", "line 3: study 00002 has MGMT_value '2'; expected 0 or 1"),
        ("BraTS21ID,MGMT_value\n1,\n", "line 2.*MGMT_value ''"),
        ("BraTS21ID,MGMT_value\n1\n", "line 2.*MGMT_value None"),
        ("BraTS21ID,MGMT_value\n1,yes\n", "'yes'"),
        ("BraTS21ID,MGMT_value\n../x,1\n", r"line 2: '\.\./x' is not a study id"),
        ("BraTS21ID,MGMT_value\n,1\n", "'' is not a study id"),
        ("BraTS21ID,MGMT_value\n-5,1\n", "'-5' is not a study id"),
        ("BraTS21ID,MGMT_value\n1,1\n1,0\n", "line 3: study 00001 is 0 here and 1 further up"),
        (b"PK\x03\x04\0\0binary", "is not text"),
        (b"\xff\xfe\xfa", "is not text"),
        ('BraTS21ID,MGMT_value\n"1,1\n', "is not CSV"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(LabelError, match=says) as caught:
        read_labels(table(tmp_path / "labels.csv", content))
    assert "labels.csv" in str(caught.value)


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")


def test_numbers_are_padded_and_names_are_not() -> None:
    assert [normalise_id(text) for text in (" 7", "00430", "123456", "a7", "٣")] == [
        "00007",
        "00430",
        "123456",
        "a7",
        "٣",
    ]


def test_the_known_pairs_are_one_person() -> None:
    assert person_of("00639") == person_of("00557") == "00557"
    assert person_of("00758") == person_of("00626") == "00626"
    assert person_of("00001") == "00001"


def test_chains_of_identities_are_followed_in_any_order(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "study_id,same_person_as,source\n4,3,x\n1,2,x\n8,9,x\n3,2,x\n")
    assert read_identities(path) == {
        **dict.fromkeys(("00001", "00002", "00003", "00004"), "00001"),
        **dict.fromkeys(("00008", "00009"), "00008"),
    }


def test_the_competitions_labels(shared_data: Path) -> None:
    labels = read_labels(shared_data / "labels" / "train_labels.csv")
    assert len(labels) == 585
    assert sum(labels.values()) == 307
    assert (labels["00430"], labels["00008"]) == (0, 1)
