import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import EvaluationError, RunError
from core.evaluation.metrics import auroc
from core.experiments.comparison.comparison import MOST_RUNS, compare_runs
from core.models.card import read_card
from core.runs.folder import RunFolder
from core.runs.tags import change_tags
from core.settings import Settings
from tests.experiments.judged_runs import make_judged_run


def test_the_difference_is_that_of_the_two_figures_on_the_same_patients(settings: Settings) -> None:
    better = make_judged_run(settings, "better", patients=range(60), signal=2.5)
    worse = make_judged_run(settings, "worse", patients=range(60), signal=0.5)
    (chosen,) = compare_runs([worse, better], settings).differences
    assert chosen.figure is not None
    assert chosen.analytic is not None
    assert (chosen.figure.low, chosen.analytic.low, chosen.apart) == (None, None, False)
    assert "chose the epoch" in chosen.words
    for run in (better, worse):
        store_test_judgement(run)
    found = compare_runs([worse, better], settings, "test")
    (difference,) = found.differences
    assert (difference.run, difference.reference) == ("better", "worse")
    assert (difference.shared, difference.own, difference.theirs, difference.reason) == (60, 60, 60, "")
    assert difference.figure is not None
    assert difference.analytic is not None
    areas = [run.evaluation.patient["auroc"].value for run in found.runs if run.evaluation]
    assert difference.figure.value == pytest.approx(areas[1] - areas[0])
    assert difference.analytic.value == pytest.approx(areas[1] - areas[0])
    assert difference.figure.n == 60
    assert difference.apart
    assert difference.adjusted is None
    back = compare_runs([worse, better], settings, "test", reference="better").differences[0]
    assert back.figure is not None
    assert back.figure.value == pytest.approx(-difference.figure.value)


def test_only_patients_that_both_judged_are_paired_and_it_is_said(settings: Settings) -> None:
    one = make_judged_run(settings, "one", patients=range(20))
    other = make_judged_run(settings, "other", patients=range(8, 28), signal=2.0)
    (difference,) = compare_runs([one, other], settings).differences
    assert (difference.shared, difference.own, difference.theirs) == (12, 20, 20)
    assert "sets differ: 20 and 20 patients, 12 of them the same" in difference.reason
    assert difference.figure is not None
    assert difference.figure.n == 12
    expected = []
    for run in (other, one):
        frame = run.predictions()
        frame = frame[frame["person"].between("00008", "00019")]
        mean = frame.groupby("person")[["logit_1", "label"]].mean()
        truth = mean["label"].to_numpy() == 1
        expected.append(float(auroc(truth, mean["logit_1"].to_numpy(), np.ones((1, 12)))[0]))
    assert difference.figure.value == pytest.approx(expected[0] - expected[1])


def test_strangers_are_never_paired(settings: Settings) -> None:
    one = make_judged_run(settings, "one", patients=range(10))
    for name, options, reason in (
        ("disjoint", {"patients": range(10, 20)}, "0 of them the same"),
        ("other-cohort", {"patients": range(10), "cohort": "another00000"}, "cohorts are not the same"),
        ("other-meaning", {"patients": range(10), "class_names": ("wildtype", "mutant")}, "'mutant'"),
        ("one-each", {"patients": [0, 1, 30, 31]}, "two of each are needed"),
    ):
        other = make_judged_run(settings, name, **options)  # type: ignore[arg-type]
        found = compare_runs([one, other], settings)
        (difference,) = found.differences
        assert difference.figure is None
        assert difference.analytic is None
        assert not difference.apart
        assert reason in difference.reason
        assert difference.words.startswith("not paired")
        assert all(run.evaluation and run.evaluation.patient["auroc"].value is not None for run in found.runs)


def test_patients_whose_class_differs_between_the_runs_are_not_paired(settings: Settings) -> None:
    one, other = make_judged_run(settings, "one"), make_judged_run(settings, "other")
    frame = other.predictions()
    frame.loc[frame["person"] == "00003", "label"] = 0
    frame.to_parquet(other.path / "predictions.parquet")
    (difference,) = compare_runs([one, other], settings).differences
    assert difference.figure is None
    assert "1 of the 20 patients" in difference.reason


def test_classes_in_another_order_mean_the_same(settings: Settings) -> None:
    one = make_judged_run(settings, "one")
    turned = make_judged_run(settings, "turned", class_names=("methylated", "unmethylated"), positive_class=0)
    (difference,) = compare_runs([one, turned], settings).differences
    assert difference.figure is not None
    assert difference.figure.value == pytest.approx(0)


def test_several_differences_are_adjusted_and_counted(settings: Settings) -> None:
    runs = [make_judged_run(settings, f"run{seed}", seed=seed) for seed in range(4)]
    for run in runs:
        store_test_judgement(run)
    found = compare_runs(runs, settings, "test")
    assert "4 runs are compared, 3 differences" in found.notes[0]
    assert "15%" in found.notes[0]
    for difference in found.differences:
        assert difference.figure is not None
        assert difference.adjusted is not None
        assert difference.adjusted.low < difference.figure.low  # type: ignore[operator]
        assert difference.adjusted.high > difference.figure.high  # type: ignore[operator]


