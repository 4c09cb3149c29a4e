"""Trained again with shuffled labels: resumable, and with nobody looking at the test patients."""

from __future__ import annotations

from typing import Any

import pytest

from core.config import RunConfig
from core.data.cohort import scan_cohort
from core.errors import ConfigError, EvaluationError
from core.experiments.controls.frozen import frozen_features, permute_frozen
from core.experiments.controls.permutation import KIND, PermutationParameters
from core.experiments.evidence import list_answers
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, RunOptions, make_question
from core.progress import Progress
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from tests.data.tables import alternating, make_table
from tests.training.tiny import tiny_config

CONFIG = tiny_config("epochs=1", "val_fraction=0.4", "test_fraction=0.2")


def ask(
    settings: Settings, source: DataSource, reruns: int = 3, config: RunConfig = CONFIG, name: str = "p", **told: Any
) -> dict[str, Any]:
    experiment = Experiment.ask(settings, name, make_question(KIND, PermutationParameters(), config, source))
    return run_experiment(experiment, settings, RunOptions(count=reruns), Display(**told))


def telling(report: Progress) -> dict[str, Any]:
    return {"progress": lambda title: report}


def test_shuffles_are_trained_and_p_counts_them(settings: Settings, source: DataSource) -> None:
    found = ask(settings, source)
    observed = found["observed"]
    better = sum(value >= observed["value"] for value in found["null"])
    assert len(found["null"]) == found["permutations"] == 3
    assert found["p"] == (1 + better) / 4
    assert observed["n"] == 4
    assert [answer.result for answer in list_answers(settings, KIND)] == [found]
    assert found["sentence"].startswith(f"p = {found['p']:.3f}: AUROC by patient {observed['value']:.3f}")
    assert found["within"] == "among all patients (sites: not known)"
    assert Experiment(settings.experiments / "p").status().state == "finished"


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
    assert more["null"][:2] == first["null"]
    monkeypatch.setattr("core.training.trainer.train", lambda *_: pytest.fail("trained again"))
    assert ask(settings, source, reruns=3) == more


def test_what_was_cut_off_is_resumed(settings: Settings, source: DataSource) -> None:
    class CutError(Exception):
        pass

    def cut(done: int, total: int, what: str = "") -> None:
        if done == 2:
            raise CutError

    with pytest.raises(CutError):
        ask(settings, source, **telling(cut))
    assert list_answers(settings, KIND) == []
    assert len(ask(settings, source)["null"]) == 3


def test_a_stop_ends_it_before_the_next_training_and_the_same_call_resumes_it(
    settings: Settings, source: DataSource
) -> None:
    def stop(done: int, total: int, what: str = "") -> None:
        if done == 2:
            Experiment(settings.experiments / "p").stop()

    with pytest.raises(KeyboardInterrupt):
        ask(settings, source, **telling(stop))
    status = Experiment(settings.experiments / "p").status()
    assert (status.state, status.done) == ("stopped", 2)
    assert len(ask(settings, source)["null"]) == 3


def test_another_question_under_the_same_name_is_refused(settings: Settings, source: DataSource) -> None:
    ask(settings, source, reruns=1)
    with pytest.raises(ConfigError, match="another question"):
        ask(settings, source, config=CONFIG.model_copy(update={"seed": 5}))
    with pytest.raises(ConfigError, match="cannot name"):
        ask(settings, source, name="../p")


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
