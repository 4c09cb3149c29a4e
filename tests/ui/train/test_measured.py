"""Work behind a button: done when pressed, kept for its question only, told where it fails."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.pages.reading import words


def page() -> None:
    import streamlit as st

    from core.errors import EvaluationError
    from ui.train.measured import ask_measured

    question = st.selectbox("Question", ["one", "two", "wrong"], key="question")

    def measure() -> str:
        st.session_state["calls"] = st.session_state.get("calls", 0) + 1
        if question == "wrong":
            raise EvaluationError("Too few patients; take more.")
        return f"the answer to {question}"

    found = ask_measured("work", question, "Measure", ":material/speed:", measure)
    st.write("nothing yet" if found is None else found)


def test_a_result_is_measured_once_and_kept_for_its_question() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert "nothing yet" in words(app)
    assert [button.label for button in app.button] == ["Measure"]
    app.button(key="work.start").click().run()
    assert "the answer to one" in words(app)
    assert [button.label for button in app.button] == ["Measure"]  # Cancel went with the work
    app.selectbox(key="question").set_value("two").run()
    assert "nothing yet" in words(app)
    app.selectbox(key="question").set_value("one").run()
    assert "the answer to one" in words(app)
    assert app.session_state["calls"] == 1


def test_what_fails_is_told_and_nothing_is_kept() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    app.button(key="work.start").click().run()
    app.selectbox(key="question").set_value("wrong").run()
    app.button(key="work.start").click().run()
    assert "Too few patients; take more" in app.error[0].value
    assert "nothing yet" in words(app)
    app.selectbox(key="question").set_value("one").run()
    assert "nothing yet" in words(app)
