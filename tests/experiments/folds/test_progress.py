"""How far a cross-validation is, from its folder alone; and the claim sheet's control that it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.experiments.evidence import find_controls
from core.experiments.folds.progress import measure_progress
from core.jobs.experiment import list_experiments
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import make_record
from tests.training.tiny import make_images, tiny_config

CONFIG = tiny_config("epochs=4")
SOURCE = DataSource(root="/data")
SPLIT = make_images(persons=24)[1]


@pytest.fixture
def begun(settings: Settings) -> Path:
    """Two candidates of 4 and of 6 epochs, three folds, two seeds; one training has finished, one has begun."""
    folder = settings.experiments / "mine"
    question: dict[str, Any] = {
        "kind": "cross_validation",
        "parameters": {"folds": 3, "seeds": 2, "inner_folds": 1, "vary": {"epochs": ["4", "6"]}},
        "config": CONFIG.model_dump(mode="json"),
        "source": SOURCE.model_dump(mode="json"),
    }
    folder.mkdir(parents=True)
    (folder / "question.json").write_text(json.dumps(question))
    for name, epochs, state in (("a", 4, "finished"), ("b", 1, "stopped")):
        run = RunFolder.create(settings, CONFIG, SOURCE, folder=folder / "runs" / name, state=state)  # type: ignore[arg-type]
        (run.path / "split.json").write_text(SPLIT.to_json())
        for epoch in range(1, epochs + 1):
            run.append_epoch(make_record(epoch).model_copy(update={"seconds": 2.0}))
    return folder


def test_all_trainings_are_one_bar(begun: Path, settings: Settings) -> None:
    (experiment,) = list_experiments(settings, "cross_validation")
    found = measure_progress(experiment)
    assert (found.epochs_done, found.epochs) == (5, 60)
    assert (found.finished, found.trainings, found.training) == (1, 12, ())
    assert found.share == pytest.approx(5 / 60)
    assert found.seconds_left == pytest.approx(2.0 * 55)
    assert experiment.result() is None


def test_the_claim_sheet_takes_its_sentence(begun: Path, settings: Settings) -> None:
    run = RunFolder.create(settings, CONFIG, SOURCE, "judged", split=SPLIT)
    done = {control.kind: control for control in find_controls(run, settings)}["cross_validation"].done
    assert not done
    (begun / "result.json").write_text(json.dumps({"sentence": "0.7 within folds"}))
    control = {control.kind: control for control in find_controls(run, settings)}["cross_validation"]
    assert (control.done, control.result, control.experiment) == (True, "0.7 within folds", "mine")
