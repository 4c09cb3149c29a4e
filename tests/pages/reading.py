"""What a test reads off a page."""

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
