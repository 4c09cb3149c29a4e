"""What decides the last digits of a result besides the configuration: versions, commit and processor."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core import __version__
from core.settings import PROJECT_ROOT

PACKAGES = ("torch", "torchvision", "monai", "numpy", "scipy", "pandas", "pydicom", "nibabel", "python-gdcm")
CPU_INFO = Path("/proc/cpuinfo")


def list_versions() -> dict[str, str]:
    """Versions of this project, of Python and of the packages that decide a result."""
    versions = {"mgmt-lab": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def find_commit() -> str:
    """Commit of the project's working tree, with a plus sign where it has changes; empty where there is no git."""
    try:
        git = ["git", "-C", str(PROJECT_ROOT)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


@lru_cache(maxsize=1)
def name_code() -> str:
    """Version of this project with a digest of its source, which tells also a change that was not committed."""
    found = hashlib.sha256()
    for path in sorted((PROJECT_ROOT / "core").rglob("*.py")):
        found.update(path.relative_to(PROJECT_ROOT).as_posix().encode() + path.read_bytes())
    return f"{__version__}, source {found.hexdigest()[:12]}"


def name_processor() -> str:
    """The CPU's model where the system tells it, else its kind: another model may sum in another order."""
    try:
        lines = CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()
