"""Every combination of choices is trained on the same patients and judged on the same others, and all are kept."""

from __future__ import annotations

import pytest

from core.errors import ConfigError
from core.evaluation.specification import SpecificationCurve
from core.experiments.controls.specification import KIND, SpecificationParameters, list_cells
from core.experiments.run import run_experiment
from core.jobs.experiment import RunOptions
from core.runs.records import DataSource
from core.settings import Settings
from tests.experiments.controls.test_optimism import CONFIG, ask, run, source, tiny_network

__all__ = ["source", "tiny_network"]


def test_every_combination_is_a_configuration_of_its_own() -> None:
    cells = list_cells(CONFIG, SpecificationParameters(vary={"seed": ["0", "1"], "slice_count": ["1", "2", "3"]}))
    assert len(cells) == 6
    assert cells[4][0] == {"seed": "1", "slice_count": "2"}
    assert (cells[4][1].seed, cells[4][1].prep.slice_count) == (1, 2)
    usual = list_cells(CONFIG, SpecificationParameters(vary={"sequences": ["T1wCE", "FLAIR,T1w"]}))
    assert [len(config.prep.sequences) for _, config in usual] == [1, 2]


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({}, "varies something"),
        ({"seed": []}, "at least one value"),
        ({"seed": ["0", "0"]}, "same configuration"),
        ({"split_seed": ["0", "1"]}, "no choice to vary"),
        ({"sede": ["0"]}, "Did you mean seed"),
        ({"seed": [str(n) for n in range(401)]}, "401 combinations"),
    ],
)
def test_what_cannot_be_varied_is_refused(vary: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list_cells(CONFIG, SpecificationParameters(vary=vary))


def test_all_cells_are_judged_on_the_same_patients_and_kept(settings: Settings, source: DataSource) -> None:
    parameters = SpecificationParameters(vary={"seed": ["0", "1"], "sequences": ["FLAIR", "FLAIR,T1w"]})
    experiment = ask(settings, source, KIND, parameters)
    result = run(experiment, settings)
    splits = [member.split() for member in experiment.members()]
    assert len(set(splits)) == 1
    assert len(splits) == 4
    assert len(result["cells"]) == 4
    values = [cell["figure"]["value"] for cell in result["cells"]]
    assert values == sorted(values)
    assert all(cell["figure"]["n"] == len(splits[0].test) for cell in result["cells"])
    curve = SpecificationCurve.from_dict(result)
    assert curve.sentence() == result["sentence"]


def test_a_combination_that_cannot_be_trained_is_counted_with_its_reason(
    settings: Settings, source: DataSource
) -> None:
    # The tiny network takes no volumes.
    parameters = SpecificationParameters(vary={"form": ["slice", "volume"]})
    result = run(ask(settings, source, KIND, parameters), settings)
    assert result["failed"] == 1
    assert result["reasons"][0].startswith("cell-001: ")
    assert len(result["cells"]) == 1


def test_all_combinations_are_trained_again_with_shuffled_labels_for_the_joint_test(
    settings: Settings, source: DataSource
) -> None:
    experiment = ask(settings, source, KIND, SpecificationParameters(vary={"seed": ["0", "1"]}))
    result = run_experiment(experiment, settings, RunOptions(count=1))
    names = [member.name for member in experiment.members()]
    assert names == ["cell-000", "cell-001", "shuffle-0001-cell-000", "shuffle-0001-cell-001"]
    shuffled = [member for member in experiment.members() if member.name.startswith("shuffle")]
    assert {member.source.shuffle_seed for member in shuffled} == {1}
    assert not any(member.checkpoint.exists() for member in shuffled)
    joint = result["joint"]
    assert joint["permutations"] == len(joint["null_medians"]) == 1
    assert joint["p_median"] in (0.5, 1.0)
    assert joint["sentence"].startswith("All combinations together, among 1 shuffles of the labels among all patients")
    assert result["sentence"].endswith(joint["sentence"])  # where the curve is quoted, its test is
    assert run_experiment(experiment, settings, RunOptions(count=1)) == result
