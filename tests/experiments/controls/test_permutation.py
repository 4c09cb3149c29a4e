"""Trained again with shuffled labels: resumable, and with nobody looking at the test patients."""

from __future__ import annotations

import pytest

from core.data.cohort import scan_cohort
from core.errors import ConfigError, EvaluationError
from core.experiments.controls.frozen import frozen_features, permute_frozen
from core.experiments.controls.permutation import PermutationTest, list_permutations, permute_run
from core.jobs.background import read_experiment_status, stop_experiment
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from tests.data.tables import alternating, make_table
from tests.training.tiny import tiny_config

CONFIG = tiny_config("epochs=1", "val_fraction=0.4", "test_fraction=0.2")


def ask(settings: Settings, source: DataSource, reruns: int = 3, **options: object) -> PermutationTest:
    return permute_run(settings, CONFIG, source, name="p", reruns=reruns, **options)  # type: ignore[arg-type]


def test_shuffles_are_trained_and_p_counts_them(settings: Settings, source: DataSource) -> None:
    found = ask(settings, source)
    better = sum(value >= (found.observed.value or 0) for value in found.null)
    assert len(found.null) == 3
    assert found.p_value == (1 + better) / 4
    assert found.observed.n == 4
    assert list_permutations(settings) == [found.to_dict()]
    assert found.sentence.startswith(f"p = {found.p_value:.3f}: AUROC by patient {found.observed.value:.3f}")
    assert read_experiment_status(settings, "p").state == "finished"


def test_labels_differ_between_shuffles_and_the_weights_of_shuffles_are_not_kept(
    settings: Settings, source: DataSource
) -> None:
    ask(settings, source)
    runs = {path.name: RunFolder(path) for path in (settings.experiments / "p" / "runs").iterdir()}
    assert set(runs) == {"observed", "shuffle-0001", "shuffle-0002", "shuffle-0003"}
    assert runs["observed"].source.shuffle_seed is None
    assert [runs[f"shuffle-000{number}"].source.shuffle_seed for number in (1, 2, 3)] == [1, 2, 3]
    assert [name for name, run in runs.items() if run.checkpoint.exists()] == ["observed"]
    digests = {run.split().cohort_digest for run in runs.values()}
    assert len(digests) == 4


def test_the_same_call_trains_nothing_again_and_more_reruns_add(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(settings, source, reruns=2)
    more = ask(settings, source, reruns=3)
    assert more.null[:2] == first.null
    monkeypatch.setattr("core.experiments.controls.permutation.train", lambda *_: pytest.fail("trained again"))
    assert ask(settings, source, reruns=3) == more


def test_what_was_cut_off_goes_on(settings: Settings, source: DataSource) -> None:
    class CutError(Exception):
        pass

    def cut(done: int, total: int, what: str = "") -> None:
        if done == 2:
            raise CutError

    with pytest.raises(CutError):
        ask(settings, source, progress=cut)
    assert list_permutations(settings) == []
    assert len(ask(settings, source).null) == 3


def test_a_stop_ends_it_before_the_next_training_and_the_same_call_goes_on(
    settings: Settings, source: DataSource
) -> None:
    def stop(done: int, total: int, what: str = "") -> None:
        if done == 2:
            stop_experiment(settings, "p")

    with pytest.raises(KeyboardInterrupt):
        ask(settings, source, progress=stop)
    standing = read_experiment_status(settings, "p")
    assert (standing.state, standing.done) == ("stopped", 2)
    assert len(ask(settings, source).null) == 3


def test_another_question_under_the_same_name_is_refused(settings: Settings, source: DataSource) -> None:
    ask(settings, source, reruns=1)
    with pytest.raises(ConfigError, match="another question"):
        permute_run(settings, CONFIG.model_copy(update={"seed": 5}), source, name="p", reruns=1)
    with pytest.raises(ConfigError, match="cannot name"):
        permute_run(settings, CONFIG, source, name="../p", reruns=1)


def test_frozen_features_of_a_network_that_never_saw_a_label(settings: Settings, source: DataSource) -> None:
    from pathlib import Path

    cohort = scan_cohort(Path(source.root), jobs=1)
    found = permute_frozen(cohort, settings, CONFIG, permutations=19, jobs=1)
    assert len(found.head.null) == 19
    assert found.patients == 12
    assert found.backbone == "Tiny, random weights"
    assert found.to_dict()["kind"] == "frozen features"


def test_frozen_features_do_not_depend_on_labels_and_belong_to_their_slices() -> None:
    table = make_table(alternating(6), slices=2, size_px=32)
    rows = table.rows.index.to_numpy()
    features, _ = frozen_features(table, rows, CONFIG)
    assert features.shape == (12, 144)
    backwards, _ = frozen_features(table, rows[::-1].copy(), CONFIG)
    assert abs(backwards[::-1] - features).max() < 1e-4


def test_too_few_patients_and_a_network_without_a_linear_head_are_refused(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace
    from pathlib import Path

    from core.models.registry import ARCHITECTURES

    cohort = scan_cohort(Path(source.root), jobs=1)
    with pytest.raises(EvaluationError, match="Add patients"):
        permute_frozen(replace(cohort, studies=cohort.studies[:4]), settings, CONFIG, jobs=1)
    monkeypatch.setitem(ARCHITECTURES, "tiny", replace(ARCHITECTURES["tiny"], head="0"))
    with pytest.raises(ConfigError, match="cannot be taken off"):
        permute_frozen(cohort, settings, CONFIG, jobs=1)
