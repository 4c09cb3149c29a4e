"""Checkpoints that disagree about one study are named beside each other's answer, asked or not."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page(ask: bool, abstains: bool = False) -> None:
    """A card whose checkpoint says methylated, beside three others: they say otherwise, the same, and nothing."""
    from types import SimpleNamespace

    import streamlit as st

    from core.errors import SequenceError
    from core.inference.prediction import Prediction
    from ui.predict import answer

    def said(prediction: str, guard: str = "passed") -> Prediction:
        return Prediction(
            study_id="1", probability=0.991 if prediction == "methylated" else 0.095, prediction=prediction, threshold=0.5,
            class_probabilities=(), series=(), warnings=(), seconds=0.0, guard=guard,
        )  # fmt: skip

    def cannot() -> Prediction:
        raise SequenceError("The study has no T1wCE.")

    asked = {
        "other": lambda: said("unmethylated"),
        "third": lambda: said("methylated"),
        "fourth": lambda: said("methylated", "abstained"),
        "fifth": cannot,
    }
    cards = {name: SimpleNamespace(name=name, reported_auroc=lambda: None) for name in ("one", *asked)}
    for name in ("_basis", "_show_members", "_show_scale", "_trust", "_show_jumps"):
        setattr(answer, name, lambda *_: "")
    answer._answers_for_volumes = lambda _: False
    card = SimpleNamespace(name="one", class_names=("unmethylated", "methylated"), positive_class=1)
    mine = said("methylated", "abstained" if abstains else "passed")
    others = {name: (cards[name], ask_it) for name, ask_it in asked.items()}
    ask_others = answer.show_answer(mine, card, [], "v", others, ask=ask)  # type: ignore[arg-type]
    st.caption("all else is drawn")
    if ask_others is not None:
        ask_others()


def words_of(app: AppTest) -> list[str]:
    assert not app.exception
    return [
        element.value.partition(": ")[2].replace("\\", "")
        for element in app.markdown
        if ":material/comp" in element.value
    ]


WORDS = [
    "other says otherwise of this study: unmethylated (0.095). They cannot both be right.",
    "third says the same of this study (0.991).",
    "fourth gives no answer for this study.",
    "fifth gives no answer for this study.",
]


def test_other_shipped_checkpoints_are_asked_once_the_answer_is_drawn() -> None:
    app = AppTest.from_function(page, args=(True,), default_timeout=60).run()
    assert words_of(app) == WORDS
    assert [one.value for one in app.markdown if one.value.startswith("##")] == ["## Methylated, disputed"]
    assert not app.button


def test_where_they_are_not_asked_each_is_named_with_its_figure_and_can_be_asked() -> None:
    app = AppTest.from_function(page, args=(False,), default_timeout=60).run()
    named = [one.value for one in app.markdown if "may say otherwise" in one.value]
    assert len(named) == 4
    assert all("Its own AUROC by patient: not recorded" in one for one in named)
    for button in ("other", "third", "fourth", "fifth"):
        app.button(key=f"v.ask.{button}").click().run()
    assert words_of(app) == WORDS
    assert [one.value for one in app.markdown if one.value.startswith("##")] == ["## Methylated, disputed"]
    assert not app.button


def test_beside_a_withheld_answer_no_other_is_shown() -> None:
    app = AppTest.from_function(page, args=(True, True), default_timeout=60).run()
    assert words_of(app) == []
    assert not [one for one in app.markdown if "0.095" in one.value or "0.991" in one.value]
