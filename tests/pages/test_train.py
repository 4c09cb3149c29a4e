"""The Train page: the augmentation's switches, and what they do to the person's own slices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.reading import App


def test_each_change_is_shown_alone_and_together(open_app: App, phantom_folder: Path) -> None:
    app = open_app("train.py", phantom_folder)
    app.number_input(key="train.honest.size_px").set_value(32)
    app.toggle(key="train.honest.noise_std.on").set_value(True)
    app.toggle(key="train.preview").set_value(True).run()
    assert not app.exception
    assert not app.error
    choice = app.pills(key="train.preview.change")
    assert choice.options == [
        "all together", "Flip probability", "Rotation (degrees)", "Scale (share)", "Shift (share)", "Noise std"
    ]  # fmt: skip
    choice.set_value("noise_std").run()
    assert not app.exception
    # A change that is switched off while it is shown is shown no more.
    app.toggle(key="train.honest.noise_std.on").set_value(False).run()
    assert not app.exception
    assert not app.error
    assert "noise_std" not in app.pills(key="train.preview.change").options


def test_mixup_says_how_much_is_left_of_the_class(
    open_app: App, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("ui.train.preview.st.image", lambda image, caption, **_: titles.append(caption))
    app = open_app("train.py", phantom_folder)
    app.number_input(key="train.honest.size_px").set_value(32)
    app.toggle(key="train.honest.mixup_alpha.on").set_value(True)
    app.toggle(key="train.preview").set_value(True).run()
    assert not app.exception
    changed = [title for title in titles if title.startswith("epoch")]
    assert len(changed) == 16, titles
    assert all(title.endswith("% of its class") for title in changed), changed
