"""Folders and limits from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ConfigError
from core.settings import PROJECT_ROOT, load_settings


def test_local_by_default() -> None:
    settings = load_settings({})
    assert not settings.hosted
    assert settings.home == PROJECT_ROOT
    assert settings.threads >= 1


def test_a_space_is_hosted_and_accepts_less() -> None:
    hosted, local = load_settings({"SPACE_ID": "someone/lab"}), load_settings({})
    assert hosted.hosted
    assert hosted.upload_bytes < local.upload_bytes
    assert not load_settings({"SPACE_ID": "someone/lab", "MGMT_LAB_MODE": "local"}).hosted


def test_home_moves_cache_runs_and_checkpoints(tmp_path: Path) -> None:
    settings = load_settings({"MGMT_LAB_HOME": str(tmp_path)})
    assert {settings.cache.parent, settings.runs.parent, settings.checkpoints.parent} == {tmp_path.resolve()}
    assert settings.shipped_checkpoints == PROJECT_ROOT / "checkpoints"


@pytest.mark.parametrize(
    ("name", "text"),
    [("MGMT_LAB_MODE", "cloud"), ("MGMT_LAB_THREADS", "0"), ("MGMT_LAB_JOBS", "two"), ("MGMT_LAB_UPLOAD_MB", "lots")],
)
def test_a_wrong_variable_is_named(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_settings({name: text})
