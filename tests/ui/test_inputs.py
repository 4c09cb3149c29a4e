"""The drawing and the words of what goes in follow the configuration."""

import pytest

from core.presets import PRESETS
from core.presets.preset import Preset
from core.reports.palette import DARK, LIGHT
from ui.figures.inputs import DRAWN, draw_input, name_blocks
from ui.models.table import describe_input


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_every_preset_is_drawn_and_described(preset: Preset) -> None:
    prep = preset.config.prep
    layers = min(prep.slice_count, DRAWN) if prep.form == "volume" else 1
    for palette in (LIGHT, DARK):
        figure = draw_input(prep, "A network", palette)
        assert len(figure.layout.shapes) == layers * len(name_blocks(prep)) + 1
    words = describe_input(prep)
    assert f"{prep.size_px} × {prep.size_px}" in words
    assert all(str(sequence) in words for sequence in prep.sequences)
    assert ("volume" in words.split(".")[0]) == (prep.form == "volume")
    assert (f"{prep.grid_mm:g} mm between slices" in words) == (prep.grid_mm > 0)


def test_streams_are_drawn_side_by_side_in_their_order() -> None:
    assert name_blocks(PRESETS["multistream"].config.prep) == ["T1wCE", "T2w", "FLAIR"]
    assert name_blocks(PRESETS["honest"].config.prep) == ["one sequence"]
