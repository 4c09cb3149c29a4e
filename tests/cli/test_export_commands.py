"""export checkpoint: one file to pass on, with its card and what evaluate has found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.figure_text import figure_text
from core.models.card import read_card, replace_card
from core.models.checkpoint import load_model
from core.phantom.config import PhantomConfig
from tests.cli.commands import Command
from tests.phantoms import copy_phantom


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "tiny"
    copy_phantom(folder, PhantomConfig(studies=8, signal=3, seed=2, slices=8, size=48))
    return folder


def test_a_published_checkpoint_carries_what_was_measured(
    home_with_run: Path, other: Path, command: Command, tmp_path: Path
) -> None:
    judged = command("evaluate", "tiny", "--data", str(other), "--json").json
    assert judged["estimand"].startswith("The figures are of this checkpoint")
    path = tmp_path / "mine.safetensors"
    outcome = command("export", "checkpoint", "tiny", "--out", str(path), "--json")
    assert outcome.status == 0, outcome.stderr
    card = read_card(path)
    assert card.name == "mine"
    whose, figure = card.reported_auroc() or ("", {})
    assert whose == "synthetic patients of another cohort"
    assert figure == judged["patient"]["auroc"]
    assert str(other) not in card.model_dump_json()
    text = path.with_suffix(".md").read_text()
    assert figure_text(figure) in text
    assert "On synthetic patients of another cohort:" in text
    assert "answer means nothing" in text
    assert "Not a reproduction" in text


def test_half_the_size_and_the_same_network(home_with_run: Path, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    command("export", "checkpoint", "tiny", "--out", str(path))
    best = next(home_with_run.glob("runs/tiny/best.safetensors"))
    assert path.stat().st_size < 0.55 * best.stat().st_size
    (small, _), (whole, _) = load_model(path), load_model(best)
    for ours, theirs in zip(small.state_dict().values(), whole.state_dict().values(), strict=True):
        assert np.allclose(ours.numpy(), theirs.numpy(), rtol=2**-10, atol=6e-8)


def test_without_another_cohort_the_validation_figure_says_that_it_flatters(
    home_with_run: Path, command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    command("export", "checkpoint", "tiny", "--out", str(path))
    found = read_card(path).reported_auroc()
    assert found is None or found[0] == "synthetic validation patients, which chose the epoch"


@pytest.mark.parametrize(
    ("name", "words"), [("taken.safetensors", "exists"), ("model.pth", ".safetensors")], ids=["taken", "ending"]
)
def test_nothing_is_overwritten_and_the_ending_is_checked(
    home_with_run: Path, command: Command, tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "taken.safetensors").write_bytes(b"mine")
    outcome = command("export", "checkpoint", "tiny", "--out", str(tmp_path / name))
    outcome.assert_refused(words)
    assert (tmp_path / "taken.safetensors").read_bytes() == b"mine"


def test_where_its_first_weights_lay_is_not_passed_on(home_with_run: Path, command: Command, tmp_path: Path) -> None:
    best = next(home_with_run.glob("runs/tiny/best.safetensors"))
    weights = "/home/somebody/secret/calm-fox/best.safetensors"
    replace_card(
        best, lambda card: card.model_copy(update={"config": card.config.model_copy(update={"weights": weights})})
    )
    path = tmp_path / "mine.safetensors"
    command("export", "checkpoint", "tiny", "--out", str(path))
    assert read_card(path).config.weights == "calm-fox/best.safetensors"
    assert "somebody" not in path.with_suffix(".md").read_text()
