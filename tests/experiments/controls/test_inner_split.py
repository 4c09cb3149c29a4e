import numpy as np
import pytest

from core.config import SplitConfig
from core.dataset.split import make_split
from core.errors import SplitError
from core.experiments.controls.inner_split import split_inside
from tests.training.tiny import make_images

TABLE, _ = make_images(persons=60)
LABELS = TABLE.rows.drop_duplicates("person").set_index("person")["label"]


@pytest.mark.parametrize("unit", ["patient", "slice"])
def test_the_test_patients_stand_in_no_part(unit: str) -> None:
    config = SplitConfig(split_unit=unit)
    outer = make_split(TABLE, config.model_copy(update={"split_unit": "patient"}), "d" * 12)
    seen = []
    for seed in range(4):
        inner = split_inside(TABLE, config, "d" * 12, seed)
        everybody = [*inner.train, *inner.val, *inner.test]
        assert not set(everybody) & set(outer.test)
        assert sorted([*everybody, *outer.test]) == sorted(LABELS.index)
        assert inner.unit == "patient"
        assert all(set(LABELS[list(part)]) == {0, 1} for part in (inner.train, inner.val, inner.test))
        seen.append(inner.test)
    assert len(set(seen)) == 4


def test_the_same_seed_gives_the_same_hold_out_and_no_test_share_takes_that_of_validation() -> None:
    config = SplitConfig(test_fraction=0.0)
    assert split_inside(TABLE, config, "d" * 12, 3) == split_inside(TABLE, config, "d" * 12, 3)
    assert len(split_inside(TABLE, config, "d" * 12, 3).test) == len(split_inside(TABLE, config, "d" * 12, 3).val)


def test_phases_of_folders_are_dealt_out_anew_but_their_test_stays_untouched() -> None:
    rows = TABLE.rows.copy()
    rows["phase"] = np.where(rows["person"].isin(sorted(LABELS.index)[:12]), "TEST", "TRAIN")
    from dataclasses import replace

    inner = split_inside(replace(TABLE, rows=rows), SplitConfig(), "d" * 12, 0)
    assert not {*inner.train, *inner.val, *inner.test} & set(sorted(LABELS.index)[:12])
    assert inner.source == "drawn"


def test_too_few_patients_are_refused() -> None:
    small, _ = make_images(persons=8)
    with pytest.raises(SplitError):
        split_inside(small, SplitConfig(), "d" * 12, 0)
