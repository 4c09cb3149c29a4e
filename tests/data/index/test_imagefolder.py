"""Class folders: which of them is the positive class, which are one, and which are none."""

from pathlib import Path

import pytest
from PIL import Image

from core.data.clinical.labels import Target
from core.data.clinical.participants import describe_flow
from core.data.cohort import scan_cohort
from core.errors import ConfigError, EmptyCohortError


def write_classes(root: Path, *folders: str) -> Path:
    """Two pictures of one person in each folder."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for page in range(2):
            Image.new("L", (8, 6), 20 * number + page + 1).save(root / folder / f"{number:05d}_FLAIR_{page}.png")
    return root


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (("MGMT+", "MGMT-"), "MGMT+"),
        (("MGMT (pos)", "MGMT (neg)"), "MGMT (pos)"),
        (("+", "-"), "+"),
        (("methyliert", "nicht methyliert"), "methyliert"),
        (("M", "UM"), "M"),
        (("metilato", "non metilato"), "metilato"),
        (("MGMT promoter methylated", "MGMT promoter unmethylated"), "MGMT promoter methylated"),
        (("a_rest", "methylated"), "methylated"),
        (("unmethylated", "rest"), "rest"),
        (("absent", "zz"), "zz"),
        (("dog", "not dog"), "dog"),
        (("glioma", "no_glioma"), "glioma"),
        (("no", "yes"), "yes"),
        (("0", "1"), "1"),
    ],
)
def test_the_positive_class_is_the_one_whose_name_says_so(
    tmp_path: Path, names: tuple[str, ...], positive: str
) -> None:
    cohort = scan_cohort(write_classes(tmp_path, *names))
    assert cohort.class_names == tuple(sorted(names))
    assert cohort.class_names[cohort.positive_class] == positive
    assert any(note.endswith(f"{positive!r} counts as positive.") for note in cohort.notes)


def test_of_names_that_do_not_say_it_the_last_is_positive_and_a_person_can_choose(tmp_path: Path) -> None:
    root = write_classes(tmp_path, "cat", "dog")
    cohort = scan_cohort(root)
    assert cohort.class_names[cohort.positive_class] == "dog"
    assert any(
        "no name says so: 'dog', the last one, counts as positive; choose with --positive" in one
        for one in cohort.notes
    )
    chosen = scan_cohort(root, target=Target(positive="Cat"))
    assert chosen.class_names[chosen.positive_class] == "cat"
    assert any(one.endswith("'cat' counts as positive, as stated.") for one in chosen.notes)
    with pytest.raises(ConfigError, match=r"no class 'bird' \(--positive\); there are: cat, dog"):
        scan_cohort(root, target=Target(positive="bird"))


def test_two_spellings_of_one_class_are_one(tmp_path: Path) -> None:
    root = write_classes(
        tmp_path,
        "TRAIN/non_methylated",
        "TRAIN/methylated",
        "TEST/non-methylated",
        "TEST/METH",
        "VAL/type 1",
        "VAL/Type-1",
    )
    cohort = scan_cohort(root)
    assert cohort.class_names == ("methylated", "non_methylated", "type 1")
    assert cohort.label_counts() == {0: 2, 1: 2, 2: 2}
    assert (
        "One class: METH is read as methylated, Type-1 is read as type 1, non-methylated is read as non_methylated."
        in cohort.notes
    )


@pytest.mark.parametrize("name", ["indeterminate", "Unknown", "not determined"])
def test_a_class_that_is_not_known_is_excluded_with_the_reason(tmp_path: Path, name: str) -> None:
    cohort = scan_cohort(write_classes(tmp_path, "meth", "unmeth", name))
    assert (cohort.class_names, cohort.positive_class) == (("meth", "unmeth"), 0)
    assert sorted(study.label for study in cohort if study.label is not None) == [0, 1]
    assert [(study.label, study.excluded) for study in cohort.excluded] == [(None, f"class folder is {name!r}")]
    assert describe_flow(cohort)["found"] == {"studies": 3, "persons": 3}
    assert f"Excluded studies: 1 (1: class folder is {name!r})." in cohort.notes
    plain = scan_cohort(write_classes(tmp_path / "plain", "glioma", "none"))
    assert plain.class_names == ("glioma", "none")


def test_a_table_that_names_the_folders_makes_them_persons(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", "anna", "bert", "carl")
    (root / "labels.csv").write_text("id,MGMT\nanna,1\nbert,0\ncarl,1\ndora,0\n")
    cohort = scan_cohort(root)
    assert {study.person: study.label for study in cohort} == {"anna": 1, "bert": 0, "carl": 1}
    assert "Folders of images are studies: labels.csv names them." in cohort.notes
    (root / "labels.csv").rename(tmp_path / "mine.csv")
    assert scan_cohort(root, labels=tmp_path / "mine.csv").class_names == cohort.class_names
    assert scan_cohort(root).class_names == ("anna", "bert", "carl")
    assert scan_cohort(root, labels=tmp_path / "mine.csv", layout="classes").class_names == ("anna", "bert", "carl")


def test_a_table_of_images_leaves_class_folders_as_they_are(tmp_path: Path) -> None:
    root = write_classes(tmp_path, "no", "yes")
    (root / "labels.csv").write_text("id,MGMT\n00000,0\n00001,1\n")
    cohort = scan_cohort(root)
    assert (cohort.layout, cohort.class_names) == ("classes", ("no", "yes"))


def write_pictures(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6), number + 1).save(root / name)
    return root


@pytest.mark.parametrize("folder", ["", "yes/"])
@pytest.mark.parametrize(
    ("one", "other", "persons"),
    [
        ("B10_{}_0{}.png", "B11_{}_0{}.png", {"B10", "B11"}),
        ("patient-7-{}-slice{}.jpg", "patient-8-{}-slice{}.jpg", {"patient-7", "patient-8"}),
        ("3D_P1_{}_{}.png", "3D_P2_{}_{}.png", {"3D_P1", "3D_P2"}),
        ("2019-03-04_P1_{}_{}.png", "2019-03-04_P2_{}_{}.png", {"P1", "P2"}),
    ],
)
def test_images_of_several_patients_in_one_folder_are_told_apart_by_the_words_of_their_names(
    tmp_path: Path, folder: str, one: str, other: str, persons: set[str]
) -> None:
    names = [
        folder + name.format(*of) for name in (one, other) for of in ((s, i) for s in ("FLAIR", "T2") for i in "123")
    ]
    cohort = scan_cohort(write_pictures(tmp_path, *names, *(["no/x.png"] if folder else [])))
    studies = [study for study in cohort if study.study_id != "x"]
    assert {study.person for study in studies} == persons
    assert [[len(series.files) for series in study.series] for study in studies] == [[3, 3]] * 2
    said = next(note for note in cohort.notes if "by the words of their names" in note)
    assert said.startswith("12 images are of 2 patients")
    assert "--patient-pattern" in said


def test_images_that_name_no_patient_are_never_one_and_the_remedy_is_named(tmp_path: Path) -> None:
    cohort = scan_cohort(write_pictures(tmp_path, "img_0001.png", "img_0002.png", "BraTS20_Training_003.png"))
    assert len({study.person for study in cohort}) == 3
    assert any("3 images name no patient" in note and "--patient-pattern" in note for note in cohort.notes)


def test_a_number_alone_is_said_to_count_as_the_patients(tmp_path: Path) -> None:
    cohort = scan_cohort(write_pictures(tmp_path, "1.png", "2.png"))
    assert [study.study_id for study in cohort] == ["00001", "00002"]
    assert any("2 images are named by a number alone, such as 1.png" in note for note in cohort.notes)


def test_two_time_points_in_the_names_of_images_stay_two_sessions_of_a_person(tmp_path: Path) -> None:
    names = [
        f"P01_{time}_{sequence}_{page}.png" for time in ("T1", "T2") for sequence in ("flair", "t2w") for page in "12"
    ]
    cohort = scan_cohort(write_pictures(tmp_path, *names), session="all")
    assert [(study.study_id, study.person) for study in cohort] == [("P01_T1", "P01"), ("P01_T2", "P01")]
    assert all([len(series.files) for series in study.series] == [2, 2] for study in cohort)


@pytest.mark.parametrize("names", [("0", "1"), ("1", "2", "3")])
@pytest.mark.parametrize("files", [("IM0001.png", "IM0002.png"), ("0001.png", "0002.png", "0003.png")])
def test_series_that_are_named_by_numbers_are_not_taken_for_classes(
    tmp_path: Path, names: tuple[str, ...], files: tuple[str, ...]
) -> None:
    root = write_pictures(tmp_path, *(f"{name}/{file}" for name in names for file in files))
    with pytest.raises(EmptyCohortError, match=r"may be classes or the series of one study.*--layout classes"):
        scan_cohort(root)
    assert scan_cohort(root, layout="classes").class_names == names


def test_folders_named_by_numbers_that_hold_one_sequence_each_are_not_taken_for_classes(tmp_path: Path) -> None:
    pairs = enumerate(("FLAIR", "T1", "T2"))
    root = write_pictures(
        tmp_path, *(f"{number}/{name}_{number}{page}.png" for number, name in pairs for page in range(3))
    )
    with pytest.raises(EmptyCohortError, match="each holds another sequence"):
        scan_cohort(root)


@pytest.mark.parametrize("name", ["SE000{}/{}_{}.png", "Series {}/P{}.{}.png"])
def test_series_folders_of_images_as_scanners_name_them_are_not_taken_for_classes(tmp_path: Path, name: str) -> None:
    pairs = enumerate(("FLAIR", "T1", "T2"))
    root = write_pictures(tmp_path, *(name.format(number, kind, page) for number, kind in pairs for page in range(3)))
    with pytest.raises(EmptyCohortError, match="may be classes or the series of one study"):
        scan_cohort(root)
