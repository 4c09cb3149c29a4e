from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.cohort import scan_cohort
from core.data.synthetic import SYNTHETIC_MARK
from core.errors import ConfigError, EmptyCohortError, LabelError
from core.mri import CLASS_NAMES, MRSequence, Plane
from tests.data.dicom_files import CORONAL, write_mr, write_series

STACK = np.random.default_rng(0).integers(0, 4000, (4, 6, 5)).astype(np.uint16)


def write_image(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 6), value).save(path)
    return path


def write_competition(root: Path, labels: str = "00001,1\n00002,0\n00003,1\n") -> Path:
    """Three studies: 00001 with FLAIR and T1wCE, 00002 and 00003 with a coronal T2w."""
    write_series(root / "train/00001/FLAIR", STACK, step_mm=-2.0)
    write_series(root / "train/00001/T1wCE", STACK)
    for study in ("00002", "00003"):
        write_series(root / f"train/{study}/T2w", STACK, orientation=CORONAL)
    write_series(root / "test/00009/FLAIR", STACK)
    (root / "train_labels.csv").write_text(f"BraTS21ID,MGMT_value\n{labels}")
    return root


def test_the_competitions_root_and_its_train_folder_are_the_same_cohort(tmp_path: Path) -> None:
    root = write_competition(tmp_path / "rsna")
    cohort = scan_cohort(root)
    assert cohort.layout == "rsna"
    assert [study.study_id for study in cohort] == ["00001", "00002", "00003"]
    assert [study.mgmt_value for study in cohort] == [1, 0, 1]
    assert cohort.class_names == CLASS_NAMES
    assert cohort.positive_class == 1
    assert not cohort.faults
    assert "Only train/ was read, not test/." in cohort.notes
    train = scan_cohort(root / "train")
    assert train.digest == cohort.digest
    assert train.label_counts() == {0: 1, 1: 2}


def test_a_series_knows_its_geometry_and_its_spatial_order(tmp_path: Path) -> None:
    cohort = scan_cohort(write_competition(tmp_path))
    flair = cohort["00001"].find(MRSequence.FLAIR)
    assert flair is not None
    assert flair.plane is Plane.AXIAL
    assert flair.spacing_mm == pytest.approx((2, 1, 1))
    assert (flair.rows, flair.columns) == (6, 5)
    assert flair.sequence_reason == "folder name 'FLAIR'"
    assert [path.name for path in flair.files] == [f"Image-{number}.dcm" for number in (4, 3, 2, 1)]
    assert [series.plane for series in cohort["00002"].series] == [Plane.CORONAL]


