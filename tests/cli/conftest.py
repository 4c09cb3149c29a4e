"""The command line in this process: one small synthetic cohort and one trained run for all tests here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from core.cli.main import main
from core.phantom.config import PhantomConfig
from core.settings import load_settings
from tests.cli.commands import TINY, Command, Result
from tests.phantoms import copy_phantom


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight synthetic studies of eight small slices."""
    folder = tmp_path_factory.mktemp("cohort") / "tiny"
    copy_phantom(folder, PhantomConfig(studies=8, signal=3, seed=1, slices=8, size=48))
    return folder


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve synthetic patients, for what needs several parts of them."""
    folder = tmp_path_factory.mktemp("twelve") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=12, slices=4, size=32, signal=3))
    return folder


@pytest.fixture(scope="session")
def study(cohort: Path) -> Path:
    """One study's folder."""
    return sorted(path for path in (cohort / "train").iterdir() if path.is_dir())[0]


@pytest.fixture(scope="session")
def trained_home(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished run, named "tiny"."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MGMT_LAB_HOME", str(home))
        patch.setenv("MGMT_LAB_THREADS", "1")
        assert main(["train", str(cohort), *TINY, "--set", "epochs=1", "--run", "tiny", "--json"]) == 0
    return home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty installation of this test's own."""
    monkeypatch.setenv("MGMT_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MGMT_LAB_THREADS", "1")
    return load_settings().home


@pytest.fixture
def home_with_run(home: Path, trained_home: Path) -> Path:
    """This test's own copy of the home with the finished run; files are only ever replaced, so links will do."""
    shutil.copytree(trained_home, home, copy_function=os.link)
    return home


@pytest.fixture
def command(home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs one command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status=status, stdout=captured.out, stderr=captured.err)

    return run
