"""optimism and specification: answered, kept, gone on with, and never about another question."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.cli.questions import main
from core.phantom.config import PhantomConfig
from core.settings import load_settings
from tests.cli.commands import TINY, Command
from tests.phantoms import copy_phantom

SMALL = (*TINY, "--set", "epochs=1", "--set", "size_px=32", "--set", "slice_count=1", "--set", "sequences=FLAIR")


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen synthetic patients: enough for a hold-out inside a hold-out."""
    folder = tmp_path_factory.mktemp("sixteen") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=16, slices=4, size=32, signal=3))
    return folder


def test_optimism_is_answered_once_and_found_again(command: Command, patients: Path) -> None:
    first = command("optimism", patients, *SMALL, "--seeds", "2", "--json")
    assert first.status == 0, first.stderr
    content = first.json
    assert len(content["pairs"]) == 2
    runs = Path(content["experiment"]) / "runs"
    changed = {path.name: (path / "best.safetensors").stat().st_mtime_ns for path in runs.iterdir()}
    again = command("optimism", patients, *SMALL, "--seeds", "2", "--json").json
    assert again["pairs"] == content["pairs"]
    assert changed == {path.name: (path / "best.safetensors").stat().st_mtime_ns for path in runs.iterdir()}
    command("optimism", patients, *SMALL, "--seeds", "3").assert_refused("asked another question", "--name")


def test_a_specification_curve_holds_every_combination(command: Command, patients: Path, tmp_path: Path) -> None:
    table = tmp_path / "cells.csv"
    result = command(
        "specification", patients, *SMALL, "--vary", "seed", "0", "1", "--vary", "fit", "pad", "stretch",
        "--csv", table, "--json",
    )  # fmt: skip
    assert result.status == 0, result.stderr
    assert len(result.json["cells"]) == 4
    lines = table.read_text().splitlines()
    assert lines[0] == "seed,fit,auroc,low,high,n,run"
    assert len(lines) == 5
    assert (load_settings().experiments / "specification" / "result.json").is_file()


def test_what_cannot_be_asked_is_one_line(command: Command, patients: Path) -> None:
    command("specification", patients, *SMALL, "--vary", "sede", "0").assert_refused("Did you mean seed")
    command("specification", patients, *SMALL, "--vary", "seed").assert_refused("at least one value")
    command("optimism", "nowhere", *SMALL).assert_refused("no folder nowhere")
    command("optimism", patients, *SMALL, "--name", "../x").assert_refused("cannot name an experiment")


def test_the_question_of_a_folder_is_answered_as_the_pages_start_it(
    command: Command, patients: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(command("optimism", patients, *SMALL, "--seeds", "2", "--json").json["experiment"])
    (folder / "result.json").rename(folder / "before.json")
    assert main([str(folder)]) == 0
    assert json.loads((folder / "result.json").read_text()) == json.loads((folder / "before.json").read_text())
    shutil.rmtree(folder / "runs" / "seed-01")
    (folder / "stop").touch()
    assert main([str(folder)]) == 130
    assert not (folder / "runs" / "seed-01").exists()
    assert main([str(patients)]) == 2
    assert "error: " in capsys.readouterr().err
    assert main([]) == 2
