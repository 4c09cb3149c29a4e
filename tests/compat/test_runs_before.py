"""Nothing that an earlier version stored is lost: its runs, experiments, exports and checkpoints answer as they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.runs.folder import RunFolder
from core.settings import load_settings
from core.training.trainer import train
from tests.compat.stored_home import (
    FIXTURES,
    QUESTIONS,
    SHIPPED,
    answer,
    ask,
    differences,
    first_study,
    make_cohort,
    predict_sample,
    unpack_home,
)

pytestmark = pytest.mark.usefixtures("tiny_network")

EXPERIMENTS = ("optimism", "specification", "twin", "permute", "cross-validate", "search")
"""Questions that repeat the command of an experiment that had ended."""


@pytest.fixture(scope="session")
def stored_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort that the stored runs were trained on."""
    return make_cohort(tmp_path_factory.mktemp("stored") / "cohort")


@pytest.fixture
def stored(tmp_path: Path, stored_cohort: Path) -> Path:
    """This test's own copy of the stored home."""
    return unpack_home(tmp_path / "home", stored_cohort)


@pytest.fixture(scope="session")
def answers() -> dict[str, Any]:
    """What the commands said when the home was stored."""
    return dict(json.loads((FIXTURES / "answers.json").read_text()))


def weights_below(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every checkpoint: when it was written, and its bytes."""
    return {
        str(path.relative_to(home)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in home.rglob("best.safetensors")
    }


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stored_home_answers_as_it_did(
    question: str, stored: Path, stored_cohort: Path, answers: dict[str, Any]
) -> None:
    assert differences(answers[question], answer(question, stored, stored_cohort)) == []


@pytest.mark.parametrize("question", EXPERIMENTS)
def test_an_experiment_that_had_ended_trains_nothing_again(question: str, stored: Path, stored_cohort: Path) -> None:
    before = weights_below(stored)
    assert answer(question, stored, stored_cohort)["status"] == 0
    assert weights_below(stored) == before


@pytest.mark.parametrize(
    ("question", "ended"),
    [("optimism, interrupted", "optimism-half/runs/seed-00"), ("search, interrupted", "runs/search-half-000")],
)
def test_an_interrupted_experiment_keeps_the_member_that_had_ended(
    question: str, ended: str, stored: Path, stored_cohort: Path
) -> None:
    before = weights_below(stored)
    assert answer(question, stored, stored_cohort)["status"] == 0
    kept = [name for name in before if ended in name]
    assert len(kept) == 1
    assert weights_below(stored)[kept[0]] == before[kept[0]]


def test_a_resumed_run_ends_as_the_one_that_was_never_interrupted(stored: Path, stored_cohort: Path) -> None:
    settings = load_settings({"MGMT_LAB_HOME": str(stored), "MGMT_LAB_THREADS": "1"})
    run = RunFolder(stored / "runs" / "interrupted")
    log = run.path / "epochs.jsonl"
    done = log.read_text().splitlines()
    train(run, settings)
    assert log.read_text().splitlines()[: len(done)] == done, "it did not go on from resume.pt"
    resumed, whole = (answer(f"show {name}", stored, stored_cohort)["document"] for name in ("interrupted", "whole"))
    # Of equal figures the lower loss is best since; that run knew the first of them only.
    before, after = ([{**epoch, "best": None} for epoch in one["epochs_done"]] for one in (whole, resumed))
    assert len(before) == 4
    assert differences(before, after) == []
    ranks = [((epoch["val_patient_auroc"], -epoch["val_loss"]), epoch["best"]) for epoch in resumed["epochs_done"]]
    assert [rank for rank, best in ranks if best][-1] == max(rank for rank, _ in ranks)


def test_an_imported_run_predicts_as_the_one_it_was_exported_from(stored: Path, stored_cohort: Path) -> None:
    assert answer("import the zip", stored, stored_cohort)["status"] == 0
    scan = str(first_study(stored_cohort))
    imported, finished = (ask(["predict", name, scan], stored)["document"] for name in ("imported", "finished"))
    probabilities = [
        [one["probability"] for one in document["studies"][0]["slices"]] for document in (imported, finished)
    ]
    assert probabilities[0] == probabilities[1]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_checkpoint_answers_on_the_sample_study_as_it_did(
    name: str, tmp_path: Path, answers: dict[str, Any]
) -> None:
    """Its weights are the same, its calibration is not: the log odds before the temperature have stayed."""
    before, now = (found["document"] for found in (answers[name], predict_sample(name, tmp_path)))
    assert now["studies"][0]["abstained"] is False
    for where in ("studies", "slices"):
        assert odds(now, where) == pytest.approx(odds(before, where), abs=0.02)
    assert differences(before["studies"][0]["series"], now["studies"][0]["series"]) == []
    auroc = [document["checkpoint"]["metrics"]["val"]["patient"]["auroc"]["value"] for document in (before, now)]
    assert auroc[0] == auroc[1]


def odds(document: dict[str, Any], where: str) -> list[float]:
    """Log odds of a document's study, or of its slices, before the temperature."""
    study = document["studies"][0]
    chances = np.array([one["probability"] for one in ([study] if where == "studies" else study["slices"])])
    return list(document["checkpoint"]["temperature"] * np.log(chances / (1 - chances)))
