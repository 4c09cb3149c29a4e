"""Three planes and a volume in a real browser: crosshair, keyboard, wheel, window, series; and slices where there is no WebGL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.e2e.driving import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.e2e

Open = Callable[..., Visit]
PLANES = "three planes and a volume"


def predict_sample(tab: Visit) -> None:
    tab.open("predict")
    tab.press("Predict the sample study")
    tab.page.get_by_text("slices say so too").wait_for()
    tab.page.get_by_text(PLANES, exact=True).click()


def other_than(place: Locator, before: str) -> str:
    """What stands there once it has changed."""
    for _ in range(200):
        if (now := str(place.input_value() if place.get_attribute("name") else place.text_content())) != before:
            return now
        place.page.wait_for_timeout(100)
    raise AssertionError(f"it stays {before!r}")


def test_the_volume_is_moved_by_keys_and_wheel_windowed_by_dragging_and_changed_by_its_picture(visit: Open) -> None:
    tab = visit()
    predict_sample(tab)
    output = tab.page.locator("output")
    begin = other_than(output, "")
    assert int(begin.split("map ")[1].rstrip("%")) > 50, "it begins where the map is strongest"

    canvas = tab.page.get_by_role("application", name="in three planes and as a volume, with its map")
    canvas.focus()
    tab.page.keyboard.press("PageUp")
    above = other_than(output, begin)
    assert above.split(" · ")[:2] == begin.split(" · ")[:2]
    tab.page.keyboard.press("ArrowLeft")
    beside = other_than(output, above)
    assert beside.split(" · ")[1:3] == above.split(" · ")[1:3]

    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 8, box["y"] + box["height"] / 2
    tab.page.mouse.move(x, y)
    tab.page.mouse.wheel(0, 100)
    other_than(output, beside)
    contrast = tab.page.get_by_role("slider", name="Contrast")
    before = contrast.input_value()
    tab.page.mouse.down(button="right")
    tab.page.mouse.move(x + 60, y + 20, steps=4)
    tab.page.mouse.up(button="right")
    other_than(contrast, before)
    tab.page.get_by_role("button", name="Reset view").click()
    assert contrast.input_value() == before
    assert output.text_content() == begin

    tab.page.get_by_role("button", name="T2w", exact=True).click()
    tab.page.get_by_role("application", name="T2w in three planes").wait_for()
    found = Axe().run(tab.page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_browser_without_webgl_gets_the_slices_and_is_told(visit: Open) -> None:
    tab = visit()
    tab.page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind === 'webgl2' ? null : get.call(this, kind, ...rest); };"
    )
    predict_sample(tab)
    tab.page.get_by_text("this browser offers no WebGL 2").wait_for()
    tab.page.get_by_role("img", name="FLAIR slice").wait_for()
    tab.page.get_by_text(PLANES, exact=True).wait_for(state="detached")
