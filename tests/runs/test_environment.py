import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from core import __version__
from core.config import RunConfig, apply_settings
from core.mri import MRSequence
from core.presets import find_preset
from core.runs import environment
from core.runs.environment import describe_command, find_commit, list_versions, name_processor
from core.runs.records import DataSource
from tests.training.tiny import tiny_config


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


def test_the_command_names_what_differs_from_the_preset_and_nothing_else() -> None:
    config = tiny_config("sequences=FLAIR,T1w")
    source = DataSource(
        root="/data/my cohort", labels="/data/labels.csv", patient_pattern=r"\d+", assign=(("1.2", MRSequence.FLAIR),)
    )
    words = shlex.split(describe_command(config, source, 3))
    assert words[:7] == ["python", "-m", "core", "train", "/data/my cohort", "--preset", "honest"]
    assert words[words.index("--labels") + 1] == "/data/labels.csv"
    assert words[words.index("--patient-pattern") + 1] == r"\d+"
    assert words[words.index("--assign") + 1] == "1.2=FLAIR"
    assert words[-2:] == ["--jobs", "3"]
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert "sequences=FLAIR,T1w" in settings
    assert not any(setting.startswith("seed=") for setting in settings)
    assert apply_settings(find_preset("honest").config, settings) == config


def test_no_command_makes_a_run_with_shuffled_labels_or_of_an_unknown_preset() -> None:
    assert describe_command(tiny_config(), DataSource(root="/data", shuffle_seed=1), 1) == ""
    assert describe_command(RunConfig(preset="custom"), DataSource(root="/data"), 1) == ""


def test_the_processor_is_named_or_at_least_its_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Fast CPU @ 3 GHz\n")
    monkeypatch.setattr(environment, "CPU_INFO", info)
    assert name_processor() == "Fast CPU @ 3 GHz"
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "none")
    assert name_processor()
