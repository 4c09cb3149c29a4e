"""What every test may ask for: settings in a temporary home, and the real scans where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from core.settings import PROJECT_ROOT, Settings, load_settings

hypothesis.settings.register_profile("lab", deadline=None)  # machines are noisy; a slow example is no fault
hypothesis.settings.load_profile("lab")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation of its own: cache, runs and checkpoints below tmp_path."""
    return load_settings({"MGMT_LAB_HOME": str(tmp_path / "home"), "MGMT_LAB_THREADS": "1"})


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans, which are not part of the project; set MGMT_LAB_SHARED to their folder."""
    folder = Path(os.environ.get("MGMT_LAB_SHARED") or PROJECT_ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real scans at {folder}; set MGMT_LAB_SHARED to run this test")
    return folder
