import subprocess
from pathlib import Path

import numpy as np
import pytest

from core import __version__
from core.runs import environment
from core.runs.environment import find_commit, list_versions, name_processor


def test_versions_name_what_decides_a_result() -> None:
    versions = list_versions()
    assert versions["mgmt-lab"] == __version__
    assert versions["numpy"] == np.__version__
    assert {"python", "torch", "torchvision", "pydicom"} <= set(versions)


def test_a_changed_working_tree_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PROJECT_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert find_commit() == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    commit = find_commit()
    assert len(commit) == 40
    (tmp_path / "new.py").touch()
    assert find_commit() == commit + "+"


def test_the_processor_is_named_or_at_least_its_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Fast CPU @ 3 GHz\n")
    monkeypatch.setattr(environment, "CPU_INFO", info)
    assert name_processor() == "Fast CPU @ 3 GHz"
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "none")
    assert name_processor()
