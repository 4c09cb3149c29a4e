"""Whatever a tree of one to three levels looks like, no study holds the files of two people or of two sessions."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import pytest

from core.data.cohort import scan_cohort
from core.data.formats.discovery import relative_to
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
                taken = chance.sample(sequences, chance.randint(1, 4))
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


def mixed_studies(tree: Tree) -> tuple[dict[str, set[Owner]], set[str]]:
    """The studies that hold files of several owners, and the files that are in no study and in no fault."""
    try:
        cohort = scan_cohort(tree.root, jobs=1, session="all", settings=load_settings())
    except EmptyCohortError as error:
        return {}, set() if "refused" in str(error) else set(tree.owners)
    found: dict[str, set[Owner]] = defaultdict(set)
    held: set[str] = set()
    for study in cohort:
        for series in study.series:
            found[study.study_id] |= {tree.owners[str(path)] for path in series.files}
            held |= set(map(str, series.files))
    refused = [fault.path for fault in cohort.faults]
    lost = {
        path
        for path in tree.owners.keys() - held
        if not any(relative_to(Path(path), tree.root).startswith(place) or place == "." for place in refused)
    }
    return {study_id: owners for study_id, owners in found.items() if len(owners) > 1}, lost


@pytest.mark.parametrize("block", range(10))
def test_no_study_of_a_random_tree_holds_two_owners(tmp_path: Path, block: int) -> None:
    wrong = []
    for seed in range(block * 10, block * 10 + 10):
        tree = Tree(root=tmp_path / str(seed), chance=random.Random(seed))
        tree.grow()
        mixed, lost = mixed_studies(tree)
        if mixed or lost:
            wrong.append((seed, mixed, sorted(lost)[:3]))
    assert not wrong


@pytest.mark.slow
def test_nor_of_a_thousand(tmp_path: Path) -> None:
    for seed in range(1000):
        tree = Tree(root=tmp_path / str(seed), chance=random.Random(seed))
        tree.grow()
        assert mixed_studies(tree) == ({}, set()), seed
