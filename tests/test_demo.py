"""The demo works where PyTorch is not installed: the sample is predicted and mapped, and a page of training says what it needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.settings import PROJECT_ROOT

WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "monai", "pytorch_grad_cam", "onnxscript", "cv2", "SimpleITK"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

import importlib.util
own = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {"torch", "cv2", "SimpleITK"} else own(name, package)
sys.meta_path.insert(0, Blocked())
"""
SAMPLE = """
from streamlit.testing.v1 import AppTest

app = AppTest.from_file("streamlit_app.py", default_timeout=200).run()
assert not app.exception, app.exception
app.switch_page("pages/predict.py").run()
app.button(key="predict.sample").click().run()
assert not app.exception and not app.error, (app.exception, app.error)
words = " ".join(str(one.value) for one in (*app.markdown, *app.caption))
assert "Research use only" in words and "strongest inside the tumour" in words, words
app.switch_page("pages/cohort.py").run()
assert not app.exception, app.exception
for page in ("train", "sweeps", "validity"):
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception and "make app" in app.info[0].value, page
assert "torch" not in sys.modules
"""


def test_the_demo_runs_without_pytorch(tmp_path: Path) -> None:
    environment = {**os.environ, "MGMT_LAB_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + SAMPLE],
        cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(("asked", "said"), [(("--runtime", "torch"), "PyTorch"), (("--from", "raw"), "SimpleITK")])
def test_the_command_line_says_what_it_needs(asked: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code = f"{WITHOUT_TORCH}\nfrom core.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    make_phantom(tmp_path, PhantomConfig(studies=2, slices=4, size=32), jobs=1)
    arguments = ["predict", "demo-synthetic", str(next((tmp_path / "train").iterdir())), *asked]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr.strip().splitlines()[-1]
    assert "make app" in done.stderr


def test_the_demo_pins_what_the_lab_pins() -> None:
    pins = [
        set(re.findall(r"^[\w\[\]-]+==\S+", (PROJECT_ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements-demo.txt", "requirements.txt")
    ]
    assert pins[0] < pins[1]
    assert not [pin for pin in pins[0] if pin.startswith("torch")]
