"""The main job in a real browser: cohort, training watched live, prediction with its map."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.phantom.study import make_sample_study
from core.runs.folder import RunFolder
from tests.e2e.driving import Server, Visit

pytestmark = pytest.mark.e2e

Open = Callable[..., Visit]
PAGES = {
    "cohort": "Cohort",
    "": "Predict MGMT",
    "predict": "Predict",
    "pacs": "From a PACS",
    "models": "Models",
    "train": "Train",
    "runs": "Runs",
    "compare": "Compare",
    "sweeps": "Sweeps",
    "cross_validation": "Cross-validation",
    "external": "External validation",
    "referee": "Referee",
    "paper": "The paper",
    "validity": "Validity",
}

NAVIGATION = "[data-testid=stTopNavLink]"


def the_run(server: Server) -> RunFolder:
    """The one run that the journey makes."""
    (config,) = (server.home / "runs").glob("*/config.json")
    return RunFolder(config.parent)


def colourfulness(image: bytes) -> float:
    """Share of pixels that are clearly not grey."""
    pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"), dtype=np.int16)
    return float((np.ptp(pixels, axis=2) > 25).mean())


def test_each_page_opens_from_its_own_address_also_as_the_first_of_all(server: Server, visit: Open) -> None:
    for path, title in PAGES.items():
        tab = visit()
        tab.open(path)
        tab.page.locator(NAVIGATION).nth(len(PAGES) - 1).wait_for()
        tab.page.locator("h1", has_text=title).wait_for()
        assert tab.page.locator(NAVIGATION).count() == len(PAGES)
        assert "Traceback" not in tab.text()
        tab.page.wait_for_function(
            "path => path ? document.title.endsWith(' · MGMT Lab') : document.title === 'MGMT Lab'", arg=path
        )


def test_a_cohort_is_made_and_a_run_is_watched_found_again_after_a_restart_and_stopped(
    server: Server, visit: Open
) -> None:
    tab = visit()
    tab.open("cohort")
    tab.page.get_by_text("Size of the scans").click()
    for label, value in (("Studies", "10"), ("Slices per series", "8"), ("Rows and columns", "48")):
        tab.enter(label, value)
    tab.press("Make the cohort")
    tab.page.get_by_text("Which sequences a study has").wait_for()
    tab.page.locator(".js-plotly-plot").nth(4).wait_for()

    tab.page.locator(NAVIGATION, has_text="Train").click()
    tab.settle()
    for label, value in (("Epochs", "5000"), ("Size (px)", "32"), ("Slice count", "2"), ("Batch size", "16")):
        tab.enter(label, value)
    tab.page.get_by_role("combobox", name="Weights").click()
    tab.page.get_by_text("random (trained from scratch)").click()
    tab.settle()
    tab.press("Start training")
    tab.page.wait_for_url("**run=**")
    curve = tab.page.locator(".js-plotly-plot .scatterlayer .point")
    curve.first.wait_for(state="attached")
    before = curve.count()
    tab.page.wait_for_function(
        f"() => document.querySelectorAll('.js-plotly-plot .scatterlayer .point').length > {before}", timeout=120_000
    )

    second = visit()
    second.page.goto(tab.page.url)
    second.page.get_by_text(the_run(server).name).first.wait_for()

    tab.page.reload()
    tab.page.get_by_text("images/s").first.wait_for()
    assert the_run(server).is_alive()

    address = tab.page.url
    for watching in (tab, second):
        watching.page.goto("about:blank")
    server.stop()
    assert the_run(server).is_alive(), "training must not depend on the server"
    server.start()
    tab = visit()
    tab.page.goto(address)
    tab.page.get_by_text("images/s").first.wait_for()
    tab.settle()
    tab.press("Stop")
    tab.page.get_by_role("button", name="Resume").wait_for()
    assert the_run(server).status().state == "stopped"
    assert the_run(server).checkpoint.exists()


def test_the_sample_is_predicted_with_its_map_from_the_first_page(server: Server, visit: Open) -> None:
    tab = visit()
    tab.open()
    tab.press("Predict a sample study")
    tab.page.get_by_text("raw maximum").first.wait_for()
    tab.settle()
    text = tab.text()
    assert "Probability of methylated" in text
    assert "What to doubt" in text or "synthetic" in text
    assert "research use only" in text.lower()
    images = tab.page.locator("[data-testid=stImage] img[alt*=slice]")  # the colour bar is an image, too
    assert images.count() == 4
    tab.page.get_by_text("each its own").click()
    tab.settle()
    tab.page.wait_for_timeout(500)
    assert max(colourfulness(images.nth(number).screenshot()) for number in range(4)) > 0.01


def test_an_upload_is_recognized_and_does_not_outlive_its_tab(server: Server, visit: Open, tmp_path: Path) -> None:
    study = make_sample_study(tmp_path, seed=5, mgmt_value=0)
    files = sorted((study / "FLAIR").iterdir())
    for file in files:
        file.rename(file.with_suffix(""))
    tab = visit()
    tab.open("predict")
    tab.page.get_by_text("Files or a zip").click()
    tab.settle()
    tab.page.locator("input[type=file]").set_input_files([str(file.with_suffix("")) for file in files])
    tab.page.get_by_text("Probability of methylated").first.wait_for()
    tab.page.get_by_text("Series in this scan").wait_for()
    tab.settle()
    kept = list(server.temporary.glob("mgmt-lab-server-*/*"))
    assert len(kept) == 1
    tab.page.goto("about:blank")
    for _ in range(60):
        if not kept[0].exists():
            break
        tab.page.wait_for_timeout(500)
    assert not kept[0].exists()


def test_a_stopped_run_is_found_after_a_restart_judged_and_deleted(server: Server, visit: Open) -> None:
    server.stop()
    server.start()
    tab = visit()
    tab.open(f"runs?run={the_run(server).name}")
    tab.page.get_by_text("By patient", exact=True).wait_for()
    assert not (the_run(server).path / "evaluation-test.json").exists()
    tab.page.get_by_text("Test", exact=True).click()
    tab.settle()
    assert "evaluated 0 times" in tab.text()
    tab.press("Evaluate on the test patients")
    tab.page.get_by_text("Evaluated 1 time", exact=False).first.wait_for()
    tab.settle()  # while the page is drawn another table, which is folded away, follows the words
    name = the_run(server).name
    address = tab.page.url
    table = tab.page.get_by_text("Patients:").locator("xpath=following::*[@data-testid='stDataFrame'][1]")
    table.click(position={"x": 15, "y": 52})  # the first row's box
    opening = tab.page.get_by_role("button", name="in the viewer").first
    opening.wait_for()
    study = opening.inner_text().split("Open ")[1].split(" ")[0]
    opening.click()
    tab.page.wait_for_url("**/predict**")
    tab.page.get_by_text(f"Study {study}").first.wait_for()
    tab.settle()
    assert "Probability of" in tab.text() or "No answer" in tab.text()
    tab.page.goto(address)
    tab.press("Delete")
    tab.page.get_by_text("No runs yet").wait_for()
    assert not list((server.home / "runs").glob("*/config.json"))
    tab.press("Undo")
    tab.page.get_by_text("By patient", exact=True).wait_for()
    assert the_run(server).name == name
    tab.press("Delete")
    tab.page.get_by_text("No runs yet").wait_for()
    assert not list((server.home / "runs").glob("*/config.json"))


@pytest.mark.parametrize("path", PAGES)
def test_a_narrow_screen_scrolls_down_only(server: Server, visit: Open, path: str) -> None:
    tab = visit(width=390, scheme="dark")
    tab.open(path)
    tab.page.wait_for_timeout(1000)
    assert tab.overflow() <= 0