def test_a_leaky_run_is_named_so_wherever_it_is_compared(settings: Settings) -> None:
    honest, leaky = make_judged_run(settings, "honest"), make_judged_run(settings, "leaky", unit="slice", signal=3)
    found = compare_runs([honest, leaky], settings)
    assert [run.leaky for run in found.runs] == [False, True]
    assert "leaky split" in found.runs[1].warnings[0]
    assert found.differences[0].leaky
    assert "leaky" in found.differences[0].words
    assert any(note.startswith("Leaky split: leaky.") for note in found.notes)


def test_only_what_differs_is_listed(settings: Settings) -> None:
    one = make_judged_run(settings, "one")
    other = make_judged_run(settings, "other", seed=3, cohort="another00000", batch_size=7, epochs=3)
    settings_of = {(row.group, row.name): row.values for row in compare_runs([one, other], settings).settings}
    assert settings_of.pop(("configuration", "batch_size"))[1] == 7
    assert settings_of.pop(("configuration", "epochs")) == (30, 3)
    assert settings_of.pop(("data", "cohort_digest")) == ("c0ffee000000", "another00000")
    assert settings_of == {}


def test_a_home_folder_is_not_shown(settings: Settings) -> None:
    one, other = make_judged_run(settings, "one"), make_judged_run(settings, "other")
    content = json.loads((other.path / "data.json").read_text()) | {"root": "/home/anna/rsna"}
    (other.path / "data.json").write_text(json.dumps(content))
    (row,) = compare_runs([one, other], settings).settings
    assert row.values == ("/data/cohort", "~/rsna")


def test_test_patients_are_compared_only_where_everybody_has_looked(settings: Settings) -> None:
    runs = [make_judged_run(settings, name) for name in ("one", "other")]
    with pytest.raises(EvaluationError, match="not been evaluated with one, other"):
        compare_runs(runs, settings, "test")
    assert not (settings.runs / "test_looks.jsonl").exists()
    for run in runs:
        store_test_judgement(run)
    found = compare_runs(runs, settings, "test")
    assert found.differences[0].figure is not None
    assert found.whose == "test patients"
    assert "evaluated 0 times" in found.notes[1]


def store_test_judgement(run: RunFolder) -> None:
    """Leave what ``evaluate`` leaves."""
    from dataclasses import replace

    from core.runs.evaluation import evaluate_validation, store_evaluation, with_figures

    store_evaluation(
        run, with_figures(replace(evaluate_validation(run), part="test", looked_at=1), read_card(run.checkpoint)), ""
    )


def test_a_run_that_has_not_finished_an_epoch_has_a_course_and_no_figures(settings: Settings) -> None:
    one, young = make_judged_run(settings, "one"), make_judged_run(settings, "young")
    young.checkpoint.unlink()
    found = compare_runs([one, young], settings)
    assert found.runs[1].evaluation is None
    assert found.runs[1].roc() is None
    assert found.runs[1].reliability() is None
    assert len(found.runs[1].epochs) == 2
    assert "young has no evaluation" in found.differences[0].reason
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_cannot_be_compared_is_told(settings: Settings, tmp_path: Path) -> None:
    one, other = make_judged_run(settings, "one"), make_judged_run(settings, "other")
    with pytest.raises(EvaluationError, match="takes 2 to"):
        compare_runs([one], settings)
    with pytest.raises(EvaluationError, match="takes 2 to"):
        compare_runs([one] * (MOST_RUNS + 1), settings)
    with pytest.raises(EvaluationError, match="one is named twice"):
        compare_runs([one, other, one], settings)
    with pytest.raises(EvaluationError, match="'third' is none of the runs"):
        compare_runs([one, other], settings, reference="third")
    (other.path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json"):
        compare_runs([one, other], settings)


def test_runs_of_one_name_are_told_apart(settings: Settings, tmp_path: Path) -> None:
    here = make_judged_run(settings, "one")
    there = RunFolder(Path(here.path.rename(tmp_path / "one")))
    again = make_judged_run(settings, "one", seed=2)
    assert [run.label for run in compare_runs([again, there], settings).runs] == [
        "runs/one",
        f"{tmp_path.name}/one",
    ]


def test_the_document_is_strict_json_with_n_and_interval(settings: Settings) -> None:
    runs = [make_judged_run(settings, name, seed=seed) for seed, name in enumerate(("one", "other"))]
    change_tags(runs[0], add=["kept"])
    document = json.loads(json.dumps(compare_runs(runs, settings).to_dict(), allow_nan=False))
    assert document["runs"][0]["tags"] == ["kept"]
    figure = document["differences"][0]["difference"]
    assert (figure["low"], figure["high"], figure["n"]) == (None, None, 20)
    assert "chose the epoch" in figure["reason"]
    assert figure["n"] == 20
    assert document["runs"][1]["patient"]["auroc"]["n"] == 20


def test_reliability_of_validation_patients_is_fitted_on_other_folds(settings: Settings) -> None:
    run = make_judged_run(settings, "one", patients=range(40))
    other = make_judged_run(settings, "other", patients=range(40))
    one = compare_runs([run, other], settings).runs[0]
    bins = one.reliability()
    assert bins is not None
    assert bins.counts.sum() == 40
    curve = one.roc()
    assert curve is not None
    assert one.evaluation is not None
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(one.evaluation.patient["auroc"].value)
