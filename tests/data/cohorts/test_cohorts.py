"""Each public cohort, in miniature: which adapter, ids, persons, sessions, labels, files and exclusions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.cli.options.shared import COHORTS
from core.data.clinical.labels import Target
from core.data.cohort import scan_cohort
from core.data.cohorts.registry import ADAPTERS, BY_NAME
from core.data.study import Cohort
from core.data.summary import describe_cohort
from core.errors import ConfigError, EmptyCohortError
from core.mri import MRSequence
from tests.data.cohorts import trees

FOUR = {sequence for sequence in MRSequence if sequence is not MRSequence.UNKNOWN}

EXPECTED: dict[str, tuple[Callable[[Path], Path], dict[str, int | None], dict[str, str]]] = {
    "upenn-gbm": (
        trees.write_upenn,
        {"UPENN-GBM-00001_11": 1, "UPENN-GBM-00002_11": 0},
        {"UPENN-GBM-00002_21": "session 21; session 11", "UPENN-GBM-00003_11": "MGMT is 'Indeterminate'"},
    ),
    "ucsf-pdgm": (
        trees.write_ucsf,
        {"UCSF-PDGM-0004": 0, "UCSF-PDGM-0007": 1},
        {
            "UCSF-PDGM-0004_FU003d": "session FU003d",
            "UCSF-PDGM-0005": "MGMT status is 'indeterminate'",
            "UCSF-PDGM-0012": "MGMT status is 'unknown'",
        },
    ),
    "brats21": (trees.write_brats21, {"BraTS2021_00000": 1, "BraTS2021_00002": 0, "BraTS2021_00557": 1}, {}),
    "ds007045": (trees.write_ds007045, {"sub-BA2": 0, "sub-BO1": 1, "sub-NSK9": 0, "sub-TO015": 1}, {}),
    "utsw-glioma": (trees.write_utsw, {"BT0001": 1, "BT0002": 0}, {}),
    "mu-glioma-post": (
        trees.write_mu,
        {"PatientID_0003_Timepoint_1": 1},
        {
            "PatientID_0003_Timepoint_2": "session Timepoint_2",
            "PatientID_0004_Timepoint_1": "MGMT methylation is empty",
        },
    ),
    "lumiere": (
        trees.write_lumiere,
        {"Patient-001_week-000-2": 0},
        {
            "Patient-001_week-000-1": "session week-000-1; session week-000-2",
            "Patient-001_week-044": "session week-044",
            "Patient-002_week-003": "MGMT qualitative is 'na'",
        },
    ),
    "tcga-gbm": (trees.write_tcga, {"TCGA-02-0006_1996.08.23": 1, "TCGA-06-0119_2004.01.01": 0}, {}),
    "bids": (trees.write_bids, {"sub-01_ses-pre": 1, "sub-02_ses-pre": 0}, {"sub-01_ses-post": "session ses-post"}),
}


def labels_of(cohort: Cohort) -> dict[str, int | None]:
    return {study.study_id: study.label for study in cohort}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_cohort_is_read_by_its_adapter(tmp_path: Path, name: str) -> None:
    write, labels, excluded = EXPECTED[name]
    cohort = scan_cohort(write(tmp_path / "data"))
    assert cohort.adapter == name
    assert labels_of(cohort) == labels
    assert {study.study_id for study in cohort.excluded} == excluded.keys()
    for study in cohort.excluded:
        assert excluded[study.study_id] in study.excluded
        assert study.label is None
    for study in cohort:
        assert sorted(str(one.sequence) for one in study.series) == sorted(map(str, FOUR))
        assert all(len(one.files) == 1 for one in study.series)
    assert not cohort.faults
    content = describe_cohort(cohort)
    assert content["cohort"] == name
    assert content["sessions"] == len(labels) + len(excluded)
    assert content["persons"] == len({study.person for study in (*cohort, *cohort.excluded)})
    assert {one["study_id"] for one in content["excluded"]} == excluded.keys()


@pytest.mark.parametrize("above", ["download", "outer/download"])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_cohort_is_recognised_one_or_two_folders_too_high(tmp_path: Path, name: str, above: str) -> None:
    write, labels, excluded = EXPECTED[name]
    write(tmp_path / "data" / above)
    trees.put(tmp_path / "data/papers", ["notes.txt"], b"x")
    cohort = scan_cohort(tmp_path / "data", jobs=1)
    assert (cohort.adapter, labels_of(cohort)) == (name, labels)
    assert {study.study_id for study in cohort.excluded} == excluded.keys()
    assert f"Only {above}/ was read, which is laid out as {BY_NAME[name].title}." in cohort.notes


def test_several_cohorts_in_one_folder_are_refused_and_named(tmp_path: Path) -> None:
    trees.write_upenn(tmp_path / "a/UPENN-GBM")
    trees.write_ucsf(tmp_path / "b")
    with pytest.raises(EmptyCohortError, match=r"2 cohorts: a/UPENN-GBM/ \(UPENN-GBM\), b/ \(UCSF-PDGM\); name one"):
        scan_cohort(tmp_path, jobs=1)
    assert scan_cohort(tmp_path, layout="ucsf-pdgm", jobs=1).adapter == "ucsf-pdgm"
    assert scan_cohort(tmp_path, layout="folder", jobs=1, session="all").adapter == "folder"


def test_hospitals_with_folders_of_bids_each_are_read_as_any_folder(tmp_path: Path) -> None:
    for site in ("siteA", "siteB"):
        trees.put(tmp_path / site / "sub-01/anat", ["sub-01_T1w.nii", "sub-01_FLAIR.nii"])
    cohort = scan_cohort(tmp_path, jobs=1)
    assert (cohort.adapter, len({study.person for study in cohort})) == ("folder", 2)


def test_every_adapter_has_such_a_tree() -> None:
    assert {adapter.name for adapter in ADAPTERS} - EXPECTED.keys() == {"brats-gli", "processed"}


@pytest.mark.parametrize("name", EXPECTED)
def test_all_sessions_of_a_person_can_be_used_and_are_one_person(tmp_path: Path, name: str) -> None:
    write, labels, excluded = EXPECTED[name]
    cohort = scan_cohort(write(tmp_path / "data"), session="all")
    assert len(cohort) + len(cohort.excluded) == len(labels) + len(excluded)
    for study in cohort:
        same = [one for one in cohort if one.person == study.person]
        assert {one.label for one in same} == {study.label}
        assert len({one.session for one in same}) == len(same)


def test_one_version_of_each_image_is_read(tmp_path: Path) -> None:
    root = trees.write_ucsf(tmp_path)
    assert not [path for series in scan_cohort(root).series for path in series.files if "bias" in path.name]
    for path in root.glob("*0007_nifti/*_T[12].nii"):
        path.unlink()
    names = {path.name for series in scan_cohort(root)["UCSF-PDGM-0007"].series for path in series.files}
    assert len(names) == 4
    assert all(name.endswith("_bias.nii") for name in names)


def test_persons_of_the_same_cohort_are_the_same_under_other_names(tmp_path: Path) -> None:
    cohort = scan_cohort(trees.write_brats21(tmp_path))
    assert [study.person for study in cohort] == ["00000", "00002", "00557"]


def test_a_session_is_chosen_by_name(tmp_path: Path) -> None:
    root = trees.write_upenn(tmp_path)
    cohort = scan_cohort(root, session="21")
    assert [study.study_id for study in cohort] == ["UPENN-GBM-00002_21"]
    assert scan_cohort(root, session="last")["UPENN-GBM-00002_21"].label == 0
    with pytest.raises(ConfigError, match=r"No study is of session '31'; there are: 11, 21"):
        scan_cohort(root, session="31")


def test_covariates_ride_along_by_an_allow_list(tmp_path: Path) -> None:
    upenn = scan_cohort(trees.write_upenn(tmp_path / "a"))
    assert upenn["UPENN-GBM-00001_11"].covariates == {"age": 61.5, "sex": "male", "idh": "Wildtype"}
    assert upenn["UPENN-GBM-00002_11"].covariates["extent"] == "GTR"
    bids = scan_cohort(trees.write_ds007045(tmp_path / "b"))
    assert bids["sub-BO1"].covariates == {
        "site": "BO", "age": 55.0, "sex": "male", "field_strength": 1.5, "scanner": "Siemens Magnetom Essenza",
    }  # fmt: skip


def test_another_target_is_read_from_the_same_table(tmp_path: Path) -> None:
    root = trees.write_ucsf(tmp_path)
    cohort = scan_cohort(root, target=Target(column="IDH", positive="wildtype"))
    assert labels_of(cohort) == {"UCSF-PDGM-0004": 1, "UCSF-PDGM-0005": 1, "UCSF-PDGM-0007": 0, "UCSF-PDGM-0012": 0}
    assert cohort.class_names == ("not wildtype", "wildtype")
    index = scan_cohort(root, target=Target(column="MGMT index", cutoff=8))
    assert labels_of(index) == {"UCSF-PDGM-0004": 0, "UCSF-PDGM-0007": 1}


def test_the_whole_table_of_ds007045(tmp_path: Path) -> None:
    """337 participants as the table has them: 184 zeros, 153 ones, decimal commas, no newline at the end."""
    sites = {"BA": 3, "BO": 172, "FO": 9, "JS": 11, "KA": 80, "ME": 7, "NSK": 41, "TO": 14}
    ids = [f"sub-{site}{number}" for site, count in sites.items() for number in range(1, count + 1)]
    rows = [
        (name, at % 2, 40 + at % 40, int(at % 337 < 153), ("1,5", "3")[at % 2], "Skyra") for at, name in enumerate(ids)
    ]
    cohort = scan_cohort(trees.write_ds007045(tmp_path, rows), jobs=1)
    content = describe_cohort(cohort)
    assert (content["cohort"], content["studies"], content["persons"], content["sessions"]) == (
        "ds007045",
        337,
        337,
        337,
    )
    assert content["labels"] == {"0": 184, "1": 153}
    assert content["excluded"] == []
    assert {study.study_id: study.label for study in cohort} == {row[0]: row[3] for row in rows}
    assert {study.covariates["site"] for study in cohort} == sites.keys()


def test_derivatives_alone_are_read_where_they_are_named_or_the_raw_images_lack(tmp_path: Path) -> None:
    root = trees.write_ds007045(tmp_path)
    derived = scan_cohort(root / "derivatives/processing", labels=root / "participants.tsv")
    assert derived.adapter == "ds007045"
    assert labels_of(derived) == {"sub-BA2": 0, "sub-BO1": 1, "sub-NSK9": 0, "sub-TO015": 1}
    for path in root.glob("sub-*/anat/*.nii"):
        path.unlink()
    assert {path.parent.parent.name for one in scan_cohort(root).series for path in one.files} == {"processing"}


def test_pointers_without_content_are_named_with_what_fetches_it(tmp_path: Path) -> None:
    annexed = trees.write_ds007045(tmp_path / "annexed")
    for path in annexed.rglob("*.nii"):
        path.unlink()
        path.symlink_to("../../.git/annex/objects/x/MD5E-s1--y.nii")
    with pytest.raises(EmptyCohortError, match=r"pointers of git-annex without their content; .*datalad get -r \."):
        scan_cohort(annexed)
    lfs = trees.write_upenn(tmp_path / "lfs")
    for path in lfs.rglob("*.nii"):
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(EmptyCohortError, match=r"pointers of Git LFS without their content; .*git lfs pull"):
        scan_cohort(lfs)
    bare = trees.write_ds007045(tmp_path / "bare")
    for path in bare.rglob("*.nii"):
        path.unlink()
    with pytest.raises(EmptyCohortError, match=r"16 sidecars \(\.json\) of images that are not there; fetch"):
        scan_cohort(bare)


@pytest.mark.parametrize("name", ["1.dcm", "1.png", "IM1"])
@pytest.mark.parametrize(
    ("kind", "remedy"), [("annex", "datalad get"), ("lfs", "git lfs pull"), ("link", "copy these")]
)
def test_pointers_in_the_competitions_layout_are_named_whatever_they_are_called(
    tmp_path: Path, name: str, kind: str, remedy: str
) -> None:
    for study in ("00001", "00002"):
        path = tmp_path / "train" / study / "FLAIR" / name
        path.parent.mkdir(parents=True)
        if kind == "lfs":
            path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        else:
            path.symlink_to("/nowhere/x" if kind == "link" else "../../.git/annex/objects/x/y/k/k")
    for root in (tmp_path, tmp_path / "train", tmp_path / "train/00001"):
        with pytest.raises(EmptyCohortError, match=remedy):
            scan_cohort(root, jobs=1)


@pytest.mark.parametrize(("folders", "adapter"), [
    (["00001/FLAIR", "00007/T1w"], "rsna-miccai"), (["00001/flair", "00007/scan"], "folder"),
    (["1/FLAIR", "2/FLAIR"], "folder"), (["train/00001/scan"], "folder"),
])  # fmt: skip
def test_the_competition_is_told_by_names_as_written_and_by_its_folders_or_its_table(
    tmp_path: Path, folders: list[str], adapter: str
) -> None:
    for folder in folders:
        trees.put(tmp_path / "data" / folder, ["flair.nii"])
    assert scan_cohort(tmp_path / "data", jobs=1).adapter == adapter
    trees.write_table(tmp_path / "data/train_labels.csv", [("BraTS21ID", "MGMT_value"), ("00001", 1)])
    with_table = "folder" if folders[0].startswith("1") else "rsna-miccai"
    assert scan_cohort(tmp_path / "data", jobs=1).adapter == with_table


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    root = trees.write_upenn(tmp_path)
    before = scan_cohort(root)
    trees.put(root, [".DS_Store", "desktop.ini", "Thumbs.db", "images_structural/desktop.ini"], b"x")
    trees.put(root, ["__MACOSX/images_structural/UPENN-GBM-00009_11/._UPENN-GBM-00009_11_T1.nii"], b"x")
    trees.put(root / "images_structural/UPENN-GBM-00001_11", ["._UPENN-GBM-00001_11_T1.nii", ".DS_Store"], b"x")
    after = scan_cohort(root)
    assert (after.digest, after.faults) == (before.digest, ())


def test_an_adapter_can_be_insisted_on_or_left_out(tmp_path: Path) -> None:
    root = trees.write_upenn(tmp_path)
    assert scan_cohort(root, layout="upenn-gbm").notes[0] == "Read as UPENN-GBM, as stated."
    plain = scan_cohort(root / "images_structural", layout="folder", session="all")
    assert plain.adapter == "folder"
    assert len(plain) == 4
    with pytest.raises(ConfigError, match="holds no session of LUMIERE"):
        scan_cohort(root, layout="lumiere")


def test_what_was_never_seen_in_a_file_is_told(tmp_path: Path) -> None:
    notes = scan_cohort(trees.write_utsw(tmp_path)).notes
    assert "Not verified on files of UTSW-Glioma: the MGMT column of the table." in notes


def test_the_command_line_names_every_adapter() -> None:
    assert set(COHORTS) == set(BY_NAME)


def test_the_flow_of_participants_adds_up(tmp_path: Path) -> None:
    flow = describe_cohort(scan_cohort(trees.write_ucsf(tmp_path)))["flow"]
    assert flow["found"] == {"studies": 5, "persons": 4}
    assert flow["used"] == {"studies": 2, "persons": 2}
    assert {group["reason"]: group["studies"] for group in flow["excluded"]} == {
        "another session of the same person is used": 1,
        "MGMT status is 'indeterminate'": 1,
        "MGMT status is 'unknown'": 1,
    }
    assert flow["unlabelled"]["studies"] == 0


def test_covariates_are_told_by_label_and_by_site(tmp_path: Path) -> None:
    tables = describe_cohort(scan_cohort(trees.write_ds007045(tmp_path)))["covariates"]
    by_label = {row["covariate"]: row for row in tables["label"]}
    assert by_label["age"]["methylated"] == "51 (47 to 55); n = 2"
    assert by_label["sex"]["unmethylated"] == "male 1, female 1; n = 2"
    assert {row["covariate"] for row in tables["site"]} == {"age", "field_strength", "scanner", "sex"}
    assert {row["BO"] for row in tables["site"] if row["covariate"] == "scanner"} == {
        "Siemens Magnetom Essenza 1; n = 1"
    }


def test_a_plain_folder_takes_the_one_table_that_holds_its_labels(tmp_path: Path) -> None:
    for person in ("Anna", "Bert"):
        trees.put(tmp_path / "data" / person, ["flair.nii", "t1.nii"])
    trees.write_table(tmp_path / "data/notes.csv", [("a", "b"), (1, 2)])
    rows = [("Name", "MGMT promoter status", "Age"), ("anna", "unmethylated", "61,5"), ("Bert", "n/a", "50")]
    table = trees.write_table(tmp_path / "data/patients.tsv", rows, ";")
    cohort = scan_cohort(tmp_path / "data")
    assert (cohort.adapter, labels_of(cohort)) == ("folder", {"Anna": 0})
    assert [study.excluded for study in cohort.excluded] == ["MGMT promoter status is 'n/a'"]
    assert cohort["Anna"].covariates == {"age": 61.5}
    table.with_name("again.csv").write_bytes(table.read_bytes())
    assert any("No label table" in note for note in scan_cohort(tmp_path / "data").notes)


def test_of_a_persons_sessions_one_with_all_four_sequences_is_used_but_none_after_the_operation_instead(
    tmp_path: Path,
) -> None:
    four = ("T1w", "ce-gad_T1w", "T2w", "FLAIR")
    held = {
        "sub-1": {"ses-1": four[:2], "ses-2": four},
        "sub-2": {"ses-preop": four[:3], "ses-postop": four},
        "sub-3": {"ses-1": four, "ses-2": four},
        "sub-4": {"ses-1": four[:1], "ses-2": four[:3]},
    }
    for person, sessions in held.items():
        for session, kinds in sessions.items():
            trees.put(tmp_path / person / session / "anat", [f"{person}_{session}_{kind}.nii" for kind in kinds])
    cohort = scan_cohort(tmp_path, jobs=1)
    assert [(study.person, study.session) for study in cohort] == [
        ("sub-1", "ses-2"), ("sub-2", "ses-preop"), ("sub-3", "ses-1"), ("sub-4", "ses-1"),
    ]  # fmt: skip
    (note,) = [note for note in cohort.notes if note.startswith("Sessions: ")]
    assert note.endswith(
        "For 1 of 4 persons a later one is used, for the first lacks one of the four sequences and it has all."
    )
    reason = next(study.excluded for study in cohort.excluded if study.study_id == "sub-1_ses-1")
    assert "session ses-2 of the same person is used, for it has all four sequences" in reason


def test_bids_entities_of_what_is_no_magnitude_image_are_read(tmp_path: Path) -> None:
    odd = (
        "part-phase_T2w",
        "part-imag_FLAIR",
        "acq-a_part-real_T2w",
        "ce-gd_part-phase_T1w",
        "rec-sub_T2w",
        "acq-epi_T2w",
    )
    plain = ("T1w", "ce-gd_part-mag_T1w", "acq-high_T2w", "FLAIR")
    for person in ("sub-01", "sub-02"):
        trees.put(tmp_path / person / "anat", [f"{person}_{name}.nii.gz" for name in (*odd, *plain)])
    (tmp_path / "dataset_description.json").write_text("{}")
    study = scan_cohort(tmp_path, jobs=1)["sub-01"]
    named = {one.files[0].name.removeprefix("sub-01_").removesuffix(".nii.gz"): one.sequence for one in study.series}
    assert {name for name, sequence in named.items() if sequence is not MRSequence.UNKNOWN} == set(plain)


def test_studies_beside_a_recognised_cohort_are_counted_and_the_remedy_is_named(tmp_path: Path) -> None:
    trees.write_upenn(tmp_path / "UPENN-GBM")
    for name in ("caseA", "caseB", "caseC"):
        trees.put(tmp_path / name, ["FLAIR.nii.gz", "T1.nii.gz"])
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "readme.txt").write_text("nothing to read")
    cohort = scan_cohort(tmp_path)
    assert {study.person for study in cohort} <= {f"UPENN-GBM-0000{number}" for number in range(1, 9)}
    said = [note for note in cohort.notes if note.startswith("Not read: 3 folders with images beside it")]
    assert said
    assert "(caseA, caseB, caseC). To read them, name each by itself" in said[0]
    assert said[0] in describe_cohort(cohort)["notes"]
    inside = next(one.files[0] for study in cohort for one in study.series).parents[1]
    trees.put(inside / "caseD", ["FLAIR.nii.gz"])
    assert any(
        note.startswith("Not read: 1 folders with images that are no sessions of UPENN-GBM (caseD)")
        for note in scan_cohort(tmp_path).notes
    )
