"""The app as a Space shows it: over TLS, in a frame of another site, also where the browser takes no cookies of third parties."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.phantom.study import make_sample_study
from tests.e2e.conftest import CHROMIUM, FLAGS, free_port, playwright
from tests.e2e.driving import Server

pytestmark = pytest.mark.e2e
SPACE, AROUND = "someone-mgmt.hf.space", "https://huggingface.co/spaces/someone/mgmt"
BLOCKED = "--test-third-party-cookie-phaseout"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with the settings of a Space and a certificate that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    request = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=space"
    subprocess.run(request.split(), cwd=folder, check=True, capture_output=True)
    environment = {
        "SPACE_ID": "someone/mgmt",
        "STREAMLIT_SERVER_ADDRESS": "0.0.0.0",
        "MGMT_LAB_MODE": "hosted",
        "STREAMLIT_SERVER_SSL_CERT_FILE": str(folder / "cert.pem"),
        "STREAMLIT_SERVER_SSL_KEY_FILE": str(folder / "key.pem"),
    }
    server = Server(home=tmp_path_factory.mktemp("home"), port=free_port(), environment=environment)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("flags", [[], [BLOCKED]], ids=["cookies of third parties", "none of them"])
def test_a_file_is_handed_in_and_answered_within_another_sites_frame(
    space: Server, browser: playwright.Browser, tmp_path: Path, flags: list[str]
) -> None:
    make_sample_study(tmp_path / "study", seed=3, mgmt_value=1)
    scan = shutil.make_archive(str(tmp_path / "scan"), "zip", tmp_path / "study")
    frame = f"<iframe src='https://{SPACE}:{space.port}/predict' style='width:100%;height:95vh'></iframe>"
    known = (f"--host-resolver-rules=MAP {SPACE} 127.0.0.1", "--disable-features=LocalNetworkAccessChecks")
    apart = browser.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags, *known])
    page = apart.new_context(ignore_https_errors=True).new_page()
    page.set_default_timeout(120_000)
    page.route(AROUND, lambda route: route.fulfill(content_type="text/html", body=f"<!doctype html>{frame}"))
    sent: list[int] = []
    page.on("response", lambda answer: sent.append(answer.status) if answer.request.method == "PUT" else None)
    page.goto(AROUND)
    app = page.frame_locator("iframe")
    app.get_by_text("Files or a zip").click()
    app.locator("input[type=file]").first.set_input_files(scan)
    app.get_by_text("Probability of methylated").first.wait_for()
    assert sent == [204]
    assert {one["partitionKey"] for one in page.context.cookies()} == {"https://huggingface.co"}
    apart.close()
