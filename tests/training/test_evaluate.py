import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.data.cohort import scan_cohort
from core.data.study import Cohort, Study
from core.errors import DataError, EvaluationError, OverlapError, RunError, SequenceError
from core.experiments.external.overlap import SeenPersons, Ties
from core.inference.guard_fit import fit_limits
from core.models.card import read_card, replace_card
from core.models.checkpoint import load_model, save_checkpoint
from core.models.registry import ARCHITECTURES
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.runs.evaluation import correct_figures, count_test_evaluations, describe_overlap, read_evaluation
from core.runs.folder import RunFolder
from core.runs.ledger import record_evaluation
from core.runs.persons import read_persons
from core.runs.records import DataSource
from core.settings import Settings, load_settings
from core.training.evaluate import evaluate_cohort, evaluate_run
from core.training.trainer import run_training
from tests.inference.test_guard import patients
from tests.phantoms import copy_phantom
from tests.training.tiny import TINY_NETWORK, tiny_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, source: DataSource) -> RunFolder:
    """A finished run of one epoch; copied for each test."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "tiny", TINY_NETWORK)
        settings = load_settings({"MGMT_LAB_HOME": str(home), "MGMT_LAB_THREADS": "1"})
        return run_training(settings, tiny_config("epochs=1"), source)


@pytest.fixture
def run(trained: RunFolder, settings: Settings) -> RunFolder:
    shutil.copytree(trained.path, settings.runs / trained.name)
    return RunFolder(settings.runs / trained.name)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    root = tmp_path_factory.mktemp("other") / "phantom"
    copy_phantom(root, PhantomConfig(studies=4, slices=8, size=48, seed=9))
    return scan_cohort(root)


def test_test_patients_are_evaluated_counted_and_stored(run: RunFolder, settings: Settings) -> None:
    assert count_test_evaluations(run, settings) == 0
    assert read_evaluation(run) is None
    evaluation = evaluate_run(run, "test", settings)
    assert (evaluation.part, evaluation.looked_at, count_test_evaluations(run, settings)) == ("test", 1, 1)
    assert evaluation.patient_ids.tolist() == sorted(run.split().test)
    assert evaluation.patient["auroc"].n == 2
    assert evaluation.slice["accuracy"].n == len(evaluation.slice_labels) == 8
    odds = evaluation.patient_probabilities[:, 1]
    assert evaluation.patient["auroc"].value == roc_auc_score(evaluation.patient_labels, odds)
    content = evaluation.to_dict()
    assert {"part", "looked_at", "data", "patient", "slice", "majority", "threshold", "temperature"} <= set(content)
    assert content["majority"]["patient"] == 0.5

    again = read_evaluation(run)
    assert again is not None
    assert again.to_dict() == content
    np.testing.assert_array_equal(again.slice_probabilities, evaluation.slice_probabilities)
    assert count_test_evaluations(run, settings) == 1
    assert evaluate_run(run, "test", settings).looked_at == 2


def test_validation_is_not_counted_and_gives_what_training_saw(run: RunFolder, settings: Settings) -> None:
    evaluation = evaluate_run(run, "val", settings)
    assert (evaluation.looked_at, count_test_evaluations(run, settings)) == (0, 0)
    np.testing.assert_allclose(evaluation.slice_logits, run.predictions()[["logit_0", "logit_1"]], rtol=1e-4, atol=1e-5)
    card = read_card(run.checkpoint)
    for level in ("patient", "slice"):
        for name, figure in evaluation.to_dict()[level].items():
            assert card.metrics["val"][level][name]["value"] == pytest.approx(figure["value"], abs=1e-5), name


def test_another_cohort_is_evaluated_whole_and_counted_by_itself(
    run: RunFolder, settings: Settings, other: Cohort
) -> None:
    evaluation = evaluate_run(run, "test", settings, other)
    assert (evaluation.part, evaluation.looked_at, evaluation.data) == ("data", 1, str(other.root))
    assert evaluation.patient["auroc"].n == 4
    assert count_test_evaluations(run, settings) == 0
    stored = read_evaluation(run, "data", other.digest)
    assert stored is not None
    assert stored.to_dict() == evaluation.to_dict()
    assert evaluate_run(run, "test", settings, other).looked_at == 2


def test_the_cohort_of_the_run_is_no_other_cohort(run: RunFolder, settings: Settings, source: DataSource) -> None:
    with pytest.raises(EvaluationError, match="--part test"):
        evaluate_run(run, "test", settings, scan_cohort(Path(source.root)))


def with_classes(cohort: Cohort, names: tuple[str, ...], positive: int, flip: bool) -> Cohort:
    studies = tuple(
        replace(study, label=1 - study.label if flip and study.label is not None else study.label) for study in cohort
    )
    return Cohort(root=cohort.root, layout="rsna", studies=studies, class_names=names, positive_class=positive)


def test_classes_in_another_order_mean_the_same(run: RunFolder, settings: Settings, other: Cohort) -> None:
    straight = evaluate_run(run, "test", settings, other)
    turned = evaluate_run(run, "test", settings, with_classes(other, ("methylated", "unmethylated"), 0, flip=True))
    assert turned.patient_labels.tolist() == straight.patient_labels.tolist()
    assert turned.patient["auroc"] == straight.patient["auroc"]


@pytest.mark.parametrize(
    ("names", "positive"), [(("no", "yes"), 1), (("unmethylated", "methylated"), 0)]
)  # fmt: skip
def test_classes_that_mean_something_else_are_refused(
    run: RunFolder, settings: Settings, other: Cohort, names: tuple[str, str], positive: int
) -> None:
    with pytest.raises(EvaluationError, match="name the classes alike"):
        evaluate_run(run, "test", settings, with_classes(other, names, positive, flip=False))
    assert not (settings.runs / "test_looks.jsonl").exists()


def test_sequences_never_seen_are_left_out_or_refused(run: RunFolder, settings: Settings, other: Cohort) -> None:
    model, card = load_model(run.checkpoint)
    for seen, expected in (((MRSequence.T1W,), "FLAIR"), ((MRSequence.T2W,), None)):
        save_checkpoint(run.checkpoint, model.state_dict(), card.model_copy(update={"sequences": seen}))
        if expected is None:
            with pytest.raises(SequenceError, match=r"was trained on T2w; .* holds only FLAIR, T1w"):
                evaluate_run(run, "test", settings, other)
        else:
            evaluation = evaluate_run(run, "test", settings, other)
            assert set(evaluation.frame["sequence"]) == {"T1w"}
            assert "FLAIR" in evaluation.notes[0]


def test_unlabelled_data_cannot_be_evaluated(run: RunFolder, settings: Settings, other: Cohort) -> None:
    bare = replace(other, studies=tuple(replace(study, label=None) for study in other))
    with pytest.raises(EvaluationError, match="no labels"):
        evaluate_run(run, "test", settings, bare)


def test_a_run_without_a_checkpoint_or_with_a_damaged_result(run: RunFolder, settings: Settings) -> None:
    evaluate_run(run, "val", settings)
    (run.path / "evaluation-val.json").write_text("{}")
    with pytest.raises(EvaluationError, match="damaged"):
        read_evaluation(run, "val")
    run.checkpoint.unlink()
    with pytest.raises(RunError, match="no checkpoint yet"):
        evaluate_run(run, "test", settings)


def copy_less_one(run: RunFolder, folder: Path) -> Cohort:
    """A copy of the run's cohort without one study, so that the cohort's digest is another."""
    shutil.copytree(run.source.root, folder)
    shutil.rmtree(sorted((folder / "train").iterdir())[0])
    return scan_cohort(folder)


def test_a_copy_of_its_own_cohort_less_one_study_is_refused(run: RunFolder, settings: Settings, tmp_path: Path) -> None:
    copy = copy_less_one(run, tmp_path / "copy")
    with pytest.raises(OverlapError, match="All 11 persons"):
        evaluate_run(run, "test", settings, copy)
    assert not (settings.runs / "test_looks.jsonl").exists()


def renamed(cohort: Cohort, count: int) -> tuple[Study, ...]:
    """Studies of a cohort under other ids and without UIDs, as a file that was converted has none."""
    return tuple(
        replace(
            study, study_id=f"X{number}", person=f"X{number}",
            series=tuple(replace(one, study_id=f"X{number}", series_uid=f"X{number}.{one.sequence}") for one in study.series),
        )
        for number, study in enumerate(cohort.studies[:count])
    )  # fmt: skip


def test_own_patients_in_another_cohort_are_dropped_and_listed(
    run: RunFolder, settings: Settings, other: Cohort, source: DataSource
) -> None:
    own = scan_cohort(Path(source.root))
    mixed = replace(other, studies=(*other.studies, *renamed(own, 3)))
    evaluation = evaluate_run(run, "test", settings, mixed)
    assert evaluation.overlap is not None
    assert evaluation.overlap["count"] == 3
    assert [one["person"] for one in evaluation.overlap["persons"]] == ["X0", "X1", "X2"]
    assert [one["same_as"] for one in evaluation.overlap["persons"]] == [study.person for study in own.studies[:3]]
    assert all("equal pixels" in one["reasons"] for one in evaluation.overlap["persons"])
    assert evaluation.patient["auroc"].n == 4
    assert read_evaluation(run, "data", mixed.digest) is not None


def test_a_person_who_is_in_another_cohort_twice_counts_once(run: RunFolder, settings: Settings, other: Cohort) -> None:
    twice = replace(other, studies=(*other.studies, *renamed(other, 2)))
    evaluation = evaluate_run(run, "test", settings, twice)
    assert evaluation.patient["auroc"].n == 4
    assert evaluation.overlap is not None
    first = [study.person for study in other.studies[:2]]
    assert [(one["person"], one["same_as"]) for one in evaluation.overlap["copies"]] == list(
        zip(("X0", "X1"), first, strict=True)
    )
    said = f"Counted once: 2 of its persons are copies of another (X0 of {first[0]}, X1 of {first[1]})."
    assert said in describe_overlap(evaluation.overlap)
    left, overlap = SeenPersons(Ties(), settings).drop_from(twice, "other")
    assert ([study.person for study in left], len(overlap["copies"])) == ([study.person for study in other], 2)


def test_a_copy_of_another_cohort_was_looked_at_before(run: RunFolder, settings: Settings, other: Cohort) -> None:
    assert evaluate_run(run, "test", settings, other).looked_at == 1
    copy = replace(other, studies=renamed(other, 4))
    assert evaluate_run(run, "test", settings, copy).looked_at == 2
    assert count_test_evaluations(run, settings) == 0


def test_strangers_are_not_dropped(run: RunFolder, settings: Settings, other: Cohort) -> None:
    overlap = evaluate_run(run, "test", settings, other).overlap
    assert overlap is not None
    assert (overlap["count"], overlap["compared"]) == (0, {"persons": 4, "with": 12})
    assert len(overlap["unchecked"]) == 2  # slices of 16 mm show no brain that could be told from others
    assert all("thin enough slices" in text for text in overlap["unchecked"])


def test_an_old_run_is_checked_by_its_data_and_says_so_where_they_are_gone(
    run: RunFolder, settings: Settings, other: Cohort, tmp_path: Path
) -> None:
    (run.path / "persons.json").unlink()
    with pytest.raises(OverlapError, match="All 11 persons"):
        evaluate_run(run, "test", settings, copy_less_one(run, tmp_path / "copy"))
    (run.path / "persons.json").unlink()
    moved = run.source.model_copy(update={"root": str(tmp_path / "gone")})
    (run.path / "data.json").write_text(moved.model_dump_json())
    overlap = evaluate_run(run, "test", settings, other).overlap
    assert overlap is not None
    assert "could not be checked" in overlap["unchecked"][0]


def test_a_run_keeps_digests_of_its_patients_and_no_id(run: RunFolder) -> None:
    text = (run.path / "persons.json").read_text()
    marks = read_persons(run)
    assert marks is not None
    assert sorted(one.person for one in marks.persons) == sorted(run.split().train + run.split().val + run.split().test)
    assert all(one.person not in text and one.pixels and one.uids for one in marks.persons)
    assert {one.part for one in marks.persons} == {"train", "val", "test"}


def test_marks_burnt_into_the_pixels_are_seen_though_ids_and_numbers_are_the_same(
    run: RunFolder, settings: Settings, tmp_path: Path
) -> None:
    marked = tmp_path / "marked"
    shutil.copytree(run.source.root, marked)
    (run.path / "data.json").write_text(run.source.model_copy(update={"root": str(marked)}).model_dump_json())
    evaluate_run(run, "test", settings)  # a copy is the same cohort
    before = scan_cohort(marked).digest
    for path in sorted(marked.rglob("*.dcm")):
        content = bytearray(path.read_bytes())
        content[-40:] = b"\xff" * 40
        path.write_bytes(content)
    assert scan_cohort(marked).digest == before
    with pytest.raises(DataError, match="no longer hold what"):
        evaluate_run(run, "test", settings)


def test_the_interval_of_a_later_look_is_wider_and_the_same_model_looks_once(
    run: RunFolder, settings: Settings
) -> None:
    for number in range(2):
        record_evaluation(run.split().test_digest, f"another {number}", settings, model=str(number))
    evaluation = evaluate_run(run, "test", settings)
    assert (evaluation.look, evaluate_run(run, "test", settings).look) == (3, 3)
    plain, corrected = evaluation.patient["accuracy"], evaluation.corrected["accuracy"]
    assert corrected.value == plain.value
    assert corrected.low <= plain.low
    assert corrected.high > plain.high
    assert corrected.method.endswith("corrected for look 3")
    assert evaluation.judged is evaluation.corrected
    too_late = correct_figures(evaluation, 40).corrected["accuracy"]
    assert (too_late.low, too_late.reason) == (None, "evaluated too often: at look 40 no interval holds")
    assert evaluation.to_dict()["history"] == {"persons": 2, "judged_before": 2, "trained_before": 0}


def test_test_patients_that_were_struck_from_the_split_are_missed(run: RunFolder, settings: Settings) -> None:
    split = run.split()
    (run.path / "split.json").write_text(replace(split, test=split.test[:-1]).to_json())
    with pytest.raises(EvaluationError, match=r"was changed after it was trained.*Restore split\.json"):
        evaluate_run(run, "test", settings)
    assert not (settings.runs / "test_looks.jsonl").exists()


def test_the_guard_is_counted_as_a_prediction_asks_it(
    run: RunFolder, other: Cohort, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With limits so wide that the distance refuses nobody."""
    guard = fit_limits(patients(60, 1, ("FLAIR", "T1w")), patients(20, 2, ("FLAIR", "T1w")), 0.05)
    replace_card(run.checkpoint, lambda card: card.model_copy(update={"guard": guard | {"limits": (1e9,)}}))
    card = read_card(run.checkpoint)

    def count(cohort: Cohort = other, **changes: object) -> int:
        replace_card(run.checkpoint, lambda _: card.model_copy(update=changes))
        found = evaluate_cohort(run.checkpoint, cohort, settings)
        assert found.guard is not None
        assert found.guard["n"] == len(other)
        assert f"abstained from {found.guard['abstained']} of {len(other)} studies" in found.notes[-1]
        return found.guard["abstained"]

    assert count() == 0
    real = replace(other, synthetic=False)
    assert count(real) == len(other), "a checkpoint of synthetic brains answers for none that is not known to be one"
    assert count(real, synthetic=False) == 0
    assert count(intensity={name: [0.0] * 15 + [1.0] for name in ("FLAIR", "T1w")}) == len(other), "grey values"
    assert count(processing="raw 1: n4, brain") == len(other), "processing"
    monkeypatch.setattr("core.inference.ood.FIELD_MM", (1000.0, 4000.0))
    assert count() == len(other), "field of view"
