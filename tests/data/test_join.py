"""Several cohorts as one: ids never meet, labels keep their meaning, and mixtures that say nothing are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.data.clinical.participants import describe_flow
from core.data.join import PART_OF, join_cohorts, leave_out, name_cohorts
from core.data.study import Cohort, Series, Study
from core.errors import DataError, LabelError
from core.mri import MRSequence, Plane


def make_cohort(root: str, labels: dict[str, int | None], **changes: object) -> Cohort:
    studies = tuple(
        Study(
            study_id=name, person=name, label=label, covariates={"site": "1"},
            series=(
                Series(
                    study_id=name, sequence=MRSequence.FLAIR, series_uid=f"1.2.{name}", plane=Plane.AXIAL,
                    files=(Path(name),),
                ),
            ),
        )
        for name, label in labels.items()
    )  # fmt: skip
    return replace(Cohort(root=Path(root), layout="rsna", studies=studies), **changes)  # type: ignore[arg-type]


def test_equal_ids_of_two_cohorts_stay_two_persons() -> None:
    joined = join_cohorts({"a": make_cohort("/d/a", {"1": 0, "2": 1}), "b": make_cohort("/d/b", {"1": 1, "3": None})})
    assert [study.study_id for study in joined] == ["a:1", "a:2", "b:1", "b:3"]
    assert len({study.person for study in joined}) == 4
    assert [study.label for study in joined] == [0, 1, 1, None]
    assert [study.covariates[PART_OF] for study in joined] == ["a", "a", "b", "b"]
    assert joined["b:1"].covariates["site"] == "1"
    assert all(series.study_id == study.study_id for study in joined for series in study.series)
    assert joined.root == Path("/d")


def test_labels_follow_their_names_and_not_their_numbers() -> None:
    turned = make_cohort("/d/b", {"1": 0, "2": 1}, class_names=("methylated", "unmethylated"), positive_class=0)
    joined = join_cohorts({"a": make_cohort("/d/a", {"1": 0, "2": 1}), "b": turned})
    assert joined.class_names == ("unmethylated", "methylated")
    assert [joined[name].label for name in ("b:1", "b:2")] == [1, 0]


@pytest.mark.parametrize(
    "changes",
    [{"class_names": ("wildtype", "mutant")}, {"class_names": ("methylated", "unmethylated")}],
    ids=["other names", "other positive class"],
)
def test_classes_that_mean_something_else_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(LabelError, match="b cannot be joined"):
        join_cohorts({"a": make_cohort("/d/a", {"1": 0}), "b": make_cohort("/d/b", {"1": 0}, **changes)})


def test_synthetic_scans_are_not_mixed_with_others() -> None:
    with pytest.raises(DataError, match="b is synthetic"):
        join_cohorts({"a": make_cohort("/d/a", {"1": 0}), "b": make_cohort("/d/b", {"1": 0}, synthetic=True)})


def test_who_is_left_out_is_counted_in_the_flow() -> None:
    left = leave_out(make_cohort("/d/a", {"1": 0, "2": 1, "3": 1}), ["2"])
    assert [study.study_id for study in left] == ["1", "3"]
    flow = describe_flow(left)
    assert flow["found"] == {"studies": 3, "persons": 3}
    assert flow["excluded"] == [
        {"reason": "the person is in another of the cohorts, which is named first", "studies": 1, "persons": 1}
    ]


def test_a_cohort_is_named_by_its_folder_and_no_name_stands_twice() -> None:
    roots = [Path("/d/upenn"), Path("/e/upenn"), Path("/e/ucsf/train"), Path("/f/upenn-2")]
    assert name_cohorts(roots) == ("upenn", "upenn-2", "ucsf", "upenn-2-2")
