"""Leaving cohorts and sites out: who trains whom, nobody on both sides, and one training path that is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.join import PART_OF
from core.data.study import Cohort, Study
from core.errors import ConfigError, SplitError
from core.experiments.external.groups import group_persons
from core.experiments.external.parameters import ask_leave_out, count_trainings
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, RunOptions
from core.progress import Progress
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from core.settings import Settings
from tests.experiments.external.cohorts import SHARED, STUDIES
from tests.training.tiny import tiny_config

CONFIG = tiny_config(
    "epochs=1", "batch_size=8", "slice_count=1", "sequences=FLAIR", "val_fraction=0.25", "test_fraction=0.25"
)


def sources(roots: list[Path]) -> list[DataSource]:
    return [DataSource(root=str(root)) for root in roots]


def test_each_cohort_is_judged_by_a_network_that_never_saw_it(settings: Settings, roots: list[Path]) -> None:
    question = ask_leave_out(CONFIG, sources(roots), matrix=True)
    assert count_trainings(question) == 6
    experiment = Experiment.ask(settings, "left", question)
    result = run_experiment(experiment, settings, RunOptions())
    assert [(one["name"], one["n"], one["overlap"]["count"]) for one in result["cohorts"]] == [
        ("east", STUDIES, SHARED),
        ("north", STUDIES, 0),
        ("south", STUDIES, 0),
    ]
    assert {person["in"] for person in result["cohorts"][0]["overlap"]["persons"]} == {"north"}
    for run in experiment.members():
        split, cohort = run.split(), open_cohort(run.source, settings=settings)
        part_of = {study.person: study.covariates[PART_OF] for study in cohort}
        trained, tested = ({part_of[person] for person in part} for part in (split.train + split.val, split.test))
        name = run.name.partition("-")[2].partition("-")[2]
        assert tested == {name}
        assert trained == ({"north", "south", "east"} - {name} if run.name.startswith("without") else {name})
        left_out = [study for study in cohort.excluded if "left out of this run" in study.excluded]
        assert len(left_out) == SHARED
    kinds = {(cell["trained_on"], cell["tested_on"]): cell["kind"] for cell in result["matrix"]}
    assert len(kinds) == 3 + 9
    assert kinds["all others", "east"] == "left out"
    assert kinds["north", "north"] == "own test patients"
    assert kinds["north", "south"] == "other"
    assert result["prediction_interval"]["unstable"]
    assert "Unstable: it rests on fewer than five" in result["sentence"]


def test_a_killed_one_is_resumed_where_it_was(settings: Settings, roots: list[Path]) -> None:
    experiment = Experiment.ask(settings, "left", ask_leave_out(CONFIG, sources(roots[:2])))

    class KilledError(Exception):
        """Stands for the end of the process."""

    def kill_after_the_first(title: str) -> Progress:
        def report(done: int, total: int, what: str = "") -> None:
            if title == "epochs" and done == 1:
                raise KilledError

        return report

    with pytest.raises(KilledError):
        run_experiment(experiment, settings, RunOptions(), Display(progress=kill_after_the_first))
    (first,) = experiment.members()
    before = (first.path / "epochs.jsonl").read_bytes()
    result = run_experiment(experiment, settings, RunOptions())
    assert (first.path / "epochs.jsonl").read_bytes() == before
    assert [one["run"] for one in result["cohorts"]] == ["without-01-north", "without-02-south"]
    again = run_experiment(experiment, settings, RunOptions())
    assert again == result, "nothing is evaluated twice"


def test_what_cannot_be_left_out_is_refused(settings: Settings, roots: list[Path]) -> None:
    with pytest.raises(ConfigError, match="2 to 50 cohorts"):
        ask_leave_out(CONFIG, sources(roots[:1]))
    with pytest.raises(ConfigError, match="within one cohort"):
        ask_leave_out(CONFIG, sources(roots[:2]), by="site")
    experiment = Experiment.ask(settings, "sites", ask_leave_out(CONFIG, sources(roots[:1]), by="site"))
    with pytest.raises(SplitError, match=f"not stated {STUDIES}"):
        run_experiment(experiment, settings, RunOptions())


def at_sites(places: dict[str, list[tuple[str, int]]]) -> Cohort:
    studies = [
        Study(study_id=f"{person}-{site}-{number}", person=person, label=label, series=(), covariates={"site": site})
        for site, persons in places.items()
        for number, (person, label) in enumerate(persons)
    ]
    return Cohort(root=Path("/data"), layout="rsna", studies=tuple(studies))


def test_a_person_of_two_sites_is_on_one_side_and_small_sites_only_train() -> None:
    full = [(f"p{number}", number % 2) for number in range(6)]
    other = [(f"q{number}", number % 2) for number in range(6)]
    both = at_sites({"A": [*full, ("x", 0)], "B": [*other, ("x", 0), ("x", 0)], "C": [("r1", 0), ("r2", 1), ("r3", 1)]})
    groups = group_persons(both, "site")
    assert set(groups.judged) == {"A", "B"}
    assert "x" in groups.judged["B"]
    assert "x" not in groups.judged["A"]
    assert groups.moved == ("x",)
    assert groups.only_train == {"C": ("r1", "r2", "r3")}
    everybody = [person for group in (*groups.judged.values(), *groups.only_train.values()) for person in group]
    assert len(everybody) == len(set(everybody)) == 16
