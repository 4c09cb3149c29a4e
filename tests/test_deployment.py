"""What enters an image, and under which licences it runs."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from core.licences import COPYLEFT, list_licences
from core.settings import PROJECT_ROOT


def enters(path: str) -> bool:
    """Whether Docker's rules let a path into the image: the last that matches it, or a folder above it, decides."""
    inside = True
    parts = path.split("/")
    above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").removeprefix("**/")
        places = parts if rule.removeprefix("!").startswith("**/") else above
        if any(fnmatch(place, pattern) and place.count("/") == pattern.count("/") for place in places):
            inside = rule.startswith("!")
    return inside


@pytest.mark.parametrize(
    "path",
    [
        "data/rsna/train/00001/FLAIR/Image-1.dcm", "checkpoints/mine.safetensors", ".streamlit/secrets.toml", "runs/a/split.json",
        "seals/seal-1.json", ".env", ".git/config", "core/data/__pycache__/study.cpython-311.pyc", "anything.csv", "tests/conftest.py",
    ],
)  # fmt: skip
def test_what_is_private_stays_out_of_the_image(path: str) -> None:
    assert not enters(path)


def test_what_the_app_needs_enters_the_image() -> None:
    needed = ["streamlit_app.py", "core/cli/main.py", "ui/widgets/text.py", "pages/home.py", ".streamlit/config.toml"]
    needed += [str(one.relative_to(PROJECT_ROOT)) for one in (PROJECT_ROOT / "checkpoints").glob("demo-synthetic*")]
    copied = re.findall(r"requirements[-a-z]*\.lock", (PROJECT_ROOT / "Dockerfile").read_text())
    assert len(set(copied)) == 3
    assert [path for path in (*needed, *copied) if not enters(path)] == []


EXTRAS = ("requirements-dicom.txt", "requirements-serve.txt")
LOCKS = {
    "requirements.lock": ("requirements.txt", *EXTRAS),
    "requirements-demo.lock": ("requirements-demo.txt", *EXTRAS),
    "requirements-raw.lock": ("requirements-raw.txt",),
}


def read_pins(name: str) -> dict[str, str]:
    """What a requirements file or lock pins: version by canonical name."""
    pins = re.findall(r"^([\w.\[\]-]+)==([\w.+!]+)", (PROJECT_ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package.partition("[")[0]): version for package, version in pins}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_whole(lock: str) -> None:
    """`make lock` mends it: each file's pins, their whole closure, a hash for each, and no address of an index."""
    text, locked = (PROJECT_ROOT / lock).read_text(), read_pins(lock)
    for name in LOCKS[lock]:
        assert read_pins(name).items() <= locked.items(), f"{name} was changed; make lock"
    assert "://" not in text
    assert "--index" not in text
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\w)", text.strip()))
    if lock == "requirements-raw.lock":  # installed without what it asks for
        return
    installed = {canonicalize_name(one.name): one for one in metadata.distributions()}
    asked = [Requirement(one) for name in locked if name in installed for one in installed[name].requires or ()]
    needed = [one for one in asked if not one.marker or one.marker.evaluate({"extra": ""})]
    assert [str(one) for one in needed if canonicalize_name(one.name) not in locked] == []
    assert [str(one) for one in needed if not one.specifier.contains(locked[canonicalize_name(one.name)])] == []


def test_nothing_that_runs_is_under_the_gpl() -> None:
    licences = list_licences()
    assert {"torch", "streamlit", "pydantic-core", "starlette"} <= set(licences)
    assert [name for name, (_, licence) in licences.items() if COPYLEFT.search(licence)] == []
    assert COPYLEFT.search("LGPL-3.0-only")
