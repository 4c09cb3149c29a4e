"""A newcomer's work is never lost: whatever is left, reloaded or opened in a second tab goes on and is found again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.data.cohort import scan_cohort
from core.dataset.split import Split
from core.files import write_atomic
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import load_settings
from tests.e2e.conftest import free_port
from tests.e2e.driving import Server, Visit
from tests.e2e.test_journey import NAVIGATION, Open
from tests.experiments.judged_runs import make_judged_run
from tests.phantoms import copy_phantom
from ui.widgets.address import Choices

pytestmark = pytest.mark.e2e
UNCHECKED = "Near-duplicate images on both sides of the split"
COHORT = "c" * 16
"""In addresses: a cohort one series of which was named by the visitor."""
OFFLINE = {**dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9"),
           "NO_PROXY": "localhost,127.0.0.1"}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app without a way to the internet, with a cohort and a run that was trained on it."""
    home = tmp_path_factory.mktemp("home")
    settings = load_settings({"MGMT_LAB_HOME": str(home), "MGMT_LAB_THREADS": "1"})
    copy_phantom(home / "cohort", PhantomConfig(studies=10, slices=6, size=32))
    cohort = scan_cohort(home / "cohort", jobs=1)
    ids = tuple(study.study_id for study in cohort)
    named = ((next(iter(cohort.series)).series_uid, MRSequence.UNKNOWN),)
    run = make_judged_run(settings, "done")
    split = Split(train=ids[:4], val=ids[4:7], test=ids[7:], unit="patient", seed=0, cohort_digest=cohort.digest)
    write_atomic(run.path / "split.json", split.to_json())
    write_atomic(run.path / "data.json", DataSource(root=str(home / "cohort")).model_dump_json())
    chosen = Choices(cohort=DataSource(root=str(home / "cohort"), assign=named))
    (home / "links").mkdir()
    write_atomic(home / "links" / f"{COHORT}.json", chosen.model_dump_json())
    server = Server(home=home, port=free_port(), environment={**OFFLINE, "TORCH_HOME": str(home / "torch")})
    server.start()
    yield server
    for config in (home / "runs").glob("*/config.json"):
        (config.parent / "stop").touch()
    server.stop()


def opened(visit: Open, path: str) -> Visit:
    tab = visit()
    tab.open(path)
    return tab


def test_a_test_of_the_validity_page_outlives_its_page_and_is_counted(server: Server, visit: Open) -> None:
    sheet = "validity?section=claim"
    first = opened(visit, sheet)
    first.page.get_by_text(UNCHECKED).first.wait_for()
    first.page.get_by_role("button", name="Audit every image").click()
    first.page.get_by_text("It goes on when you leave the page").wait_for()
    first.page.goto("about:blank")
    second = opened(visit, sheet)
    second.page.reload()
    second.page.get_by_text("Controls that were run").wait_for()
    second.page.get_by_text(UNCHECKED).wait_for(state="detached")
    third = opened(visit, sheet)
    third.page.get_by_text("Controls that were run").wait_for()
    assert UNCHECKED not in third.text()


def test_a_reload_finds_cohort_override_scan_and_answer_again(server: Server, visit: Open) -> None:
    tab = opened(visit, f"cohort?open={COHORT}")
    for _ in range(2):
        tab.page.get_by_text("1 series of this cohort are named by you").first.wait_for()
        tab.page.reload()
    tab.page.locator(NAVIGATION, has_text="Predict").click()
    tab.settle()
    tab.press("Predict the sample study")
    tab.page.get_by_text("raw maximum").first.wait_for()
    answer, address = (
        tab.page.get_by_text("Probability of methylated").first.locator("xpath=../..").inner_text(),
        tab.page.url,
    )
    tab.page.reload()
    tab.page.get_by_text("raw maximum").first.wait_for()
    assert tab.page.get_by_text("Probability of methylated").first.locator("xpath=../..").inner_text() == answer
    assert tab.page.url == address
    tab.page.locator(NAVIGATION, has_text="Cohort").click()
    tab.page.get_by_text("1 series of this cohort are named by you").first.wait_for()


def test_a_first_training_offline_goes_on_from_random_weights_beside_the_form(server: Server, visit: Open) -> None:
    tab = opened(visit, f"train?open={COHORT}")
    tab.page.set_default_timeout(300_000)  # two trainings begin, which give way to everything else on the machine
    for label, value in (("Epochs", "3000"), ("Size (px)", "32"), ("Slice count", "2"), ("Batch size", "16")):
        tab.enter(label, value)
    tab.page.get_by_text("for 3000 epochs").wait_for()
    tab.press("Start training")
    tab.page.get_by_role("button", name="Train from random weights").click()
    tab.page.get_by_text("images/s").first.wait_for()
    form = tab.page.locator("[data-testid=stExpander]", has_text="A new run").locator("details").first
    assert form.get_attribute("open") is not None, "the form does not close when a run begins"
    running = tab.page.url
    tab.press("Start training")
    tab.page.get_by_text("1 waiting").wait_for()
    waiting = tab.page.url
    assert waiting != running
    name = running.split("run=")[1].split("&")[0]
    tab.page.get_by_role("button", name=name).first.click()
    tab.page.wait_for_url(f"**run={name}**")
    tab.page.get_by_text("images/s").first.wait_for()
    assert RunFolder(server.home / "runs" / name).config.weights == "none"
    assert form.get_attribute("open") is not None
