"""What stands beside the paper's claims is read off the run's own epochs."""

from __future__ import annotations

import pytest

from core.evaluation.selection import WITHHELD
from core.experiments.paper_claims import CLAIMS, UNRECONCILED, compare_claims
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.trainer import run_training
from tests.training.tiny import tiny_config

PAPER = {0.6049, 0.93, 3.0781, 0.5954, 2.2196, 1.7253, 0.9087}


def test_the_claims_are_the_papers_figures() -> None:
    assert {claim.paper for claim in CLAIMS} == PAPER


def test_each_claim_finds_its_place_in_a_run(settings: Settings, source: DataSource) -> None:
    run = run_training(settings, tiny_config("epochs=3", preset="paper"), source)
    records = run.epochs()
    rows = {row.claim.name: row for row in compare_claims(run)}
    assert rows["Training accuracy, first epoch"].figure.value == records[0].train_accuracy
    assert rows["Training loss, last epoch"].figure.value == records[-1].train_loss
    assert rows["Validation loss, last epoch"].epoch == 3
    sizes = run.environment()["sizes"]
    assert rows["Training loss, last epoch"].figure.n == sizes["train"]["slices"]
    peak = rows["Validation accuracy, peak"]
    assert peak.figure.value == pytest.approx(max(record.val_accuracy for record in records))
    assert peak.figure.n == sizes["val"]["slices"]
    chosen = max(record.epoch for record in records if record.best)
    for row in rows.values():
        assert row.patients == sizes[row.claim.field.partition("_")[0]]["patients"]
        if row.epoch == chosen and row.claim.field.startswith("val_"):
            assert row.figure.reason == WITHHELD
            continue
        assert row.figure.low is not None, row.claim.name
        assert row.figure.high is not None
        assert row.figure.low <= (row.figure.value or 0) <= row.figure.high


def test_a_run_without_a_finished_epoch_has_nothing_beside_the_claims(settings: Settings, source: DataSource) -> None:
    assert compare_claims(RunFolder.create(settings, tiny_config(), source, "new")) == []


def test_a_run_of_an_older_version_has_no_interval(settings: Settings, source: DataSource) -> None:
    run = run_training(settings, tiny_config("epochs=1", preset="paper"), source)
    ends = {
        f"{part}_{field}_{end}": None
        for part in ("train", "val")
        for field in ("loss", "accuracy")
        for end in ("low", "high")
    }
    run.replace_epochs([record.model_copy(update=ends) for record in run.epochs()])
    peak = compare_claims(run)[-1].figure
    assert (peak.low, peak.high) == (None, None)
    assert peak.reason


def test_the_arithmetic_that_is_printed_is_right() -> None:
    texts = dict(UNRECONCILED)
    validation, training = texts["Last validation loss 1.73"], texts["Last training loss 0.595 at 93% accuracy"]
    assert f"= {1.7253 / (1 - 0.9087):.1f}" in validation
    assert f"{1.7253 / (1 - 0.6):.1f}" in validation
    assert f"= {0.5954 / (1 - 0.93):.1f}" in training
