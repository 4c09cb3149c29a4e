"""leak-meter, shortcuts, twin and permute, as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.cli.reruns import FAST
from core.experiments.controls.permutation import RERUNS
from core.phantom.config import PhantomConfig
from core.runs.folder import list_runs
from core.settings import load_settings
from tests.cli.commands import Command
from tests.phantoms import copy_phantom

SMALL = (
    "--set",
    "size_px=32",
    "--set",
    "slice_count=4",
    "--set",
    "weights=none",
    "--set",
    "epochs=1",
    "--set",
    "sequences=FLAIR",
)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen synthetic studies."""
    folder = tmp_path_factory.mktemp("controls") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=16, signal=0, slices=6, size=32))
    return folder


def test_the_leak_meter_prints_every_figure_with_n_and_interval(command: Command, patients: Path) -> None:
    found = command("leak-meter", patients, "--repeats", 3, "--jobs", 1, "--json").json
    assert found["patients"] == 16
    for figure in (*found["by_slice"].values(), *found["by_patient"].values(), found["same_patient"]):
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["n"] == found["slices"]
    assert [point["share"] for point in found["dose"]] == [0, 0.25, 0.5, 0.75, 1]
    assert "nothing trained" in command("leak-meter", patients, "--repeats", 1, "--jobs", 1).stdout


def test_the_leak_meter_takes_settings_and_refuses_too_few(command: Command, patients: Path, cohort: Path) -> None:
    found = command("leak-meter", patients, "--repeats", 1, "--set", "slice_count=2", "--jobs", 1, "--json").json
    assert found["slices"] == 32
    command("leak-meter", cohort, "--jobs", 1).assert_refused("at least 10")
    command("leak-meter", patients, "--set", "slices=2", "--jobs", 1).assert_refused("no setting")


def test_shortcuts_prints_each_control(command: Command, patients: Path) -> None:
    found = command("shortcuts", patients, "--permutations", 5, "--jobs", 1, "--json").json
    assert set(found["controls"]) == {"headers", "blanked", "shuffled", "pictures"}
    for control in found["controls"].values():
        assert control["permutations"] == 5
        assert {"value", "low", "high", "n"} <= set(control["auroc"])
        assert control["other_way"]


def test_twin_prints_the_contract_and_goes_on_where_it_stood(command: Command, patients: Path) -> None:
    arguments = ("twin", patients, *SMALL, "--name", "t", "--jobs", 1, "--shuffle-labels", 2, "--json")
    found = command(*arguments).json
    for arm in ("slice_split", "patient_split"):
        for level in ("slice", "patient"):
            assert {"accuracy", "auroc"} <= set(found[arm][level])
    assert "difference of" in found["sentence"]
    assert found["shuffle_seed"] == 2
    assert command(*arguments).json == found
    assert {entry.run.name for entry in list_runs(load_settings())} == {"t-slice-split", "t-patient-split"}


def test_twin_refuses_a_bad_share_and_another_question_under_the_same_name(command: Command, patients: Path) -> None:
    command("twin", patients, "--judged-share", "2").assert_refused("not a number between 0.05 and 0.9")
    command("twin", patients, *SMALL, "--set", "test_fraction=0", "--name", "u", "--jobs", 1)
    command("twin", patients, *SMALL, "--set", "test_fraction=0", "--jobs", 1).assert_refused("test_fraction")


def test_the_help_of_permute_names_the_defaults(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("permute", "--help")
    assert f"(default: {RERUNS}; with --fast {FAST})" in " ".join(capsys.readouterr().out.split())


def test_permute_reruns_and_the_fast_form_say_what_they_are(command: Command, patients: Path) -> None:
    reruns = command("permute", patients, *SMALL, "-n", 2, "--jobs", 1, "--json").json
    assert reruns["kind"] == "reruns"
    assert len(reruns["null"]) == 2
    assert reruns["p"] >= 1 / 3
    fast = command("permute", patients, *SMALL, "--fast", "-n", 9, "--jobs", 1, "--json").json
    assert fast["kind"] == "frozen features"
    assert fast["backbone"] == "ResNet-18, random weights"
    assert fast["permutations"] == 9
    command("permute", patients, "--fast", "--parallel", 2).assert_refused("--fast trains nothing")
