"""What a person meets on the page in the browser: by mouse, by keyboard, on paper, in every colour and width, with bad files."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pydicom
import pytest

from core.inference.predict import Predictor
from core.reports.web_page import WEB
from tests.e2e.web_page import WebPage, compare, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.e2e

SERIOUS = ("serious", "critical")
LOOKS = [(width, scheme) for width in (1440, 420) for scheme in ("light", "dark")]
HEARD = """() => {
  window.heard = [];
  const note = ({ target }) => {
    const region = (target.nodeType === 1 ? target : target.parentElement)?.closest("[role=status], [role=alert]");
    if (region?.textContent) window.heard.push(region.textContent);
  };
  const options = { childList: true, characterData: true, subtree: true };
  new MutationObserver((changes) => changes.forEach(note)).observe(document.body, options);
}"""
FOCUSED = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  const name = document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent.trim();
  return { name, visible: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
}"""
LARGEST_GROWTH = 600 * 2**20
"""Bytes that any process of the browser may take more, for a file that is refused."""


@pytest.fixture
def opened(built: Path, browser: Browser) -> Iterator[WebPage]:
    with open_page(built, browser) as page:
        yield page
    assert page.outside == []
    assert page.complaints == []


@pytest.fixture
def flair(sample: Path, tmp_path: Path) -> Path:
    """A study of one series."""
    shutil.copytree(sample / "FLAIR", tmp_path / "patient" / "FLAIR")
    return tmp_path / "patient"


def hand_in(tab: Page, scan: Path) -> None:
    tab.locator("#folder" if scan.is_dir() else "#files").set_input_files(scan)


def unmark(scan: Path) -> None:
    """Take the word away that says of a synthetic scan that it is one."""
    for path in scan.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        del image.ImageComments
        image.save_as(path)


