"""The tumour's place in the prepared images of a synthetic cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.prepare.slices import prepare_source
from core.data.volume import read_volume
from core.errors import DataError
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.phantom.truth import draw_truth, has_truth, read_truth


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth") / "cohort"
    make_phantom(folder, PhantomConfig(studies=2, signal=3, seed=4, slices=16, size=64), jobs=1)
    return folder


def test_tumour_is_drawn_where_the_table_says_in_every_plane(root: Path) -> None:
    table = pd.read_csv(root / "truth.csv", dtype={"study_id": str}).set_index("study_id")
    planes = set()
    for study in scan_cohort(root):
        truth = read_truth(root, study.study_id)
        low = table.loc[study.study_id, ["low_l_mm", "low_p_mm", "low_s_mm"]].to_numpy(float)
        high = table.loc[study.study_id, ["high_l_mm", "high_p_mm", "high_s_mm"]].to_numpy(float)
        for series in study.series:
            planes.add(series.plane)
            prepared = prepare_source((series,), PrepConfig(size_px=64, slice_choice="all", crop=False))
            drawn = draw_truth(truth, series, prepared)
            assert drawn.shape == prepared.pixels.shape
            assert drawn.any()
            volume, _ = read_volume(series)
            frame = prepared.frames[0]
            images, rows, columns = np.nonzero(drawn)
            scale = (frame.row_stop - frame.row_start) / (frame.bottom - frame.top)
            index = np.stack(
                [
                    prepared.slice_index[images],
                    (rows - frame.top + 0.5) * scale - 0.5 + frame.row_start,
                    (columns - frame.left + 0.5) * scale - 0.5 + frame.column_start,
                    np.ones(len(rows)),
                ]
            )
            places = (volume.affine @ index)[:3].T
            spacing = np.array(volume.spacing_mm).max()
            assert (places.min(axis=0) >= low - spacing).all()
            assert (places.max(axis=0) <= high + spacing).all()
            np.testing.assert_allclose(places.mean(axis=0), (low + high) / 2, atol=spacing)


def test_a_train_folder_finds_the_truth_above_it(root: Path) -> None:
    assert has_truth(root / "train")
    assert not has_truth(root.parent)
    study = next(iter(scan_cohort(root))).study_id
    assert read_truth(root / "train", study).z == read_truth(root, study).z


def test_what_is_not_known_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only a synthetic cohort"):
        read_truth(tmp_path, "00001")
    with pytest.raises(DataError, match="says nothing of study 00001"):
        read_truth(root, "00001")
