"""Whatever a tree of one to three levels looks like, no study holds the files of two people or of two sessions."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.uid import generate_uid

from core.data.cohort import scan_cohort
from core.data.upload import open_scan
from core.errors import EmptyCohortError
from core.settings import load_settings
from tests.data.dicom_files import write_mr

Owner = tuple[str, str]
"""Person and session."""

SEQUENCES = (
    ("flair", "t1", "t1ce", "t2"),
    ("FLAIR", "T1w", "T1wCE", "T2w"),
    ("t2f", "t1n", "t1c", "t2w"),
    ("FLAIR", "T1", "T1GD", "T2"),
)
PERSONS = (
    lambda number: f"P{number:03d}",
    lambda number: f"Patient-{number:03d}",
    lambda number: f"sub-{number:02d}",
    lambda number: f"{number:05d}",
    lambda number: f"UPENN-GBM-{number:05d}",
    lambda number: f"case_{number}",
    lambda number: ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")[number % 6],
    lambda number: f"{number * 2654435761 % 2**32:08x}",
    lambda number: "ABCDEF"[number % 6],
)
SESSIONS = (
    lambda number: f"ses-{number}",
    lambda number: f"Timepoint_{number}",
    lambda number: f"2019{number + 2:02d}11",
    lambda number: f"week-{number:03d}",
    lambda number: ("baseline", "followup")[number - 1],
    lambda number: f"{number}1",
    lambda number: f"exam{'AB'[number - 1]}",
    lambda number: f"T{number}",
)
VOLUME = nibabel.Nifti1Image(np.ones((4, 5, 3), np.int16), np.diag([1.0, 1.0, 3.0, 1.0]))


@dataclass
class Tree:
    """A random tree, and whose each of its files is."""

    root: Path
    chance: random.Random
    owners: dict[str, Owner] = field(default_factory=dict)

    def grow(self) -> None:
        """One to three levels of folders above the files, of one to four persons with one or two sessions."""
        chance = self.chance
        levels, dicom = chance.choice((1, 2, 2, 3, 3)), chance.random() < 0.4
        person_name, session_name = chance.choice(PERSONS), chance.choice(SESSIONS)
        persons = chance.randint(1, 4)
        sequences, folders = chance.choice(SEQUENCES), chance.random() < 0.5
        uids = chance.choice(("true", "true", "study only", "date only", "same study"))
        for number in range(1, persons + 1):
            for session in range(1, chance.randint(1, 2) + 1):
                person, visit = person_name(number), session_name(session)
                both = f"{person}_{visit}"
                if levels == 1:
                    place, prefix = [], f"{both}_"
                elif levels == 2:
                    place, prefix = chance.choice((([both], ""), ([person], f"{both}_")))
                else:
                    place, prefix = chance.choice(
                        (([person, visit], ""), (["siteA", both], ""), (["siteA", person], f"{both}_"))
                    )
                fewest = 3 if visit in ("T1", "T2") else 1
                taken = chance.sample(sequences, chance.randint(fewest, 4))
                for sequence in taken:
                    self._put(
                        place,
                        prefix,
                        sequence,
                        (person, visit),
                        (number, session),
                        dicom=dicom,
                        uids=uids,
                        folders=folders,
                    )

    def _put(
        self, place: list[str], prefix: str, sequence: str, owner: Owner, numbers: tuple[int, int],
        *, dicom: bool, uids: str, folders: bool,
    ) -> None:  # fmt: skip
        folder = self.root.joinpath(*place, *([sequence] if folders and place else []))
        folder.mkdir(parents=True, exist_ok=True)
        if not dicom:
            path = folder / f"{prefix}{sequence}.nii"
            path.write_bytes(VOLUME.to_bytes())
        else:
            person, session = numbers
            study = f"1.2.{person}.{session}"
            attributes = {
                "true": {
                    "PatientID": f"id{person}",
                    "StudyInstanceUID": study,
                    "AcquisitionDate": f"2019{session:02d}05",
                },
                "study only": {"PatientID": None, "StudyInstanceUID": study},
                "date only": {
                    "PatientID": f"id{person}",
                    "StudyInstanceUID": None,
                    "AcquisitionDate": f"2019{session:02d}05",
                },
                "same study": {"PatientID": f"id{person}", "AcquisitionDate": f"2019{session:02d}05"},
            }[uids]
            path = folder / f"{prefix}{sequence}_1.dcm"
            write_mr(path, SeriesInstanceUID=f"{study}.{len(self.owners)}", SeriesDescription=sequence, **attributes)
        self.owners[str(path)] = owner


def judge(tree: Tree) -> list[str]:
    """What is wrong with how a tree is read: studies of several owners, files that are lost, owners cut in two."""
    try:
        cohort = scan_cohort(tree.root, jobs=1, session="all", settings=load_settings())
    except EmptyCohortError as error:
        return [] if "refused" in str(error) else [str(error)]
    held = {str(path) for series in cohort.series for path in series.files}
    of_study = {
        study.study_id: {tree.owners[str(path)] for one in study.series for path in one.files} for study in cohort
    }
    told = [tree.root / fault.path for fault in cohort.faults]
    lost = [path for path in tree.owners.keys() - held if not any(Path(path).is_relative_to(place) for place in told)]
    wrong = [f"{study_id} holds {sorted(owners)}" for study_id, owners in of_study.items() if len(owners) > 1]
    wrong += [f"{path} is lost" for path in lost]
    if not told and len(of_study) != len(set(tree.owners.values())):
        wrong.append(f"{len(of_study)} studies of {len(set(tree.owners.values()))} sessions")
    return wrong


def grow(folder: Path, seed: int) -> Tree:
    tree = Tree(root=folder / str(seed), chance=random.Random(seed))
    tree.grow()
    return tree


def test_no_study_of_a_hundred_random_trees_holds_two_owners(tmp_path: Path) -> None:
    wrong = {seed: judge(grow(tmp_path, seed)) for seed in range(100)}
    assert {seed: found for seed, found in wrong.items() if found} == {}


MORE_TREES = int(os.environ.get("MGMT_LAB_TREES", "50"))
"""Trees of the slow test; the figure of 1,000 was taken with 900."""


@pytest.mark.slow
def test_nor_of_more(tmp_path: Path) -> None:
    wrong = {seed: judge(grow(tmp_path, seed)) for seed in range(100, 100 + MORE_TREES)}
    assert {seed: found for seed, found in wrong.items() if found} == {}


@pytest.mark.parametrize("times", [("T1", "T2"), ("T0", "T1"), ("T1", "T2", "T10")])
@pytest.mark.parametrize("name", [
    "{person}/{time}/{sequence}", "{person}/{time}/{person}_{time}_{sequence}", "{person}_{time}/{sequence}",
    "{person}_{time}_{sequence}", "{person}/{person}_{time}_{sequence}", "{person}/{time}_{sequence}",
    "{person}/{time}/{sequence}/scan",
])  # fmt: skip
def test_time_points_called_t1_and_t2_are_sessions_and_no_sequences(
    tmp_path: Path, name: str, times: tuple[str, ...]
) -> None:
    sequences = {"flair": "FLAIR", "t1": "T1w", "t1ce": "T1wCE", "t2": "T2w"}
    for person in ("P01", "P02"):
        for time in times:
            for sequence in sequences:
                path = tmp_path / f"{name.format(person=person, time=time, sequence=sequence)}.nii"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(VOLUME.to_bytes())
    cohort = scan_cohort(tmp_path, jobs=1, session="all")
    assert {(study.person, study.session) for study in cohort} == {
        (one, time) for one in ("P01", "P02") for time in times
    }
    for study in cohort:
        assert sorted(str(series.sequence) for series in study.series) == sorted(sequences.values())


def test_persons_called_t1_to_t3_are_persons_and_folders_of_these_sequences_are_one_study(tmp_path: Path) -> None:
    for name in ("a/T1/flair", "a/T1/t1ce", "a/T2/flair", "a/T2/t1ce", "a/T3/flair", "b/T1/t1", "b/T1/t1ce", "b/T2/t2",
                 "b/T2/flair", "c/T1/image", "c/T2/image", "d/x_T1_flair", "d/x_T2_flair", "d/t1_to_t1ce",
                 "d/t2_to_t1ce"):  # fmt: skip
        path = tmp_path / f"{name}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(VOLUME.to_bytes())
    assert [study.person for study in scan_cohort(tmp_path / "a", jobs=1)] == ["T1", "T2", "T3"]
    for one in ("b", "c"):
        assert len(scan_cohort(tmp_path / one, jobs=1)) == 1
    assert not {study.session for study in scan_cohort(tmp_path / "d", jobs=1)} & {"T1", "T2"}


def write_dicom(path: Path, patient: str | None, study: str, day: str | None, name: str = "FLAIR") -> Path:
    uid = f"{study}.{abs(hash((str(path.parent), name))) % 10**9}"
    return write_mr(
        path,
        PatientID=patient,
        StudyInstanceUID=study,
        AcquisitionDate=day,
        SeriesInstanceUID=uid,
        SeriesDescription=name,
    )


def test_past_midnight_and_other_geometry_and_a_study_uid_for_each_sequence_are_one_examination(tmp_path: Path) -> None:
    write_dicom(tmp_path / "A1/a/1.dcm", "x", "1.1", "20190304", "AX FLAIR")
    write_dicom(tmp_path / "A1/a/2.dcm", "x", "1.1", "20190305", "AX T2")
    for number, name in enumerate(("FLAIR", "T1w", "T2w")):
        write_dicom(tmp_path / f"A2/{name}/Image-1.dcm", "y", f"1.2.{number}", None, name)
    assert [(study.study_id, len(study.series)) for study in scan_cohort(tmp_path)] == [("A1", 2), ("A2", 3)]


def test_two_days_of_one_patient_in_one_folder_are_two_sessions_of_one_person(tmp_path: Path) -> None:
    for day, study in (("20190304", "1.1"), ("20190904", "1.2")):
        for number in (1, 2):
            write_dicom(tmp_path / f"P1/{day}{number}.dcm", "x", study, day, ("FLAIR", "T2w")[number - 1])
    write_dicom(tmp_path / "P2/1.dcm", "z", "1.3", "20190304")
    cohort = scan_cohort(tmp_path, session="all")
    assert [(study.study_id, study.person, study.session) for study in cohort] == [
        ("P1_1", "P1", "1"), ("P1_2", "P1", "2"), ("P2", "P2", ""),
    ]  # fmt: skip
    first = scan_cohort(tmp_path)
    assert [study.study_id for study in first] == ["P1_1", "P2"]
    assert [(study.study_id, study.excluded) for study in first.excluded] == [
        ("P1_2", "is session 2; session 1 of the same person is used (--session chooses)")
    ]


def test_patients_that_nothing_but_their_id_tells_apart_are_refused_with_the_remedy(tmp_path: Path) -> None:
    write_dicom(tmp_path / "dump/IM0001.dcm", "x", "1.1", None)
    write_dicom(tmp_path / "dump/IM0002.dcm", "y", "1.1", None)
    write_dicom(tmp_path / "P2/1.dcm", "z", "1.3", None)
    cohort = scan_cohort(tmp_path)
    assert [study.study_id for study in cohort] == ["P2"]
    (refused,) = cohort.excluded
    assert refused.study_id == "dump"
    assert "DICOM files of 2 patients (by their Patient ID) that no folder tells apart; put each" in refused.excluded
    with pytest.raises(EmptyCohortError, match=r"refused: it holds DICOM files of 2 patients"):
        scan_cohort(tmp_path / "dump")
    assert len(open_scan([tmp_path / "dump"], tmp_path / "w" / "work", load_settings())) == 2


def test_folders_of_one_study_uid_without_a_patient_that_repeat_a_sequence_are_refused(tmp_path: Path) -> None:
    for folder in ("AB", "CD", "EF"):
        for name in ("FLAIR", "T1w"):
            write_dicom(tmp_path / "group" / folder / name / "1.dcm", None, "1.9", None, name)
    with pytest.raises(
        EmptyCohortError, match=r"refused: this folder and group/CD/\w+ share .* put the folder of each"
    ):
        scan_cohort(tmp_path, jobs=1)
    assert len(scan_cohort(tmp_path / "group", jobs=1)) == 3
    for number in range(3):  # a folder for each series of one examination is none of this
        write_dicom(tmp_path / "P1" / f"a{number}" / "1.dcm", None, "1.8", None, "FLAIR")
    (study,) = scan_cohort(tmp_path, jobs=1)
    assert (study.study_id, len(study.series)) == ("P1", 3)


@pytest.mark.parametrize("layout", ["two", "each"])
def test_one_series_in_several_folders_is_one_series(tmp_path: Path, layout: str) -> None:
    for number in range(12):
        folder = f"DIR{number // 6}" if layout == "two" else f"{number:08X}"
        path = tmp_path / "study" / folder / f"IM{number:04d}"
        write_mr(path, position=(0, 0, 5.0 * number), SeriesDescription="AX FLAIR")
    for handed in (tmp_path, tmp_path / "study"):
        (study,) = scan_cohort(handed)
        (series,) = study.series
        assert (len(series.files), study.study_id) == (12, "study")
    (study,) = open_scan([tmp_path / "study"], tmp_path / "w" / "work", load_settings())
    assert [len(series.files) for series in study.series] == [12]


def test_a_series_whose_files_have_each_a_uid_is_one_series_and_three_views_are_not(tmp_path: Path) -> None:
    for number in range(9):
        path = tmp_path / "00001/scan" / f"IM{number}"
        write_mr(path, position=(0, 0, 5.0 * number), SeriesInstanceUID=f"1.2.{number}", SeriesDescription="AX FLAIR")
    for number in range(2):
        path = tmp_path / "00002/scan" / f"IM{number}"
        write_mr(path, position=(0, 0, 5.0 * number), SeriesInstanceUID=f"1.3.{number}", SeriesDescription="AX FLAIR")
    cohort = scan_cohort(tmp_path)
    assert [len(study.series) for study in cohort] == [1, 2]


@pytest.mark.parametrize("own_series", [True, False])
def test_slices_that_have_each_a_study_uid_are_one_study_where_one_person_and_one_stack_say_so(
    tmp_path: Path, own_series: bool
) -> None:
    def write(place: str, patient: str | None, offsets: Sequence[tuple[float, float]], sequence: str = "FLAIR") -> None:
        for number, (beside, along) in enumerate(offsets):
            write_mr(
                tmp_path / place / f"{sequence}_{number}.dcm",
                position=(beside, 0, along),
                PatientID=patient,
                StudyInstanceUID=generate_uid(),
                SeriesInstanceUID=generate_uid() if own_series else f"1.2.{len(place)}.{len(sequence)}",
                SeriesDescription=f"AX {sequence}",
            )

    even = [(0.0, 5.0 * number) for number in (0, 1, 2, 4, 5)]
    write("whole", "P1", even)
    write("whole", "P1", even, "T2")
    write("beside", "P1", [(3.0 * number, along) for number, (_, along) in enumerate(even)])
    write("uneven", "P1", [(0.0, along) for along in (0.0, 5.0, 11.3, 19.0)])
    write("unknown", None, even)
    cohort = scan_cohort(tmp_path, session="all", jobs=1)
    most = dict.fromkeys(("whole", "beside", "uneven", "unknown"), 0)
    for series in cohort.series:
        place = series.files[0].relative_to(tmp_path).parts[0]
        most[place] = max(most[place], len(series.files))
    assert most == {"whole": 5, "beside": 1, "uneven": 1, "unknown": 1}
    (whole,) = [study for study in cohort if study.study_id.startswith("whole")]
    assert sorted(len(series.files) for series in whole.series) == [5, 5]
