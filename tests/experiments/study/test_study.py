"""A whole study: every step once, no test patient before the last, resumed where it was, and what it cannot show is said."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from core.config import RunConfig, apply_settings
from core.errors import ConfigError
from core.experiments.claim_sheet import gather_claim
from core.experiments.run import run_experiment
from core.experiments.study import steps
from core.experiments.study.parameters import (
    KIND,
    SIZES,
    PositiveParameters,
    StudyParameters,
    size_config,
)
from core.experiments.study.positive import choose_positive
from core.experiments.study.steps import STEPS
from core.jobs.experiment import Display, Experiment, RunOptions, make_question
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.reports.study_page import write_study
from core.runs.folder import RunFolder
from core.runs.ledger import list_evaluations
from core.runs.records import DataSource
from core.settings import Settings
from tests.phantoms import copy_phantom
from tests.training.tiny import TINY_NETWORK


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=32, slices=4, size=32, signal=3))
    return folder


def tiny_study() -> RunConfig:
    config = size_config(find_preset("honest").config, "tiny")
    return apply_settings(config, {"architecture": TINY_NETWORK.name, "device": "cpu"})


def test_a_study_takes_every_step_and_looks_at_its_test_patients_once(
    cohort: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = make_question(KIND, StudyParameters(size="tiny"), tiny_study(), DataSource(root=str(cohort)))
    experiment = Experiment.ask(settings, "mine", question)
    looks: list[tuple[str, int]] = []

    def stop_before_the_end(step: steps.Step, context: steps.Context) -> dict[str, object]:
        split = context.experiment.split()
        if split is not None:
            looks.append((step.name, len(list_evaluations(split.test_digest, settings, split.cohort_digest))))
        if step.name == "final" and not (experiment.folder / "stopped").exists():
            (experiment.folder / "stopped").touch()
            raise KeyboardInterrupt
        return steps.take_step(step, context)

    monkeypatch.setattr("core.experiments.study.study.take_step", stop_before_the_end)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, settings, RunOptions(), Display())
    taken = [name for name, _ in looks]
    result = run_experiment(experiment, settings, RunOptions(), Display())
    assert list(result["steps"]) == [step.name for step in STEPS]
    again = [name for name, _ in looks][len(taken) :]
    last = [step.name for step in STEPS][[step.name for step in STEPS].index("final") :]
    assert [name for name in again if name in last] == last
    assert not {"folds", "permutation", "twin"} & set(again)  # what was answered is kept
    assert {count for name, count in looks if name not in last[1:]} == {0}
    assert looks[-1] == ("external", 1)
    failed = [name for name, step in result["steps"].items() if step.get("failed")]
    assert set(failed) <= {"baselines", "added", "external", "sites"}
    assert "external" in failed
    assert any("--external" in text for text in result["cannot"])
    assert any("synthetic" in text for text in result["cannot"])

    assert result["steps"]["joint"]["joint"]["permutations"] == SIZES["tiny"].joint
    assert len(result["steps"]["joint"]["cells"]) == 4
    assert {"slope", "observed_expected"} <= set(result["steps"]["calibration"]["figures"])
    assert result["steps"]["subgroups"]["referee"]["n"] == result["steps"]["seal"]["test"]
    assert result["estimand"].startswith("Figures of folds")

    files = write_study(experiment, settings)
    assert [Path(file).name for file in files] == ["study.html", "study.json", "claim.html"]
    document = json.loads(Path(files[1]).read_text())
    assert document["claim"]["run"] == "mine"
    assert "Cross-validation by patient" in Path(files[0]).read_text()
    sheet = gather_claim(RunFolder(settings.runs / "mine"), settings)
    done = {control.kind for control in sheet.controls if control.done}
    assert {
        "permutation",
        "random_labels",
        "cross_validation",
        "optimism",
        "positive_control",
        "specification",
        "robustness",
        "shortcuts",
    } <= done
    assert not any(text.startswith("Subgroups") for text in sheet.unchecked)
    assert (sheet.looks, sheet.seal.state) == (1, "followed")


def test_a_size_without_the_joint_test_says_what_it_would_take() -> None:
    step = next(step for step in STEPS if step.name == "joint")
    found = steps.take_step(step, cast(steps.Context, SimpleNamespace(amount=SIZES["small"])))
    assert found["failed"]
    assert "80 networks: too many for this size; --size full asks it" in found["sentence"]
    assert SIZES["full"].trainings == 11 + 99 + 2 + 5 + 80 + 1


def test_the_positive_control_needs_a_target_that_can_be_found(cohort: Path, tmp_path: Path) -> None:
    found = choose_positive(PositiveParameters(), DataSource(root=str(cohort / "train")))
    assert (found.target, found.cutoff) == ("oedema_mm", 9.0)
    assert found.labels == str(cohort / "truth.csv")
    named = PositiveParameters(target="IDH", positive="mutant")
    assert choose_positive(named, DataSource(root=str(tmp_path))) == named
    with pytest.raises(ConfigError, match="--control-target"):
        choose_positive(PositiveParameters(), DataSource(root=str(tmp_path)))
