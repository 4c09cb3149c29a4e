"""Two runs planned together, trained one by one, compared on the same slices."""

from __future__ import annotations

import json

import pytest

from core.errors import ConfigError, HostedModeError, RunError
from core.experiments.twin.pair import (
    TwinPair,
    find_pair,
    list_pairs,
    plan_pair,
    queue_pair,
    read_result,
)
from core.experiments.twin.result import evaluate_pair, train_pair
from core.runs.folder import delete_run
from core.runs.ledger import count_evaluations
from core.runs.records import DataSource
from core.settings import Settings, load_settings
from tests.training.tiny import tiny_config

CONFIG = tiny_config("slice_count=4", "epochs=1", "test_fraction=0.3", "val_fraction=0.3", preset="paper")


def plan(settings: Settings, source: DataSource, **options: object) -> TwinPair:
    return plan_pair(settings, CONFIG, source, name="pair", **options)  # type: ignore[arg-type]


def test_a_pair_is_trained_compared_and_told_in_one_sentence(settings: Settings, source: DataSource) -> None:
    pair = plan(settings, source)
    assert read_result(pair) is None
    assert train_pair(pair, settings)
    found = evaluate_pair(pair, settings).to_dict()
    assert read_result(pair) == json.loads(json.dumps(found))
    for arm in ("slice_split", "patient_split"):
        for level in ("slice", "patient"):
            assert {"value", "low", "high", "n"} <= set(found[arm][level]["accuracy"])
            assert found[arm][level]["auroc"]["n"] == (
                found["judged_slices"] if level == "slice" else found["judged_patients"]
            )
    difference = (
        found["slice_split"]["slice"]["accuracy"]["value"] - found["patient_split"]["slice"]["accuracy"]["value"]
    )
    assert found["difference"]["slice"]["accuracy"]["value"] == pytest.approx(difference)
    assert f"{found['judged_slices']} test slices of {found['judged_patients']} patients" in found["sentence"]
    assert found["synthetic"] is True
    assert found["labels"] == "true"


def test_both_arms_train_on_equally_many_and_judge_the_same(settings: Settings, source: DataSource) -> None:
    pair = plan(settings, source)
    train_pair(pair, settings)
    sizes = [run.environment()["sizes"] for run in pair.runs.values()]
    assert sizes[0]["train"]["per_class"] == sizes[1]["train"]["per_class"]
    assert sum(sizes[0]["train"]["per_class"]) == pair.trained_on
    assert sizes[0]["val"]["slices"] == sizes[1]["val"]["slices"]
    frames = [run.predictions() for run in pair.runs.values()]
    assert set(frames[0]["key"]) == set(frames[1]["key"])


def test_a_plan_evaluates_nobody_and_each_evaluation_is_counted(settings: Settings, source: DataSource) -> None:
    pair = plan(settings, source)
    digest = pair.runs["patient_split"].split().test_digest
    train_pair(pair, settings)
    assert count_evaluations(digest, settings) == 0
    evaluate_pair(pair, settings)
    assert count_evaluations(digest, settings) == 1
    read_result(pair)
    assert count_evaluations(digest, settings) == 1


def test_shuffled_labels_are_shuffled_in_both_arms_and_said(settings: Settings, source: DataSource) -> None:
    shuffled = source.model_copy(update={"shuffle_seed": 4})
    pair = plan(settings, shuffled)
    train_pair(pair, settings)
    result = evaluate_pair(pair, settings)
    assert "shuffled among the patients" in result.sentence
    assert result.to_dict()["shuffle_seed"] == 4
    true = plan_pair(settings, CONFIG, source, name="true")
    train_pair(true, settings)
    ours, theirs = (
        one.runs["patient_split"].predictions().drop_duplicates("person").set_index("person")["label"].to_dict()
        for one in (pair, true)
    )
    assert any(ours.get(person) not in (None, label) for person, label in theirs.items()) or set(ours) != set(theirs)


def test_the_same_plan_again_is_the_pair_that_is_there_and_another_is_refused(
    settings: Settings, source: DataSource
) -> None:
    pair = plan(settings, source)
    assert plan(settings, source) == pair
    assert [one.name for one in list_pairs(settings)] == ["pair"]
    with pytest.raises(ConfigError, match="another question"):
        plan(settings, source, judged_share=0.5)
    with pytest.raises(RunError, match="another configuration"):
        plan(settings, source.model_copy(update={"shuffle_seed": 1}))


def test_a_pair_that_was_cut_off_is_resumed(settings: Settings, source: DataSource) -> None:
    pair = plan(settings, source)
    pair.runs["patient_split"].ask_to_stop()
    assert not train_pair(pair, settings)
    assert not pair.finished
    with pytest.raises(RunError, match="not trained yet"):
        evaluate_pair(pair, settings)
    assert train_pair(find_pair("pair", settings), settings)
    assert pair.finished


def test_queued_runs_wait_and_a_second_click_changes_nothing(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.experiments.twin.pair.ensure_worker", lambda settings: None)
    pair = plan(settings, source)
    queue_pair(pair, settings)
    before = [run.status() for run in pair.runs.values()]
    assert [status.state for status in before] == ["queued", "queued"]
    assert before[0].queued < before[1].queued
    queue_pair(pair, settings)
    assert [run.status() for run in pair.runs.values()] == before


def test_a_pair_planned_anew_in_the_place_of_a_deleted_one_has_no_result(
    settings: Settings, source: DataSource
) -> None:
    pair = plan(settings, source)
    pair.experiment.write_result({"sentence": "of the deleted runs"})
    for run in pair.runs.values():
        delete_run(run)
    assert read_result(plan(settings, source)) is None


def test_the_result_of_an_older_version_is_read(settings: Settings, source: DataSource) -> None:
    pair = plan(settings, source)
    (pair.runs["slice_split"].path / "twin-result.json").write_text('{"sentence": "of before"}')
    (pair.experiment.folder / "question.json").unlink()
    assert read_result(find_pair("pair", settings)) == {"sentence": "of before"}
    assert plan(settings, source).runs == pair.runs


def test_half_a_pair_is_none(settings: Settings, source: DataSource) -> None:
    delete_run(plan(settings, source).runs["patient_split"])
    assert list_pairs(settings) == []
    with pytest.raises(RunError, match="deleted"):
        find_pair("pair", settings)


def test_a_stopped_pair_is_resumed_only_within_the_visitors_places(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.experiments.twin.pair.ensure_worker", lambda settings: None)
    hosted = load_settings({"MGMT_LAB_HOME": str(settings.home), "MGMT_LAB_MODE": "hosted"})
    one, other = (plan_pair(settings, CONFIG, source, name=name, owner="me") for name in ("one", "other"))
    queue_pair(one, hosted)
    with pytest.raises(HostedModeError, match="of your runs wait or train"):
        queue_pair(other, hosted)
    assert [run.status().state for run in other.runs.values()] == ["stopped", "stopped"]


def test_a_visitor_sees_his_own_and_trains_no_longer_than_the_demo_grants(
    settings: Settings, source: DataSource
) -> None:
    plan(settings, source, owner="me")
    assert len(list_pairs(settings, "me")) == 1
    assert list_pairs(settings, "you") == []
    hosted = load_settings({"MGMT_LAB_HOME": str(settings.home), "MGMT_LAB_MODE": "hosted"})
    with pytest.raises(HostedModeError):
        plan_pair(hosted, CONFIG.model_copy(update={"epochs": 30}), source)
