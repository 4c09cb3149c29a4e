"""Class folders: which of them is the positive class, which are one, and which are none."""

from pathlib import Path

import pytest
from PIL import Image

from core.data.clinical.labels import Target
from core.data.clinical.participants import describe_flow
from core.data.cohort import scan_cohort
from core.errors import ConfigError


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
