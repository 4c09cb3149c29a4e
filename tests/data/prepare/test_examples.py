"""Examples of every form: what stands in them, where it comes from, and how it is found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.prepare.cache import load_prepared, open_prepared
from core.data.prepare.common_grid import pixel_spacing
from core.data.prepare.examples import list_seen
from core.data.prepare.slices import prepare_source as prepare
from core.data.prepare.slices import prepare_volume, prepare_volumes
from core.data.select import select_sources
from core.data.study import Study
from core.dataset.table import build_table
from core.errors import DataError
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.settings import Settings
from tests.data.volumes import draw_head, make_study, make_volume
from tests.phantoms import copy_phantom

FLAIR, T1W, T1WCE, T2W = list(MRSequence)[:4]
THREE = (FLAIR, T1WCE, T2W)
SMALL = {"size_px": 32, "slice_count": 4}


def prep(**changes: object) -> PrepConfig:
    return PrepConfig.model_validate({**SMALL, **changes})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A synthetic study: four sequences in planes of their own, one head."""
    folder = tmp_path_factory.mktemp("forms") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=2, size=48, slices=12, seed=5))
    return scan_cohort(folder).studies[0]


def test_neighbours_are_the_slices_below_and_above() -> None:
    volume = make_volume(draw_head(9))
    alone = prepare_volume(volume, prep(slice_choice="all"))
    found = prepare_volume(volume, prep(slice_choice="all", channels="neighbours"))
    assert found.pixels.shape == (9, 3, 32, 32)
    np.testing.assert_array_equal(found.pixels[:, 1], alone.pixels)
    np.testing.assert_array_equal(found.pixels[1:, 0], alone.pixels[:-1])
    np.testing.assert_array_equal(found.pixels[:-1, 2], alone.pixels[1:])
    np.testing.assert_array_equal(found.pixels[0, 0], alone.pixels[0])  # its own neighbour at the end


def test_a_volume_is_its_slices_and_a_short_one_is_padded_on_both_sides() -> None:
    volume = make_volume(draw_head(5))
    slices = prepare_volume(volume, prep(slice_choice="all")).pixels
    found = prepare_volume(volume, prep(form="volume", slice_count=8))
    assert found.pixels.shape == (1, 1, 8, 32, 32)
    assert found.layers is not None
    assert found.layers.tolist() == [[-1, 0, 1, 2, 3, 4, -1, -1]]
    assert not found.pixels[0, 0, [0, 6, 7]].any()
    np.testing.assert_array_equal(found.pixels[0, 0, 1:6], slices)
    seen = list_seen(found, prep(form="volume", slice_count=8), "FLAIR")
    assert [(one.slice_index, one.place) for one in seen] == [(index, (0, index + 1)) for index in range(5)]
    np.testing.assert_allclose([one.position_mm for one in seen], volume.positions_mm)
    np.testing.assert_array_equal(seen[2].take(found.pixels[0]), slices[2])
    np.testing.assert_array_equal(seen[2].take(np.arange(8)[:, None, None] * np.ones((8, 2, 2))), np.full((2, 2), 3))


def test_a_window_lies_around_the_slice_with_most_brain() -> None:
    array = draw_head(20)
    array[:9] *= np.linspace(0, 1, 9)[:, None, None] > 0.9  # the lower half is nearly empty
    array[13, 2:-2, 2:-2] = 700
    found = prepare_volume(make_volume(array), prep(slice_choice="window", slice_count=5))
    assert found.slice_index.tolist() == [11, 12, 13, 14, 15]
    assert prepare_volume(make_volume(draw_head(3)), prep(slice_choice="window")).slice_index.tolist() == [0, 1, 2]


def test_sequences_stand_in_the_channels_and_one_that_is_missing_is_black() -> None:
    first, second = make_volume(draw_head(6, seed=1)), replace(make_volume(draw_head(6, seed=2)), sequence=T2W)
    config = prep(channels="sequences", sequences=THREE, grid_mm=3)
    found = prepare_volumes([first, None, second], config)
    assert found.pixels.shape == (4, 3, 32, 32)
    assert found.sequences == ("FLAIR+T2w",) * 4
    assert not found.pixels[:, 1].any()
    assert found.pixels[:, 0].any()
    assert found.pixels[:, 2].any()
    assert [one.sequence for one in list_seen(found, config, "")] == ["FLAIR", "T2w"] * 4
    volume = prepare_volumes([first, None, second], config.model_copy(update={"form": "volume"}))
    np.testing.assert_array_equal(volume.pixels[0], found.pixels.swapaxes(0, 1))


