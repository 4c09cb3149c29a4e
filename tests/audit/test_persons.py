"""Who of one cohort is in another: by tables, ids, UIDs and pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.audit.crosswalk import read_crosswalk
from core.audit.marks import CohortMarks, PersonMarks, digest_id, digest_mark, family_of
from core.audit.persons import PersonMatch, PersonMatches, drop_overlap, match_persons, read_pairs, write_pairs
from core.data.study import Cohort, Study
from core.errors import DataError, OverlapError


def marks(name: str, *persons: str, family: str = "", **marked: tuple[str, ...]) -> CohortMarks:
    """Marks of persons by id; `marked` gives the UIDs and pixels that each of them has."""
    return CohortMarks(
        name=name,
        family=family,
        persons=tuple(
            PersonMarks(
                person=person,
                keys=frozenset({digest_id(person)}),
                uids=frozenset(map(digest_mark, marked.get("uids", ()))),
                pixels=tuple(map(digest_mark, (*marked.get("pixels", ()), f"{name}-{person}"))),
            )
            for person in persons
        ),
    )


def cohort_of(*persons: str, adapter: str = "folder", synthetic: bool = False) -> Cohort:
    studies = tuple(Study(study_id=person, person=person, label=0, series=()) for person in persons)
    return Cohort(root=Path("there"), layout="rsna", studies=studies, adapter=adapter, synthetic=synthetic)


def found(matches: PersonMatches) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {match.person: (match.same_as, match.reasons) for match in matches.certain}


def test_equal_ids_are_one_person_only_where_one_hand_gave_them_out() -> None:
    one, other = marks("a", "00012", "00013", family="brats21"), marks("b", "BraTS2021_00012", family="brats21")
    assert found(match_persons(one, other)) == {"BraTS2021_00012": ("00012", ("equal ids",))}
    assert not match_persons(marks("a", "00012"), marks("b", "00012")).matches
    assert not match_persons(one, marks("b", "00012", family="upenn-gbm")).matches


@pytest.mark.parametrize(
    ("adapter", "synthetic", "family"),
    [("rsna-miccai", False, "brats21"), ("brats21", False, "brats21"), ("upenn-gbm", False, "upenn-gbm"), ("folder", False, ""),
     ("bids", False, ""), ("rsna-miccai", True, "")],
)  # fmt: skip
def test_ids_of_any_folder_and_of_phantoms_say_nothing_elsewhere(adapter: str, synthetic: bool, family: str) -> None:
    assert family_of(cohort_of("00012", adapter=adapter, synthetic=synthetic)) == family


def test_a_mark_that_everybody_has_is_none() -> None:
    few = match_persons(marks("a", "p", "q", uids=("1.2.3",)), marks("b", "x", uids=("1.2.3",)))
    assert {match.same_as for match in few.certain} == {"p", "q"}
    many = marks("a", "p", "q", "r", "s", uids=("1.2.3",))
    assert not match_persons(many, marks("b", "x", uids=("1.2.3",))).matches


BRATS_TO_TCIA = """Data Collection (as on TCIA+additional),Site ID,PatientID on TCIA Radiology Portal,BraTS2021 ID,MGMT value
UCSF-PDGM,18,4,BraTS2021_00012,1
UCSF-PDGM,18,12,BraTS2021_00077,0
UPENN-GBM,1,UPENN-GBM-00012_11,BraTS2021_00004,0
UCSF-PDGM_Additional,18,new-not-previously-in-TCIA,BraTS2021_00005,1
"""


def test_the_mapping_of_brats_to_tcia_is_read_with_the_bare_numbers_of_ucsf(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text(BRATS_TO_TCIA)
    crosswalk = read_crosswalk(tmp_path / "map.csv")
    brats = marks("brats", "00004", "00005", "00012", "00077", family="brats21")
    ucsf = marks("ucsf", "UCSF-PDGM-0004", "UCSF-PDGM-0012", "UCSF-PDGM-0099", family="ucsf-pdgm")
    reason = ("crosswalk map.csv",)
    assert found(match_persons(brats, ucsf, crosswalk=crosswalk)) == {
        "UCSF-PDGM-0004": ("00012", reason),
        "UCSF-PDGM-0012": ("00077", reason),
    }
    upenn = marks("upenn", "UPENN-GBM-00012_11", family="upenn-gbm")
    assert found(match_persons(brats, upenn, crosswalk=crosswalk)) == {"UPENN-GBM-00012_11": ("00004", reason)}


def test_the_metadata_of_ucsf_is_a_crosswalk_and_an_age_is_no_id(tmp_path: Path) -> None:
    (tmp_path / "ucsf.csv").write_text(
        "ID,Sex,Age at MRI,OS,BraTS21 ID\nUCSF-PDGM-004,M,77,1303,BraTS2021_00097\nUCSF-PDGM-005,F,40,97,BraTS2021_00103\n"
    )
    brats = marks("brats", "00040", "00077", "00097", family="brats21")
    matches = match_persons(brats, marks("ucsf", "UCSF-PDGM-0004"), crosswalk=read_crosswalk(tmp_path / "ucsf.csv"))
    assert found(matches) == {"UCSF-PDGM-0004": ("00097", ("crosswalk ucsf.csv",))}


@pytest.mark.parametrize(
    ("text", "expected"), [("a,b\n1,2\n", "no two columns of ids"), ("id,patient_id\nx1,y1\n", "names nobody of a")]
)
def test_a_table_that_is_no_crosswalk_of_these_cohorts_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=expected):
        match_persons(marks("a", "p1"), marks("b", "q1"), crosswalk=read_crosswalk(tmp_path / "table.csv"))


PROBABLE = PersonMatch(person="x", same_as="00012", reasons=("alike (0.93)",), certain=False)


def test_what_only_looks_the_same_is_refused_and_written_down_to_be_marked(tmp_path: Path) -> None:
    matches = PersonMatches(matches=(PROBABLE,), compared=(2, 2))
    with pytest.raises(OverlapError, match=r"x and 00012.*--pairs FILE"):
        drop_overlap(cohort_of("x", "y"), matches)
    pairs = tmp_path / "pairs.csv"
    for _ in range(2):  # a second time adds nothing
        with pytest.raises(OverlapError, match=r"column same of .*pairs\.csv"):
            drop_overlap(cohort_of("x", "y"), matches, pairs)
    assert pairs.read_text() == "person,same_as,same,reason\nx,00012,,alike (0.93)\n"
    assert read_pairs(pairs) == {}


def test_a_person_says_that_a_pair_is_one_and_the_table_may_have_lost_its_zeros(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("person;same_as;same;reason\nx;12;YES;\ny;13;no;\n")
    pairs = read_pairs(tmp_path / "pairs.csv")
    matches = match_persons(marks("a", "00012", "00013"), marks("b", "x", "y"), pairs=pairs)
    assert found(matches) == {"x": ("00012", ("confirmed by hand",))}
    overlap = drop_overlap(cohort_of("x", "y"), matches)
    assert [study.person for study in overlap.cohort] == ["y"]
    assert overlap.to_dict()["persons"] == [{"person": "x", "same_as": "00012", "reasons": ["confirmed by hand"]}]


@pytest.mark.parametrize(
    ("text", "expected"), [("person,same_as\nx,1\n", "no column same"), ("person,same_as,same\nx,1,maybe\n", "'maybe'")]
)
def test_a_table_of_pairs_that_cannot_be_read_names_its_fault(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(DataError, match=expected):
        read_pairs(tmp_path / "pairs.csv")


@pytest.mark.parametrize("content", [b"x" * 200_000, b"\xff\xfe,"])
def test_pairs_are_added_to_a_table_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a table of pairs"):
        write_pairs(path, [])
    assert path.read_bytes() == content
