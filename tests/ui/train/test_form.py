"""The form is made from the configuration, whole, and gives back what was entered."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from core.config import AugmentationConfig, RunConfig, field_paths
from core.presets import PRESETS
from ui.train.augmentation_form import AMOUNTS
from ui.train.fields import describe_fields, label_of
from ui.train.form import HIDDEN_FIELDS, MAIN_FIELDS, _widget


def form_app(maxima: dict[str, float] | None = None, typed: tuple[str, ...] = ("weights",)) -> None:
    import streamlit as st

    from core.presets import PRESETS
    from ui.train.form import draw_form
    from ui.widgets.errors import report_errors

    with report_errors():
        config = draw_form(
            PRESETS["paper"].config,
            key="form",
            choices={
                "architecture": {"resnet18": "ResNet-18", "resnet34": "ResNet-34"},
                "weights": {"default": "pretrained", "none": "random"},
            },
            typed=typed,
            maxima=maxima,
        )
        st.session_state["result"] = config


def run_form(**arguments: object) -> AppTest:
    return AppTest.from_function(form_app, kwargs=arguments, default_timeout=60).run()


def test_every_field_is_described_with_its_own_words() -> None:
    specs = describe_fields()
    assert set(specs) == set(field_paths())
    assert all(spec.help for spec in specs.values())
    assert set(MAIN_FIELDS) <= set(specs)


def test_kinds_and_bounds_come_from_the_types() -> None:
    specs = describe_fields()
    assert specs["crop"].kind == "bool"
    assert specs["split_unit"].choices == ("slice", "patient")
    assert (specs["size_px"].kind, specs["size_px"].low, specs["size_px"].high) == ("integer", 32, 1024)
    assert (specs["percentile_low"].low, specs["percentile_low"].high) == (0, 50)
    assert specs["sequences"].choices == ("FLAIR", "T1w", "T1wCE", "T2w")


def test_labels_name_units() -> None:
    assert label_of("size_px") == "Size (px)"
    assert label_of("val_fraction") == "Validation (share)"
    assert label_of("learning_rate") == "Learning rate"


def test_every_field_but_the_preset_has_a_widget_with_a_tooltip() -> None:
    app = run_form()
    assert not app.exception
    widgets = [*app.number_input, *app.selectbox, *app.toggle, *app.text_input, *app.pills]
    names = {widget.key.removeprefix("form.") for widget in widgets}
    switches = {f"{name}.on" for name in AMOUNTS}
    assert names == (set(field_paths()) - HIDDEN_FIELDS) | switches
    assert all(widget.help for widget in widgets)


def test_an_untouched_form_gives_the_preset_back() -> None:
    assert run_form().session_state["result"] == PRESETS["paper"].config


def test_what_is_entered_comes_back() -> None:
    app = run_form()
    app.number_input(key="form.epochs").set_value(2)
    app.number_input(key="form.learning_rate").set_value(0.01)
    app.selectbox(key="form.split_unit").set_value("patient")
    app.selectbox(key="form.weights").set_value("none")
    app.toggle(key="form.crop").set_value(True)
    app.run()
    config: RunConfig = app.session_state["result"]
    assert (config.epochs, config.optimiser.learning_rate, config.split.split_unit) == (2, 0.01, "patient")
    assert (config.weights, config.prep.crop) == ("none", True)


def test_each_change_of_the_augmentation_has_a_switch_and_its_reason_in_sight() -> None:
    assert set(AMOUNTS) == set(AugmentationConfig.model_fields) - {"flip_planes"}
    app = run_form()
    captions = [caption.value for caption in app.caption]
    specs = describe_fields()
    for name, usual in AMOUNTS.items():
        assert specs[name].help in captions
        amount = app.number_input(key=f"form.{name}")
        assert amount.value == usual
        # The paper's transform is the flip alone.
        assert app.toggle(key=f"form.{name}.on").value is (name == "flip_probability")
        assert amount.disabled is (name != "flip_probability")
    app.toggle(key="form.bias_field.on").set_value(True)
    app.toggle(key="form.flip_probability.on").set_value(False)
    app.run()
    changed: AugmentationConfig = app.session_state["result"].augmentation
    assert changed == AugmentationConfig(flip_probability=0, bias_field=AMOUNTS["bias_field"])
    assert not app.number_input(key="form.bias_field").disabled


def test_masks_are_asked_of_the_network_that_needs_them_alone() -> None:
    app = run_form()
    assert app.number_input(key="form.mask_epochs").disabled


def test_fields_without_effect_are_disabled() -> None:
    app = run_form()
    assert not app.number_input(key="form.momentum").disabled
    app.selectbox(key="form.optimiser").set_value("adamw").run()
    assert app.number_input(key="form.momentum").disabled or app.run().number_input(key="form.momentum").disabled


def test_values_that_do_not_fit_together_are_told_once() -> None:
    app = run_form()
    app.number_input(key="form.val_fraction").set_value(0.8)
    app.number_input(key="form.test_fraction").set_value(0.5)
    app.run()
    assert len(app.error) == 1
    assert "0.9" in app.error[0].value.replace("\\", "")


def test_no_sequence_is_told() -> None:
    app = run_form()
    app.pills(key="form.sequences").set_value([]).run()
    assert len(app.error) == 1


def test_a_maximum_of_the_installation_caps_the_preset() -> None:
    app = run_form(maxima={"epochs": 5})
    assert app.number_input(key="form.epochs").max == 5
    assert app.session_state["result"].epochs == 5


def test_a_typed_path_is_only_taken_where_typing_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.train.form.st.selectbox", lambda **arguments: "/etc/passwd")

    def enter(typed: bool) -> object:
        choices = {"default": "pretrained", "none": "random"}
        return _widget(
            describe_fields()["weights"],
            "default",
            key="weights",
            choices=choices,
            typed=typed,
            maximum=None,
            disabled=False,
        )

    assert enter(typed=True) == "/etc/passwd"
    assert enter(typed=False) == "default"
