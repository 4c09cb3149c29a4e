"""A plan sealed in time is followed or not; one that is late, altered, replaced or removed is told."""

from __future__ import annotations

import json

import pytest

from core.config import RunConfig, apply_settings
from core.dataset.split import Split
from core.errors import SealError
from core.evaluation.figure import Figure
from core.runs.folder import RunFolder
from core.runs.ledger import record_evaluation
from core.runs.records import DataSource
from core.runs.seal import Criterion, hash_plan, list_seals, make_seal, seal_of_run
from core.settings import Settings

SPLIT = Split(train=("1", "2"), val=("3",), test=("4", "5"), unit="patient", seed=0, cohort_digest="c" * 12)
CONFIG = RunConfig(weights="none", epochs=2)
GOOD = {"auroc": Figure(value=0.8, low=0.6, high=0.9, n=2)}
POOR = {"auroc": Figure(value=0.6, low=0.4, high=0.8, n=2)}


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    folder = RunFolder.create(settings, CONFIG, DataSource(root="/nowhere"), name="mine", state="finished")
    (folder.path / "split.json").write_text(SPLIT.to_json())
    return folder


def test_a_plan_sealed_in_time_is_followed_and_reached_or_not(run: RunFolder, settings: Settings) -> None:
    assert seal_of_run(run, settings).state == "none"
    seal = make_seal(CONFIG, SPLIT, Criterion(), settings, note="for the talk")
    waiting = seal_of_run(run, settings)
    assert waiting.state == "waiting"
    assert "lower end of the 95% interval of AUROC by patient is at least 0.5" in waiting.words
    record_evaluation(SPLIT.test_digest, "mine", settings)
    assert (seal_of_run(run, settings, GOOD).state, seal_of_run(run, settings, GOOD).met) == ("followed", True)
    assert seal_of_run(run, settings, POOR).met is False
    assert "not reached" in seal_of_run(run, settings, POOR).words
    assert seal.hash[:12] in waiting.words


def test_a_plan_sealed_after_a_look_is_late(run: RunFolder, settings: Settings) -> None:
    record_evaluation(SPLIT.test_digest, "somebody", settings)
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "late"
    assert "evaluated once" in report.words


def test_another_configuration_or_split_did_not_follow(run: RunFolder, settings: Settings) -> None:
    make_seal(apply_settings(CONFIG, ["learning_rate=0.5", "device=cpu"]), SPLIT, Criterion(), settings)
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "changed"
    assert "learning_rate" in report.words
    assert "device" not in report.words
    (run.path / "split.json").write_text(
        Split(train=("1",), val=("2", "3"), test=SPLIT.test, unit="patient", seed=0, cohort_digest="c" * 12).to_json()
    )
    assert "who is in training" in seal_of_run(run, settings, GOOD).words


def test_an_altered_plan_is_told(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(at_least=0.7), settings)
    path = settings.seals / "seal-0001.json"
    path.write_text(path.read_text().replace("0.7", "0.5"))
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "broken"
    assert "altered" in report.words


def test_a_plan_hashed_anew_is_told_by_the_register(run: RunFolder, settings: Settings) -> None:
    seal = make_seal(CONFIG, SPLIT, Criterion(at_least=0.7), settings)
    easier = seal.model_copy(update={"criterion": Criterion(at_least=0.5)})
    easier = easier.model_copy(update={"hash": hash_plan(easier.model_dump(mode="json"))})
    (settings.seals / "seal-0001.json").write_text(easier.model_dump_json())
    assert "register has another hash" in seal_of_run(run, settings, GOOD).words


def test_a_seal_that_was_removed_or_torn_is_told(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    path = settings.seals / "seal-0001.json"
    path.write_text("{")
    assert "altered or damaged" in seal_of_run(run, settings).words
    path.unlink()
    assert [fault for _, _, fault in list_seals(settings)] == ["seal-0001.json was removed"]
    assert seal_of_run(run, settings).state == "broken"


def test_several_seals_for_the_same_patients_are_counted(run: RunFolder, settings: Settings) -> None:
    for level in (0.5, 0.6):
        make_seal(CONFIG, SPLIT, Criterion(at_least=level), settings)
    assert "one of 2 seals" in seal_of_run(run, settings).words


def test_nobody_held_out_cannot_be_sealed(settings: Settings) -> None:
    nobody = Split(train=("1",), val=("2",), test=(), unit="patient", seed=0, cohort_digest="c" * 12)
    with pytest.raises(SealError, match="holds no test patients"):
        make_seal(CONFIG, nobody, Criterion(), settings)


def test_a_seal_reads_back_as_it_was_written(settings: Settings) -> None:
    seal = make_seal(CONFIG, SPLIT, Criterion(metric="auprc", bound="value", at_least=0.6), settings)
    ((_, again, fault),) = list_seals(settings)
    assert (again, fault) == (seal, "")
    assert json.loads((settings.seals / "register.jsonl").read_text())["hash"] == seal.hash


def test_a_look_that_the_seal_did_not_count_is_found_in_the_ledger(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    settings.runs.mkdir(parents=True, exist_ok=True)
    entry = {"test_digest": SPLIT.test_digest, "run": "mine", "when": "2020-01-01T00:00:00+00:00"}
    (settings.runs / "test_looks.jsonl").write_text(json.dumps(entry) + "\n")
    assert seal_of_run(run, settings, GOOD).state == "late"


def test_a_setting_that_is_newer_than_a_seal_does_not_break_it(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    path = settings.seals / "seal-0001.json"
    content = json.loads(path.read_text())
    del content["config"]["select_on"]  # as if that setting had come later; its default fills in
    content["hash"] = hash_plan(content)
    path.write_text(json.dumps(content))
    entry = {"name": "seal-0001", "hash": content["hash"], "created": content["created"]}
    (settings.seals / "register.jsonl").write_text(json.dumps(entry) + "\n")
    assert [fault for _, _, fault in list_seals(settings)] == [""]
    assert seal_of_run(run, settings).state == "waiting"
