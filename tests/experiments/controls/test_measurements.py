"""A measurement is an experiment: another session finds its answer, and the claim sheet counts it for the same cohort only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.config import apply_settings
from core.data.study import Cohort
from core.errors import DataError, MGMTLabError
from core.experiments.claim_sheet import gather_claim
from core.experiments.controls.measurements import (
    AUDIT,
    FROZEN,
    LEAK,
    MAPS,
    SHORTCUTS,
    ask_measurement,
    find_measurement,
    keep_split,
    read_measurement,
)
from core.experiments.evidence import find_audit, find_controls
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, RunOptions, StoredProgress
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.trainer import run_training
from tests.phantoms import copy_phantom
from tests.training.tiny import TINY, TINY_NETWORK


@pytest.fixture
def source(tmp_path: Path) -> DataSource:
    copy_phantom(tmp_path / "cohort", PhantomConfig(studies=16, slices=4, size=32, signal=3))
    return DataSource(root=str(tmp_path / "cohort"))


@pytest.fixture
def cohort(source: DataSource, settings: Settings) -> Cohort:
    return open_cohort(source, settings=settings)


@pytest.fixture
def run(source: DataSource, settings: Settings, tiny_network: None) -> RunFolder:
    config = apply_settings(find_preset("honest").config, [*TINY, f"architecture={TINY_NETWORK.name}", "epochs=1"])
    return run_training(settings, config, source, name="mine")


def answer(settings: Settings, kind: str, source: DataSource, cohort: Cohort, **parameters: object) -> Experiment:
    question = ask_measurement(kind, source, cohort, **parameters)  # type: ignore[arg-type]
    experiment = find_measurement(settings, question)
    run_experiment(Experiment.ask(settings, experiment.name, question), settings, RunOptions(), Display())
    return find_measurement(settings, ask_measurement(kind, source, cohort, **parameters))  # type: ignore[arg-type]


def test_what_was_measured_is_read_again_and_counted_for_its_cohort_alone(
    run: RunFolder, source: DataSource, cohort: Cohort, settings: Settings, tmp_path: Path
) -> None:
    leak = read_measurement(answer(settings, LEAK, source, cohort), LEAK)
    assert (leak.patients, leak.dose[0].true.n) == (16, leak.dose[-1].true.n)
    found = read_measurement(answer(settings, SHORTCUTS, source, cohort, permutations=9), SHORTCUTS)
    assert len(found.results["blanked"].null) == 9
    assert found.sentence.endswith("n = 16 patients")
    frozen = read_measurement(answer(settings, FROZEN, source, cohort, permutations=9), FROZEN)
    assert len(frozen["null"]) == 9
    parameters = {"checkpoint": str(run.checkpoint), "studies": 2, "per_series": 1}
    maps = read_measurement(answer(settings, MAPS, source, cohort, **parameters), MAPS)
    best = maps.best.method, maps.best.layer
    assert [*maps.examples[0].maps] == [best]
    assert maps.examples[0].image.dtype == np.uint8

    done = {control.kind: control for control in find_controls(run, settings) if control.done}
    assert set(done) == {LEAK, SHORTCUTS, MAPS}
    assert "n = 16 patients" in done[SHORTCUTS].result

    copy_phantom(tmp_path / "other", PhantomConfig(studies=16, slices=4, size=32, seed=5))
    config = run.config
    other = run_training(settings, config, DataSource(root=str(tmp_path / "other")), name="other")
    assert not [control for control in find_controls(other, settings) if control.done]


def test_a_cohort_that_changed_is_not_answered_for(
    source: DataSource, cohort: Cohort, settings: Settings, tmp_path: Path
) -> None:
    question = ask_measurement(LEAK, source, cohort)
    table = Path(source.root) / "train_labels.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[1][:-1] + ("0" if lines[1].endswith("1") else "1"), *lines[2:]]))
    experiment = Experiment.ask(settings, find_measurement(settings, question).name, question)
    with pytest.raises(DataError, match="changed"):
        run_experiment(experiment, settings, RunOptions(), Display())
    assert read_measurement(experiment, LEAK) is None


def test_progress_is_told_to_other_processes_and_ends_where_somebody_stops_it(
    source: DataSource, cohort: Cohort, settings: Settings
) -> None:
    question = ask_measurement(LEAK, source, cohort)
    experiment = Experiment.ask(settings, find_measurement(settings, question).name, question)
    told = StoredProgress(experiment, "comparing")
    with experiment.work(settings):
        told(3, 4)
        status = experiment.status()
        assert (status.step, status.share) == ("comparing: 3 of 4", 0.75)
        experiment.stop()
        with pytest.raises(KeyboardInterrupt):
            told(4, 4)


def test_a_result_of_another_version_is_measured_again(source: DataSource, cohort: Cohort, settings: Settings) -> None:
    question = ask_measurement(LEAK, source, cohort)
    experiment = Experiment.ask(settings, find_measurement(settings, question).name, question)
    for result in ({"found": {"slices": "many"}}, {"sentence": "?"}):
        experiment.write_result(result)
        assert read_measurement(experiment, LEAK) is None
    with pytest.raises(MGMTLabError):
        run_experiment(Experiment(settings.experiments / "nothing"), settings, RunOptions(), Display())


def test_the_audit_of_a_split_is_counted_for_runs_of_this_split_alone(
    run: RunFolder, source: DataSource, cohort: Cohort, settings: Settings
) -> None:
    assert find_audit(run, settings) is None
    place = run.path / "split.json"
    found = read_measurement(answer(settings, AUDIT, source, cohort, checkpoint=str(place)), AUDIT)
    assert (found.by_slice, found.report.findings, found.report.counted["patients"]) == (False, (), 16)
    assert find_audit(run, settings) == ()
    assert "An audit of every image found no duplicates across the parts." in gather_claim(run, settings).leakage
    rows = [f"{person},{part}" for part in ("train", "val", "test") for person in run.split().units(part)]
    table = "\n".join(["name,part", *rows, f"{run.split().train[0]},test"]).encode()
    leaky = answer(settings, AUDIT, source, cohort, checkpoint=str(keep_split(table, "mine.csv", settings)))
    assert read_measurement(leaky, AUDIT).report.findings[0].kind == "patient-on-both-sides"
    assert find_audit(run, settings) == ()
    question = ask_measurement(AUDIT, source, cohort, checkpoint=str(place))
    place.write_text(place.read_text() + " ")
    experiment = Experiment.ask(settings, find_measurement(settings, question).name, question)
    (experiment.folder / "result.json").unlink()
    with pytest.raises(DataError, match="no longer the split"):
        run_experiment(experiment, settings, RunOptions(), Display())
    assert find_audit(run, settings) is None
