"""What comes from the sample is computed once for all visitors; what comes from a scan stays with its session."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.runtime.caching import clear_session_resource_cache
from streamlit.testing.v1 import AppTest

from core.inference.predict import Predictor
from core.inference.torch_engine import TorchEngine
from core.settings import Settings
from tests.pages.reading import App
from ui.widgets.state import Scan


def walk(open_app: App, scan: Scan) -> AppTest:
    """Open a scan in a session of its own and look at maps by two methods, at two layers."""
    app = open_app("predict.py")
    app.session_state["scan"] = scan
    app.run()
    for label, value in (("Map", "hirescam"), ("Detail", "layer3.1")):
        next(box for box in app.selectbox if box.label == label).set_value(value).run()
    assert not app.exception
    return app


def test_one_pass_serves_all_choices_and_that_of_the_sample_all_visitors(
    open_app: App, home: Settings, with_checkpoint: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[str] = []
    capture, predict = TorchEngine.capture, Predictor.predict
    monkeypatch.setattr(TorchEngine, "capture", lambda *given: passes.append("maps") or capture(*given))
    monkeypatch.setattr(
        Predictor, "predict", lambda *given, **named: passes.append("answer") or predict(*given, **named)
    )
    walk(open_app, Scan(kind="sample"))
    first = len(passes)
    assert passes == ["answer", *["maps"] * 4]  # one for each sequence, not for each choice
    walk(open_app, Scan(kind="sample"))
    assert len(passes) == first
    own = Scan(kind="path", place=str(next(phantom_folder.glob("train/*"))))
    walk(open_app, own)
    assert len(passes) == 2 * first
    clear_session_resource_cache("test session id")  # as at the end of a visit
    walk(open_app, Scan(kind="sample"))
    assert len(passes) == 2 * first
    walk(open_app, own)
    assert len(passes) == 3 * first
