"""axe-core finds nothing serious on any page, in light and dark, wide and 420 px."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.e2e.driving import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.e2e
PAGES = (
    "", "predict", "pacs", "cohort", "models", "train", "runs", "compare", "sweeps", "cross_validation", "external", "paper",
    "referee", "validity",
)  # fmt: skip
IDLE = "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (420, "dark")])
def test_no_page_has_a_serious_finding(server: Server, browser: Browser, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 1200}, color_scheme=scheme)  # type: ignore[arg-type]
    tab, found = context.new_page(), []
    for page in PAGES:
        tab.goto(f"{server.url}/{page}")
        tab.get_by_role("heading", level=1).first.wait_for(timeout=180_000)
        tab.wait_for_function(IDLE, timeout=180_000)
        tab.wait_for_timeout(500)
        found += [
            f"{page or 'home'}: {one['id']} ({one['impact']}), {len(one['nodes'])} times, first {one['nodes'][0]['html'][:200]}"
            for one in Axe().run(tab).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    context.close()
    assert not found, "\n".join(found)
