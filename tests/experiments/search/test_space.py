"""A search space as it is typed: what it draws fits the configuration, and what is wrong names the remedy."""

from __future__ import annotations

import optuna
import pytest

from core.config import apply_settings
from core.errors import ConfigError
from core.experiments.search.default_space import default_space
from core.experiments.search.space import Choice, Range, check_space, parse_space, sample_settings
from core.mri import MRSequence
from core.presets import PRESETS

HONEST = PRESETS["honest"].config


def test_ranges_and_choices_are_read() -> None:
    space = parse_space(
        [
            "learning_rate=1e-5..1e-2:log",
            "optimiser.weight_decay=0..0.1",
            "optimiser=sgd, adamw",
            "batch_size=4..64:log",
        ]
    )
    assert space == (
        Range(name="learning_rate", low=1e-5, high=1e-2, log=True),
        Range(name="weight_decay", low=0, high=0.1),
        Choice(name="optimiser", values=("sgd", "adamw")),
        Range(name="batch_size", low=4, high=64, log=True, whole=True),
    )
    assert parse_space([str(parameter) for parameter in space]) == space


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("lerning_rate=1..2", "Did you mean learning_rate"),
        ("learning_rate", "write name=low..high"),
        ("learning_rate=", "write name=low..high"),
        ("learning_rate=a..b", "write name=low..high"),
        ("learning_rate=1e-2..1e-5", "smaller number first"),
        ("learning_rate=0..1:log", "begin above 0"),
        ("learning_rate=1..2:ln", "write :log"),
        ("learning_rate=0.1..nan", "smaller number first"),
        ("optimiser=sgd..adamw", "name its values"),
        ("optimiser=sgd", "two or more different values"),
        ("optimiser=sgd,sgd,adamw", "two or more different values"),
        ("batch_size=4..8.5", "whole numbers"),
        ("seed=0,1,2", "specification"),
        ("split.val_fraction=0.1..0.3", "--set"),
    ],
)
def test_what_is_no_space_names_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_space([text])
    assert remedy in str(caught.value)


def test_nothing_varied_and_twice_varied_are_refused() -> None:
    with pytest.raises(ConfigError, match="varies something"):
        parse_space([])
    with pytest.raises(ConfigError, match="weight_decay stands twice"):
        parse_space(["weight_decay=0..0.1", "optimiser.weight_decay=0..0.2"])


@pytest.mark.parametrize("text", ["learning_rate=0.1..20", "momentum=0.5..1", "optimiser=sgd,lion", "size_px=8..64"])
def test_an_end_that_does_not_fit_the_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        check_space(HONEST, parse_space([text]), pruned=True)


def test_epochs_are_searched_without_pruning_only() -> None:
    space = parse_space(["epochs=5..20"])
    check_space(HONEST, space, pruned=False)
    with pytest.raises(ConfigError, match="--pruner none"):
        check_space(HONEST, space, pruned=True)


def test_what_is_drawn_is_what_the_configuration_then_has() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    texts = ["learning_rate=1e-5..1e-2:log", "batch_size=4..16", "crop=true,false", "sequences=T1wCE,FLAIR+T1w"]
    space = parse_space(texts)
    seen = set()
    for _ in range(12):
        trial = study.ask()
        config = apply_settings(HONEST, sample_settings(trial, space))
        assert config.optimiser.learning_rate == trial.params["learning_rate"]
        assert config.batch_size == trial.params["batch_size"]
        assert str(config.prep.crop).lower() == trial.params["crop"]
        seen.add(config.prep.sequences)
    assert seen == {(MRSequence.T1WCE,), (MRSequence.FLAIR, MRSequence.T1W)}


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_has_a_default_space_that_fits_it_with_reasons(preset: str) -> None:
    entries = default_space(preset)
    space = parse_space([entry.text for entry in entries])
    check_space(PRESETS[preset].config, space, pruned=True)
    assert 3 <= len(space) <= 4
    assert all(entry.reason for entry in entries)
    stated = {name for name, provenance in PRESETS[preset].provenance.items() if provenance.source == "paper"}
    assert not stated & {parameter.name for parameter in space}
