"""Synthetic cohorts for tests: each is drawn once, for all test files and worker processes of a run, and copied."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from core.phantom.cohort import PhantomReport, make_phantom
from core.phantom.config import PhantomConfig

PLACE = "MGMT_LAB_TEST_PHANTOMS"
"""Names the folder of what was drawn; :func:`tests.conftest.pytest_configure` makes it and removes it with the run."""


def copy_phantom(folder: Path, config: PhantomConfig, **_: Any) -> PhantomReport:
    """Make a cohort as :func:`core.phantom.cohort.make_phantom` does; the copy is the test's own, to be changed as it likes.

    Half of a second of drawing a study goes into the head, whatever its size. What tests the phantom itself calls
    ``make_phantom``.
    """
    drawn = Path(os.environ[PLACE]) / hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:16]
    with drawn.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_phantom(drawn, config, jobs=1)
    if not folder.exists():
        shutil.copytree(drawn, folder)
    return make_phantom(folder, config, jobs=1)  # which finds it whole