def find_faults(tab: Page, state: str) -> list[str]:
    """What axe-core finds serious, and what is wider than the window, in each width and colour scheme."""
    tab.evaluate((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    faults = []
    for width, scheme in LOOKS:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)
        found = tab.evaluate("async () => (await axe.run()).violations.map(({ id, impact }) => [id, impact])")
        faults += [f"{state}, {width}, {scheme}: {name}" for name, impact in found if impact in SERIOUS]
        if tab.evaluate("document.documentElement.scrollWidth") > width:
            faults.append(f"{state}, {width}, {scheme}: wider than the window")
    return faults


def test_every_state_is_accessible_in_every_colour_and_width(opened: WebPage, flair: Path, tmp_path: Path) -> None:
    tab = opened.page
    faults = find_faults(tab, "empty")
    hand_in(tab, flair)
    tab.locator(".verdict").wait_for()
    tab.get_by_text("Three planes").click()
    tab.locator(".planes canvas, details p").first.wait_for()
    faults += find_faults(tab, "answer")
    unmark(flair)
    hand_in(tab, flair)
    tab.get_by_text("No answer", exact=True).wait_for()
    faults += find_faults(tab, "abstained")
    tab.get_by_role("button", name="Show the numbers anyway").click()
    tab.get_by_text("Refused, and shown anyway").wait_for()
    faults += find_faults(tab, "shown anyway")
    (tmp_path / "notes.txt").write_text("nothing")
    hand_in(tab, tmp_path / "notes.txt")
    tab.get_by_role("alert").get_by_text("No scan was found in notes.txt").wait_for()
    faults += find_faults(tab, "refused")
    assert faults == []


def test_the_report_is_printed_and_the_json_is_that_of_predict(opened: WebPage, flair: Path, tmp_path: Path) -> None:
    tab = opened.page
    tab.evaluate("window.print = () => { window.printed = true; }")
    hand_in(tab, flair)
    tab.locator(".verdict").wait_for()
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Save as JSON").click()
    document = json.loads(Path(saved.value.path()).read_text())
    tab.get_by_role("button", name="Print a report").click()
    assert tab.evaluate("window.printed")
    tab.pdf(path=tmp_path / "report.pdf")
    assert document == opened.ask(flair, anyway=False)["document"]
    assert document["studies"][0]["prediction"] in ("methylated", "unmethylated")
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (Debian's poppler-utils) is not installed")
    told = subprocess.run(
        ["pdftotext", "-raw", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True
    )
    printed = " ".join(told.stdout.split())
    study = document["studies"][0]
    assert study["prediction"].capitalize() in printed
    assert f"{100 * study['probability']:.1f}%" in printed
    assert "Research only" in printed
    assert "learnt from" in printed
    assert "Choose a folder" not in printed
    assert told.stdout.count("\f") <= 2, "it fits on two sheets"
    tab.emulate_media(media="print")
    bar = tab.locator(".bars button").first
    assert bar.evaluate("(bar) => getComputedStyle(bar).printColorAdjust") == "exact", "its bars are printed"


def test_the_keyboard_alone_goes_through_the_page_and_is_told_what_happens(opened: WebPage) -> None:
    tab = opened.page
    tab.evaluate(HEARD)
    stops = []

    def press_until(name: str) -> None:
        for _ in range(20):
            tab.keyboard.press("Tab")
            stops.append(tab.evaluate(FOCUSED))
            if stops[-1]["name"].startswith(name):
                return
        raise AssertionError(f"{name} is not reached: {stops}")

    press_until("Choose files")
    assert [one["name"] for one in stops] == ["Try the sample", "Choose a folder", "Choose files"]
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Cancel").wait_for()
    press_until("Cancel")
    tab.keyboard.press("Enter")
    tab.get_by_role("alert").get_by_text("Cancelled").wait_for()
    tab.get_by_role("button", name="Try the sample").focus()
    tab.keyboard.press("Space")
    tab.locator(".verdict").wait_for()
    assert tab.evaluate("document.activeElement.tagName") == "H2"
    for name in ("Print a report", "Save as JSON", "Strength of the map"):
        press_until(name)
    tab.keyboard.press("Home")
    assert tab.get_by_role("slider", name="Strength of the map").input_value() == "0"
    tab.keyboard.press("Tab")
    before = tab.evaluate(FOCUSED)["name"]
    tab.keyboard.press(
        "ArrowLeft" if tab.locator(".bars button:first-child[aria-pressed=true]").count() == 0 else "ArrowRight"
    )
    after = tab.evaluate(FOCUSED)["name"]
    assert before != after
    assert tab.get_by_role("img", name=after).count() == 1
    press_until("Three planes")
    tab.keyboard.press("Enter")
    tab.locator(".planes canvas, details p").first.wait_for()
    assert [one["name"] for one in stops if not one["visible"]] == []
    heard = tab.evaluate("window.heard")
    for said in ("Working: loading the network", "is read", "Cancelled.", "the answer follows", "slice"):
        assert any(said in one for one in heard), said
    tree = tab.locator("body").aria_snapshot()
    for role in (
        'heading "MGMT Lab in the browser"',
        'button "Save as JSON"',
        'group "Slice by slice"',
        'slider "Strength',
    ):
        assert role in tree, role


def test_a_head_that_was_not_stripped_is_refused_as_by_core(opened: WebPage, flair: Path, built: Path) -> None:
    for path in flair.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        pixels = image.pixel_array.copy()
        rows, columns = (np.linspace(-1, 1, side) for side in pixels.shape)
        far = np.hypot(rows[:, None], columns)
        pixels[(far > 0.85) & (far < 0.98)] = pixels.max()
        image.PixelData = pixels.tobytes()
        image.save_as(path)
    checkpoint = WEB.parent / "checkpoints" / "demo-synthetic.safetensors"
    (row,) = compare("with its scalp", flair, opened, Predictor(checkpoint, runtime="onnx", threads=1))
    assert row.same_guard
    assert "unlike those that the checkpoint learnt from" in row.guard
    hand_in(opened.page, flair)
    opened.page.get_by_text("No answer", exact=True).wait_for()


def write_bad(folder: Path, sample: Path) -> dict[str, str]:
    """Write files that are damaged or too large; of each, what the page says."""
    dicom = next((sample / "T2w").glob("*.dcm")).read_bytes()
    (folder / "damaged.dcm").write_bytes(dicom[:400])
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            with archive.open(f"a/{number}.dcm", "w") as entry:
                for _ in range(25):
                    entry.write(bytes(2**24))
    with (folder / "gigabyte.dcm").open("wb") as file:
        file.write(dicom)
        file.truncate(3 * 2**29)
    return {
        "damaged.dcm": "cut short",
        "bomb.zip": "inflates to more than",
        "gigabyte.dcm": "Hand in one study",
    }


def test_damaged_and_giant_files_get_a_word_within_bounded_memory(
    opened: WebPage, sample: Path, flair: Path, tmp_path: Path
) -> None:
    tab = opened.page
    tab.evaluate("window.ticks = 0; setInterval(() => { window.ticks += 1; }, 20);")
    before = measure_peaks()
    for name, said in write_bad(tmp_path, sample).items():
        hand_in(tab, tmp_path / name)
        tab.get_by_role("alert").get_by_text(said).wait_for()
    grown = {one: peak - before.get(one, 0) for one, peak in measure_peaks().items()}
    assert max(grown.values()) < LARGEST_GROWTH
    assert tab.evaluate("window.ticks") > 0
    hand_in(tab, flair)
    tab.locator(".verdict").wait_for()


def measure_peaks() -> dict[int, float]:
    """The most memory that each process below this one ever took, in bytes."""
    peaks = {}
    for process in psutil.Process().children(recursive=True):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:  # it has ended
            continue
        peaks[process.pid] = 1024.0 * max(
            (int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line), default=0
        )
    return peaks
