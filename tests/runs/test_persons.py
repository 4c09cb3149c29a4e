"""How many of a run's test patients others have judged or trained on before."""

from __future__ import annotations

from core.config import RunConfig
from core.dataset.split import Split
from core.runs.evaluation import count_test_evaluations
from core.runs.folder import RunFolder
from core.runs.ledger import record_evaluation
from core.runs.persons import describe_history, mark_test_persons, trace_persons
from core.runs.records import DataSource
from core.settings import Settings


def make_run(settings: Settings, name: str, train: str, val: str, test: str) -> RunFolder:
    run = RunFolder.create(settings, RunConfig(), DataSource(root="/nowhere"), name=name, state="finished")
    parts = {"train": tuple(train), "val": tuple(val), "test": tuple(test)}
    split = Split(**parts, unit="patient", seed=0, cohort_digest="c" * 12)
    (run.path / "split.json").write_text(split.to_json())
    return run


def evaluate(run: RunFolder, settings: Settings) -> None:
    marks = frozenset().union(*mark_test_persons(run).values())
    record_evaluation(run.split().test_digest, run.name, settings, persons=marks)


def test_another_split_seed_tells_who_was_judged_and_who_was_trained_on(settings: Settings) -> None:
    first = make_run(settings, "first", "abcd", "ef", "ghij")
    assert trace_persons(first, settings).to_dict() == {"persons": 4, "judged_before": 0, "trained_before": 0}
    evaluate(first, settings)
    moved = make_run(settings, "moved", "cdgh", "ab", "efij")
    assert trace_persons(moved, settings).to_dict() == {"persons": 4, "judged_before": 2, "trained_before": 2}
    assert count_test_evaluations(moved, settings) == 1
    words = describe_history(trace_persons(moved, settings).to_dict())
    assert "Of these 4 test patients 2 had been judged before" in words
    assert "2 had been trained or validated on" in words


def test_an_evaluation_that_an_older_version_recorded_tells_its_persons_by_its_split(settings: Settings) -> None:
    first = make_run(settings, "first", "abcd", "ef", "ghij")
    record_evaluation(first.split().test_digest, "first", settings)
    moved = make_run(settings, "moved", "cdgh", "ab", "efij")
    assert trace_persons(moved, settings).judged_before == 2
    assert count_test_evaluations(moved, settings) == 1


def test_a_cross_validation_has_judged_everybody(settings: Settings) -> None:
    record_evaluation("fold", "fold", settings, cohort_digest="c" * 12, partition="cv")
    assert trace_persons(make_run(settings, "first", "abcd", "ef", "ghij"), settings).judged_before == 4
