"""What a test reads off a page, and does on it."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

App = Callable[..., AppTest]
"""Opens the app on a page."""


def words(app: AppTest) -> str:
    """Everything that can be read on the page."""
    elements = [
        *app.title,
        *app.header,
        *app.subheader,
        *app.markdown,
        *app.caption,
        *app.info,
        *app.error,
        *app.warning,
    ]
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def make_tiny_cohort(open_app: App) -> AppTest:
    """Make a synthetic cohort of two studies on the Cohort page, without an error."""
    app = open_app("cohort.py")
    for name, value in (("studies", 2), ("slices", 4), ("size", 32)):
        app.number_input(key=f"cohort.{name}").set_value(value)
    app.run()
    app.button(key="cohort.make").click().run()
    assert not app.exception
    assert not app.error
    return app
