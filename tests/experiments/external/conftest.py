"""Three cohorts for all tests here, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.external.cohorts import make_cohorts


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of three cohorts, of which the third holds two persons of the first."""
    return make_cohorts(tmp_path_factory.mktemp("cohorts"))
