"""The configuration, its presets and their provenance."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from core.config import RunConfig, apply_settings, field_paths, is_same_config, parse_config
from core.errors import ConfigError
from core.presets import PRESETS, find_preset
from core.presets.paper import PAPER, is_reproduction


def leaves(model: type[BaseModel]) -> list[str]:
    names = []
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += leaves(info.annotation)
        else:
            names.append(name)
    return names


def test_no_plain_name_stands_twice() -> None:
    names = leaves(RunConfig)
    assert len(names) == len(set(names)) == len(field_paths())


def test_every_field_has_a_description() -> None:
    def undescribed(model: type[BaseModel]) -> list[str]:
        found = [name for name, info in model.model_fields.items() if not info.description]
        for info in model.model_fields.values():
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                found += undescribed(info.annotation)
        return found

    assert undescribed(RunConfig) == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_of_each_value_whose_it_is(name: str) -> None:
    preset = find_preset(name)
    assert set(preset.provenance) == set(field_paths())
    assert preset.config.preset == name
    assert all(provenance.note for provenance in preset.provenance.values())


def test_the_paper_preset_is_the_paper() -> None:
    config = PAPER.config
    assert (config.architecture, config.weights, config.epochs) == ("resnet18", "default", 30)
    assert (config.optimiser.optimiser, config.schedule.schedule) == ("sgd", "step")
    assert (config.schedule.step_size, config.schedule.gamma) == (7, 0.1)
    assert config.select_on == "val_accuracy"
    assert (config.optimiser.learning_rate, config.optimiser.momentum, config.prep.size_px) == (0.001, 0.9, 224)
    assert config.split.split_unit == "slice"
    assert PAPER.provenance["split_unit"].source == "ours"


@pytest.mark.parametrize(
    ("setting", "verdict"),
    [
        ("batch_size=8", True),
        ("size_px=96", True),
        ("weights=none", False),
        ("epochs=1", False),
        ("weights=/a/file.pth", False),
        ("gamma=0.2", False),
    ],
)
def test_what_may_be_called_a_reproduction(setting: str, verdict: bool) -> None:
    assert is_reproduction(apply_settings(PAPER.config, [setting])) is verdict


def test_settings_reach_nested_fields_and_change_nothing_else() -> None:
    changed = apply_settings(PAPER.config, ["size_px=96", "prep.slice_count=4", "sequences=FLAIR, T1w", "crop=true"])
    assert (changed.prep.size_px, changed.prep.slice_count, changed.prep.crop) == (96, 4, True)
    assert [str(sequence) for sequence in changed.prep.sequences] == ["FLAIR", "T1w"]
    assert PAPER.config.prep.size_px == 224
    back = apply_settings(
        changed, {"size_px": 224, "slice_count": 16, "sequences": ["FLAIR", "T1w", "T1wCE", "T2w"], "crop": False}
    )
    assert back == PAPER.config


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epoch=2", "Did you mean epochs"),
        ("epochs=x", "epochs"),
        ("prep.nothing=1", "no setting 'prep.nothing'"),
        ("optimiser.size_px=3", "no setting"),
        ("sequences=DWI", "FLAIR"),
        ("sequences=", "sequences"),
        ("epochs", "name=value"),
        ("size_px=-1", "size_px"),
        ("learning_rate=nan", "learning_rate"),
        ("val_fraction=0.8", "0.9"),
        ("device=tpu", "device"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(setting: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        apply_settings(PAPER.config, [setting])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_configuration_survives_json() -> None:
    for preset in PRESETS.values():
        assert parse_config(preset.config.model_dump_json()) == preset.config


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epochs": 0}', '{"unknown": 1}', b"\x80{}"])
def test_a_damaged_configuration_is_refused(text: str | bytes) -> None:
    with pytest.raises(ConfigError):
        parse_config(text)


def test_a_stored_configuration_is_the_same_whatever_is_asked_of_younger_settings() -> None:
    asked = RunConfig(seed=3)
    stored = asked.model_dump(mode="json")
    assert is_same_config(stored, asked)
    for name in ("series_selection", "frames"):
        del stored["prep"][name]
    assert parse_config(stored) != asked
    assert is_same_config(stored, asked)
    assert not is_same_config(stored, RunConfig(seed=4))
    assert not is_same_config({**stored, "prep": {**stored["prep"], "series_selection": "all"}}, asked)


def test_a_split_that_was_stored_before_it_had_a_version_is_of_the_first() -> None:
    stored = RunConfig().model_dump(mode="json")
    assert parse_config(stored).split.split_version == 2
    del stored["split"]["split_version"]
    assert parse_config(stored).split.split_version == 1
    assert is_same_config(stored, RunConfig())
