"""axe-core finds nothing serious on any page, empty and with data, in light and dark, wide and 420 px."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

from core.config import RunConfig
from core.files import write_atomic
from core.jobs.queue import worker_lock
from core.phantom.config import PhantomConfig
from core.runs.folder import RunFolder
from core.runs.lock import hold_lock
from core.runs.records import DataSource
from core.settings import load_settings
from tests.e2e.conftest import free_port
from tests.e2e.driving import Server, Visit
from tests.experiments.judged_runs import make_judged_run
from tests.phantoms import copy_phantom
from ui.validity.sections import SECTIONS
from ui.widgets.address import Choices
from ui.widgets.state import Scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.e2e
LOOKS = ((1440, "light"), (420, "light"), (420, "dark"), (1440, "dark"))
"""One thing changes at a time: of a change of width the app is not told, so that it draws nothing anew."""
PAGES = (
    "", "predict", "pacs", "cohort", "models", "train", "runs", "compare", "sweeps", "cross_validation", "external", "paper",
    "referee", "validity",
)  # fmt: skip
UNFOLD = "() => document.querySelectorAll('[data-testid=stExpander] details:not([open]) > summary').forEach(one => one.click())"
COHORT, SAMPLE = "a" * 16, "b" * 16
"""Names of what the addresses choose."""
FILLED = (
    f"predict?open={SAMPLE}", f"cohort?open={COHORT}", f"train?open={COHORT}", f"train?open={COHORT}&run=waits", "runs", "runs?run=done",
    "compare", *(f"validity?section={section.name}" for section in SECTIONS),
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app with a cohort, judged runs, and runs in the queue of a worker that never gets to them."""
    home = tmp_path_factory.mktemp("home")
    settings = load_settings({"MGMT_LAB_HOME": str(home), "MGMT_LAB_THREADS": "1"})
    source = DataSource(root=str(home / "cohort"))
    copy_phantom(home / "cohort", PhantomConfig(studies=4, slices=4, size=32))
    make_judged_run(settings, "done")
    make_judged_run(settings, "other", signal=2.0)
    for name, choices in {COHORT: Choices(cohort=source), SAMPLE: Choices(scan=Scan(kind="sample"))}.items():
        (home / "links").mkdir(exist_ok=True)
        write_atomic(home / "links" / f"{name}.json", choices.model_dump_json())
    server = Server(home=home, port=free_port())
    with hold_lock(worker_lock(settings), "busy"):
        for seed, name in enumerate(("next", "waits")):
            RunFolder.create(settings, RunConfig(seed=seed), source, name=name, note="a note")
        server.start()
        yield server
        server.stop()


WALKED = (
    "",
    f"predict?open={SAMPLE}",
    f"cohort?open={COHORT}",
    f"train?open={COHORT}&run=waits",
    "validity?section=calibration",
)
MOST_STOPS = 150
SURROUNDINGS = """async (blur) => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await drawn();
  if (blur) { window.last = document.activeElement; window.last.blur(); await drawn(); }
  const control = blur ? window.last : document.activeElement;
  const around = [control];
  for (let node = control.parentElement; node && around.length < 6; node = node.parentElement) around.push(node);
  around.push(...[...around[Math.min(2, around.length - 1)].querySelectorAll("*")].slice(0, 80));
  const look = (node) => {
    const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor, backgroundColor, textDecorationLine } =
      getComputedStyle(node);
    return [outlineStyle === "none" ? "" : outlineStyle + outlineWidth + outlineColor, boxShadow, borderColor, backgroundColor,
            textDecorationLine].join();
  };
  const box = control.getBoundingClientRect();
  return { place: control.outerHTML.slice(0, 160), tag: control.tagName, look: around.map(look).join("|"),
           read: control.tagName === "MAIN" || control.querySelector("table") !== null,
           box: [box.x, box.y, box.width, box.height] };
}"""
"""How the focused control and what is around it look; with `blur`, how they look without the focus. What only scrolls, or holds a
table that is read cell by cell, needs no name of its own."""
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; caret-color: transparent !important }"


def find_serious(server: Server, browser: Browser, pages: Sequence[str]) -> list[str]:
    """What axe-core calls serious or critical on the pages, each unfolded and in every look, with the page and the first place."""
    tab = Visit(page=browser.new_page(), url=server.url)
    found = []
    for page in pages:
        tab.page.goto(f"{server.url}/{page}")
        tab.page.get_by_role("heading", level=1).first.wait_for(timeout=180_000)
        tab.settle()
        tab.page.evaluate(UNFOLD)
        for width, scheme in LOOKS:
            tab.page.set_viewport_size({"width": width, "height": 1200})
            tab.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            tab.settle(100 if (width, scheme) in LOOKS[1::2] else 600)
            found += [
                f"{page or 'home'}, {width} px, {scheme}: {one['id']} ({one['impact']}), {len(one['nodes'])} times, "
                f"first {one['nodes'][0]['html'][:200]}"
                for one in Axe().run(tab.page).response["violations"]
                if one["impact"] in ("serious", "critical")
            ]
    tab.page.close()
    return found


def test_no_empty_page_has_a_serious_finding(server: Server, browser: Browser) -> None:
    found = find_serious(server, browser, PAGES)
    assert not found, "\n".join(found)


def test_no_page_with_data_has_a_serious_finding(filled: Server, browser: Browser) -> None:
    found = find_serious(filled, browser, FILLED)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", WALKED)
def test_whoever_walks_by_keyboard_sees_where_he_is_and_hears_what_it_is(
    filled: Server, browser: Browser, page: str, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1200}, color_scheme=scheme)  # type: ignore[arg-type]
    tab = Visit(page=context.new_page(), url=filled.url)
    tab.page.goto(f"{filled.url}/{page}")
    tab.page.get_by_role("heading", level=1).first.wait_for(timeout=180_000)
    tab.settle()
    tab.page.add_style_tag(content=STILL)
    client = context.new_cdp_session(tab.page)
    invisible, nameless, stops = [], [], 0
    while stops < MOST_STOPS:
        tab.page.keyboard.press("Tab")
        focused = tab.page.evaluate(SURROUNDINGS, False)
        if focused["tag"] in ("BODY", "HTML"):
            break
        stops += 1
        control = client.send("Runtime.evaluate", {"expression": "document.activeElement"})["result"]["objectId"]
        (node,) = client.send("Accessibility.getPartialAXTree", {"objectId": control, "fetchRelatives": False})["nodes"]
        if not (node["ignored"] or focused["read"] or node.get("name", {}).get("value", "").strip()):
            nameless.append(f"{node['role']['value']}: {focused['place']}")
        with_focus = photograph(tab, focused["box"])
        left = tab.page.evaluate(SURROUNDINGS, True)
        if left["look"] == focused["look"] and photograph(tab, focused["box"]) == with_focus:
            invisible.append(focused["place"])
    context.close()
    assert stops > 10
    assert (nameless, invisible) == ([], [])


def photograph(tab: Visit, box: Sequence[float]) -> bytes:
    """The window around a control, where it lies in the window."""
    x, y = max(0.0, box[0] - 6), max(0.0, box[1] - 6)
    width, height = min(box[2] + 12, 1440 - x), min(box[3] + 12, 1200 - y)
    clip = {"x": x, "y": y, "width": width, "height": height}
    return bytes(tab.page.screenshot(clip=clip)) if width > 0 and height > 0 else b""  # type: ignore[arg-type]