def test_zscore_shows_three_standard_deviations() -> None:
    array = draw_head(4)
    array[array > 0] = np.random.default_rng(0).normal(1000, 100, int((array > 0).sum())).astype(np.float32)
    inside = prepare_volume(make_volume(array), prep(normalise="zscore", crop=False)).pixels
    assert np.median(inside[inside > 0]) == pytest.approx(127.5, abs=12)  # the rim mixes with black


def test_adaptive_contrast_leaves_the_outside_black() -> None:
    volume = make_volume(draw_head(4) ** 0.3)
    plain, even = (prepare_volume(volume, prep(contrast=kind, size_px=64)).pixels for kind in ("none", "clahe"))
    assert np.all(even[plain == 0] == 0)
    assert not np.array_equal(plain, even)


def test_on_a_common_grid_the_sequences_of_a_study_show_the_same_place(study: Study) -> None:
    assert len({series.plane for series in study.series}) > 1
    config = prep(form="streams", sequences=(FLAIR, T1W, T1WCE, T2W), grid_mm=4, size_px=64)
    found = prepare(select_sources(study, config)[0], config)
    assert found.pixels.shape == (4, 4, 64, 64)
    heads = found.pixels > 25
    for other in range(1, 4):
        overlap = (heads[:, 0] & heads[:, other]).sum() / (heads[:, 0] | heads[:, other]).sum()
        assert overlap > 0.85
    rows_mm, columns_mm = pixel_spacing(found, config)
    assert rows_mm == pytest.approx(columns_mm, rel=0.03)
    assert 100 < rows_mm * 64 < 260  # a head


def test_grey_examples_on_a_grid_are_the_same_slices_of_each_sequence(study: Study, settings: Settings) -> None:
    config = prep(grid_mm=4)
    found = load_prepared(select_sources(study, config)[0], config, settings)
    assert found.sequences == tuple(name for name in ("FLAIR", "T1w", "T1wCE", "T2w") for _ in range(4))
    assert found.slice_index.tolist() == found.slice_index[:4].tolist() * 4
    again = open_prepared(select_sources(study, config)[0], config, settings)
    assert again is not None
    assert again.sequences == found.sequences
    turned = config.model_copy(update={"sequences": tuple(reversed(config.sequences))})
    assert open_prepared(select_sources(study, turned)[0], turned, settings) is None


def test_a_volume_comes_back_from_the_cache_as_it_was(study: Study, settings: Settings) -> None:
    series = study.series[0]
    config = prep(form="volume", slice_count=40)
    first, second = (load_prepared(series, config, settings) for _ in range(2))
    for name in ("pixels", "layers", "layers_mm", "slice_index", "position_mm"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert second.layers_mm is not None
    assert np.isnan(second.layers_mm[0, 0])


def test_a_series_that_cannot_be_read_is_left_out_of_the_study(study: Study, tmp_path: Path) -> None:
    broken = replace(study.series[1], files=(tmp_path / "gone.dcm",))
    config = prep(form="streams", sequences=(study.series[0].sequence, broken.sequence), grid_mm=4)
    found = prepare((study.series[0], broken), config)
    assert found.sequences == (str(study.series[0].sequence),) * 4
    assert [fault.path for fault in found.faults if "gone" not in fault.path] == [f"{study.study_id}/{broken.sequence}"]
    with pytest.raises(DataError):
        prepare((broken,), config)


def test_a_table_of_studies_has_one_row_per_example(study: Study, settings: Settings) -> None:
    cohort = scan_cohort(study.series[0].files[0].parents[3])
    table = build_table(cohort, prep(form="volume", channels="sequences", sequences=THREE, grid_mm=4), settings, jobs=1)
    assert len(table) == len(cohort)
    assert table.images(np.array([1, 0])).shape == (2, 3, 4, 32, 32)
    assert set(table.rows["sequence"]) == {"FLAIR+T1wCE+T2w"}
    assert set(table.rows["plane"]) == {"axial"}
    assert table.rows["key"].is_unique


def test_loose_images_form_no_volume(tmp_path: Path) -> None:
    series = make_study(tmp_path, "00001", 1).series[0]
    with pytest.raises(DataError, match="form no volume and have no neighbours"):
        prepare((series,), prep(form="volume"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "volume", "channels": "neighbours"}, "holds its neighbours already"),
        ({"form": "streams", "channels": "sequences", "grid_mm": 3}, "one grey image per sequence"),
        ({"form": "volume", "slice_choice": "all"}, "equally many slices"),
        ({"form": "streams"}, "grid_mm above 0"),
        ({"channels": "sequences", "grid_mm": 3, "sequences": ("FLAIR",)}, "two or more sequences"),
    ],
)
def test_forms_that_do_not_fit_together_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        prep(**changes)