@pytest.mark.parametrize("orientation", [(-1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 1, 0), (0, 1, 0, 1, 0, 0)])
def test_files_ascend_whichever_way_the_rows_run(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    paths = write_series(tmp_path / "00001/FLAIR", STACK, orientation=orientation, step_mm=2.0)
    ascending = np.cross(orientation[:3], orientation[3:])[2] > 0
    series = scan_cohort(tmp_path)["00001"].series[0]
    assert list(series.files) == (paths if ascending else paths[::-1])


def test_a_study_folder_alone_and_a_series_folder_alone(tmp_path: Path) -> None:
    root = write_competition(tmp_path)
    for folder, count in ((root / "train/00001", 2), (root / "train/00001/FLAIR", 1)):
        cohort = scan_cohort(folder)
        assert [study.study_id for study in cohort] == ["00001"]
        assert len(cohort["00001"].series) == count


def test_processes_find_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_competition(tmp_path)
    alone = scan_cohort(root, jobs=1)
    monkeypatch.setattr("core.data.study_folders.FILES_PER_PROCESS", 4)
    seen: list[tuple[int, int, str]] = []
    together = scan_cohort(root, jobs=2, progress=lambda done, total, what="": seen.append((done, total, what)))
    assert together == alone
    assert seen == [(1, 3, "00001"), (2, 3, "00002"), (3, 3, "00003")]


def test_faulty_files_and_series_are_named_and_the_rest_go_on(tmp_path: Path) -> None:
    root = write_competition(tmp_path)
    (root / "train/00001/FLAIR/Image-2.dcm").write_text("text")
    write_mr(root / "train/00002/CT/Image-1.dcm", Modality="CT")
    write_series(root / "train/00003/T2w/again", STACK, orientation=CORONAL)
    (root / "train/00003/T1w").mkdir()
    (root / "train/00004").mkdir()
    cohort = scan_cohort(root)
    reasons = {fault.path: fault.reason for fault in cohort.faults}
    assert "not a DICOM file" in reasons["train/00001/FLAIR/Image-2.dcm"]
    assert "slices may be missing" in reasons["train/00001/FLAIR"]
    assert "Modality CT" in reasons["train/00002/CT/Image-1.dcm"]
    assert reasons["train/00003/T1w"] == "an empty folder"
    assert reasons["train/00004"] == "a study without images"
    assert [len(study.series) for study in cohort] == [2, 1, 2]


def test_what_systems_leave_behind_and_loops_are_passed_over(tmp_path: Path) -> None:
    root = write_competition(tmp_path)
    (root / "train/.DS_Store").write_bytes(b"x")
    (root / "train/00001/FLAIR/._Image-1.dcm").write_bytes(b"x")
    (root / "train/__MACOSX/00001").mkdir(parents=True)
    (root / "train/00001/loop").symlink_to(root / "train")
    cohort = scan_cohort(root)
    assert not cohort.faults
    assert cohort.file_count == 16


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    root = write_competition(tmp_path, labels="1,1\n2,0\n77,1\n")
    cohort = scan_cohort(root)
    assert [study.label for study in cohort] == [1, 0, None]
    assert "Studies without a label: 1 (00003)." in cohort.notes
    assert "Labels of studies that are not here: 1." in cohort.notes
    (root / "train_labels.csv").write_text("BraTS21ID,MGMT_value\n00001,2\n")
    with pytest.raises(LabelError, match="expected 0 or 1"):
        scan_cohort(root)
    (tmp_path / "mine.csv").write_text("BraTS21ID,MGMT_value\n00003,0\n")
    assert scan_cohort(root, labels=tmp_path / "mine.csv")["00003"].label == 0
    (root / "train_labels.csv").unlink()
    assert any("No label table" in note for note in scan_cohort(root).notes)


def test_two_ids_of_one_person_are_joined(tmp_path: Path) -> None:
    for study in ("00557", "00639", "00640"):
        write_series(tmp_path / study / "FLAIR", STACK)
    cohort = scan_cohort(tmp_path)
    assert [study.person for study in cohort] == ["00557", "00557", "00640"]
    assert "Studies 00557 and 00639 are one person." in cohort.notes


def test_a_synthetic_cohort_is_known_by_its_file_and_by_its_headers(tmp_path: Path) -> None:
    assert not scan_cohort(write_competition(tmp_path / "a")).synthetic
    root = write_competition(tmp_path / "b")
    (root / "synthetic.json").write_text("{}")
    assert scan_cohort(root).synthetic
    assert scan_cohort(root / "train").synthetic
    write_series(tmp_path / "c/00001/FLAIR", STACK, ImageComments=SYNTHETIC_MARK)
    assert scan_cohort(tmp_path / "c").synthetic


def test_phases_group_the_slices_of_a_patient(tmp_path: Path) -> None:
    for phase, patient, mgmt in (("TRAIN", "00430", "methylated"), ("TRAIN", "00008", "unmethylated"), ("VAL", "00430", "methylated")):  # fmt: skip
        for sequence in ("FLAIR", "T2w"):
            for number in (2, 10, 1):
                write_image(tmp_path / phase / mgmt / f"{patient}_{sequence}_{number}.png")
    cohort = scan_cohort(tmp_path)
    assert cohort.layout == "phases"
    assert cohort.class_names == ("methylated", "unmethylated")
    assert cohort.class_names[cohort.positive_class] == "methylated"
    assert {study.study_id: (study.person, study.phase, study.label) for study in cohort} == {
        "00008": ("00008", "TRAIN", 1),
        "00430": ("00430", "TRAIN", 0),
        "00430-VAL": ("00430", "VAL", 0),
    }
    series = cohort["00430"].find(MRSequence.T2W)
    assert series is not None
    assert [path.name for path in series.files] == [f"00430_T2w_{number}.png" for number in (1, 2, 10)]
    assert (series.rows, series.columns, series.spacing_mm) == (6, 8, None)
    assert any("1 persons stand in more than one phase (00430)" in note for note in cohort.notes)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "Testing")])
