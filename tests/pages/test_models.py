"""The Models page: the zoo, and the way from it to Train."""

from __future__ import annotations

from core.presets import PRESETS
from tests.pages.reading import App, words


def test_every_preset_is_listed_with_its_cost(open_app: App) -> None:
    app = open_app("models.py")
    assert not app.exception
    table = app.dataframe[0].value
    assert table["preset"].tolist() == [preset.title for preset in PRESETS.values()]
    assert table["multiply-adds (10⁹)"].round(2).tolist()[:4] == [1.81, 1.81, 3.66, 4.09]
    assert "3 × 224 × 224" in words(app)


def test_a_chosen_preset_is_opened_on_train(open_app: App) -> None:
    app = open_app("models.py")
    app.selectbox(key="models.preset").set_value("resnet50").run()
    assert PRESETS["resnet50"].summary in words(app)
    app.button(key="models.train").click().run()
    assert not app.exception
    assert app.session_state["train.preset"] == "resnet50"
    assert app.title[0].value == "Train"
    assert PRESETS["resnet50"].summary in words(app)
