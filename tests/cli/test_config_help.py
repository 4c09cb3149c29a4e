"""The help knows every setting, and a run says where its values come from."""

from __future__ import annotations

from core.cli.config_help import describe_origin, describe_settings
from core.config import RunConfig, apply_settings, field_paths
from core.presets import find_preset


def test_help_lists_every_setting_with_description_and_defaults() -> None:
    text = describe_settings()
    for name in set(field_paths()) - {"preset"}:
        assert f"\n  {name} (" in text
    assert "slice_count (paper: 16, honest: 8, " in text
    assert "Side of the square image that the model sees, in pixels." in text


def test_every_field_has_a_description() -> None:
    from core.cli.config_help import _descriptions

    assert all(_descriptions(RunConfig).values())


def test_paper_preset_says_whose_each_value_is() -> None:
    lines = describe_origin(find_preset("paper").config)
    papers, ours = lines.index("the paper's:"), lines.index("ours:")
    assert any(line.startswith("  step_size = 7") for line in lines[papers:ours])
    assert any(line.startswith("  learning_rate = 0.001") for line in lines[ours:])
    assert any("LEAKY" in line for line in lines)
    assert not any("Not a reproduction" in line for line in lines)


def test_a_changed_value_is_ours_and_no_reproduction() -> None:
    lines = describe_origin(apply_settings(find_preset("paper").config, ["weights=none", "seed=3"]))
    changed = lines[lines.index("set here:") :]
    assert "  weights = none (the preset has default)" in changed
    assert "  seed = 3 (the preset has 0)" in changed
    assert "Not a reproduction" in lines[-1]


def test_every_value_of_the_paper_is_accounted_for_once() -> None:
    lines = describe_origin(find_preset("paper").config)
    entries = [line.split(" = ")[0].strip() for line in lines if line.startswith("  ")]
    assert sorted(entries) == sorted(set(field_paths()) - {"preset"})


def test_other_presets_only_say_what_was_set() -> None:
    lines = describe_origin(apply_settings(find_preset("honest").config, ["epochs=2", "split_unit=slice"]))
    assert lines[:4] == [
        "preset honest: Split by patient",
        "set here:",
        "  epochs = 2 (the preset has 20)",
        "  split_unit = slice (the preset has patient)",
    ]
    assert lines[4].startswith("LEAKY SPLIT")
