"""Checkpoints that disagree about one study are named beside each other's answer."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page() -> None:
    from types import SimpleNamespace

    import streamlit as st

    from ui.predict.answer import _remember

    for name, said in (("one", "methylated"), ("other", "unmethylated"), ("third", "methylated")):
        others = _remember(SimpleNamespace(prediction=said), SimpleNamespace(name=name), "viewer")  # type: ignore[arg-type]
        st.markdown(",".join(f"{name} {told}" for name, told in others.items()))


def card_page() -> None:
    from types import SimpleNamespace

    from ui.predict.answer import _remember, _show_others

    prediction = SimpleNamespace(prediction="methylated")
    others = _remember(prediction, SimpleNamespace(name="one"), "v")  # type: ignore[arg-type]
    answers = {"other": ("unmethylated", False), "third": ("methylated", False), "fourth": ("methylated", True)}
    unasked = {
        name: lambda said=said, abstained=abstained: SimpleNamespace(prediction=said, abstained=abstained)
        for name, (said, abstained) in answers.items()
    }
    _show_others(prediction, others, unasked, "v")  # type: ignore[arg-type]


def test_a_shipped_checkpoint_that_was_not_asked_is_named_and_can_be_asked() -> None:
    app = AppTest.from_function(card_page, default_timeout=60).run()
    assert [element.value for element in app.markdown if "may say otherwise" in element.value] != []
    for button in ("other", "third", "fourth"):
        app.button(key=f"v.ask.{button}").click().run()
    assert not app.exception
    assert not app.button
    words = [element.value.split("** ")[1] for element in app.markdown]
    assert words == [
        "says otherwise of this study: unmethylated. They cannot both be right.",
        "says the same of this study.",
        "gives no answer for this study.",
    ]


def test_who_said_otherwise_of_a_study_is_remembered() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception
    assert [element.value for element in app.markdown] == [
        "",
        "one methylated",
        "one methylated,other unmethylated",
    ]