def test_phases_are_known_in_any_case(tmp_path: Path, names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        write_image(tmp_path / name / "yes" / f"{index}_a.png")
        write_image(tmp_path / name / "no" / f"{index + 10}_a.png")
    assert {study.phase for study in scan_cohort(tmp_path)} == {"TRAIN", "VAL", "TEST"}


def test_classes_that_differ_in_case_are_one_and_an_empty_folder_is_none(tmp_path: Path) -> None:
    for phase, name in (
        ("TRAIN", "Methylated"),
        ("TRAIN", "Unmethylated"),
        ("VAL", "methylated"),
        ("VAL", "unmethylated "),
    ):
        write_image(tmp_path / "case" / phase / name / f"{len(phase) + len(name)}_a.png")
    cohort = scan_cohort(tmp_path / "case")
    assert cohort.class_names == ("Methylated", "Unmethylated")
    assert cohort.label_counts() == {0: 2, 1: 2}
    for name in ("no", "yes"):
        write_image(tmp_path / "empty" / name / f"{len(name)}_a.png")
    (tmp_path / "empty/a new folder").mkdir()
    cohort = scan_cohort(tmp_path / "empty")
    assert (cohort.class_names, cohort.positive_class) == (("no", "yes"), 1)
    assert "No class: a new folder, without an image." in cohort.notes


def test_class_folders_without_patients(tmp_path: Path) -> None:
    write_image(tmp_path / "yes/Y1.png")
    write_image(tmp_path / "no/Y1.png")
    write_image(tmp_path / "no/7 no.png")
    (tmp_path / "no/broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    cohort = scan_cohort(tmp_path, sequence=MRSequence.T1WCE)
    assert cohort.layout == "classes"
    assert [(study.study_id, study.person, study.label) for study in cohort] == [
        ("00007", "00007", 0),
        ("Y1", "Y1", 0),
        ("Y1-yes", "Y1-yes", 1),
    ]
    assert cohort.class_names[cohort.positive_class] == "yes"
    assert {series.sequence for series in cohort.series} == {MRSequence.T1WCE}
    assert [fault.path for fault in cohort.faults] == ["no/broken.jpg"]
    assert any("2 images name no patient, such as " in note for note in cohort.notes)


def test_the_patient_pattern_finds_the_patient(tmp_path: Path) -> None:
    for name in ("scan_p3_1.png", "scan_p3_2.png", "scan_p12_1.png"):
        write_image(tmp_path / "1" / name)
    cohort = scan_cohort(tmp_path, patient_pattern=r"p(\d+)")
    assert {study.study_id: len(study.series[0].files) for study in cohort} == {"00003": 2, "00012": 1}
    with pytest.raises(ConfigError, match="not a regular expression"):
        scan_cohort(tmp_path, patient_pattern="(")


def test_a_flat_folder_takes_its_labels_from_the_table(tmp_path: Path) -> None:
    for name in ("00003_1.jpg", "00003_2.jpg", "00004_1.jpg"):
        write_image(tmp_path / "slices" / name)
    (tmp_path / "labels.csv").write_text("BraTS21ID,MGMT_value\n3,1\n4,0\n")
    cohort = scan_cohort(tmp_path / "slices", labels=tmp_path / "labels.csv")
    assert cohort.layout == "flat"
    assert {study.study_id: study.label for study in cohort} == {"00003": 1, "00004": 0}
    assert cohort.class_names == CLASS_NAMES


def test_images_in_the_competitions_layout(tmp_path: Path) -> None:
    write_image(tmp_path / "00001/FLAIR/Image-1.png")
    write_image(tmp_path / "00001/T2w/Image-1.png")
    cohort = scan_cohort(tmp_path)
    assert cohort.layout == "rsna"
    assert [series.sequence for series in cohort["00001"].series] == [MRSequence.FLAIR, MRSequence.T2W]


def test_the_layout_can_be_insisted_on(tmp_path: Path) -> None:
    write_image(tmp_path / "00001/1.png")
    write_image(tmp_path / "00002/2.png")
    assert scan_cohort(tmp_path).layout == "rsna"
    insisted = scan_cohort(tmp_path, layout="classes")
    assert insisted.class_names == ("00001", "00002")
    assert insisted.notes[0] == "Read as class folders of images, as stated."
    with pytest.raises(ConfigError, match="no layout 'dicom'"):
        scan_cohort(tmp_path, layout="dicom")


def test_nothing_usable_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EmptyCohortError, match=r"No study was found.*expected studies as"):
        scan_cohort(tmp_path)
    with pytest.raises(EmptyCohortError, match="does not exist"):
        scan_cohort(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(EmptyCohortError, match="is a file"):
        scan_cohort(tmp_path / "a.txt")
    write_mr(tmp_path / "00001/FLAIR/a.dcm", Modality="CT")
    with pytest.raises(EmptyCohortError, match=r"00001/FLAIR/a\.dcm: a\.dcm has Modality CT"):
        scan_cohort(tmp_path)


def test_the_real_cohorts(shared_data: Path) -> None:
    labels = shared_data / "labels" / "train_labels.csv"
    rsna = scan_cohort(shared_data / "rsna_dicom", labels=labels)
    assert {study.study_id: study.label for study in rsna} == {"00008": 1, "00430": 0}
    assert [len(study.series[0].files) for study in rsna] == [15, 60]
    flat = scan_cohort(shared_data / "rsna_t1wce_jpeg", labels=labels)
    assert (flat.layout, flat.file_count, len(flat.labelled), len(flat)) == ("flat", 371, 72, 72)
    assert {series.sequence for series in flat.series} == {MRSequence.T1WCE}
    classes = scan_cohort(shared_data / "imagefolder_yes_no")
    assert (classes.layout, classes.file_count) == ("classes", 253)
    assert not classes.faults
    nifti = scan_cohort(shared_data / "brats_nifti")
    assert {series.sequence for series in nifti.series} == set(MRSequence) - {MRSequence.UNKNOWN}
    with pytest.raises(EmptyCohortError, match="time series"):
        scan_cohort(shared_data / "dicom_multi_series")
