"""cross-validate: answered, kept, asked as an ensemble, and refused in one line."""

from __future__ import annotations

from pathlib import Path

from core.settings import load_settings
from tests.cli.commands import TINY, Command

SMALL = (
    *TINY, "--set", "epochs=1", "--set", "size_px=32", "--set", "slice_count=1", "--set", "sequences=FLAIR",
    "--set", "val_fraction=0.3", "--folds", "2",
)  # fmt: skip


def test_it_is_answered_once_and_its_ensemble_predicts_by_name(command: Command, patients: Path) -> None:
    first = command("cross-validate", patients, *SMALL, "--name", "mine", "--json")
    assert first.status == 0, first.stderr
    content = first.json
    assert [fold["patients"] for fold in content["folds"]] == [6, 6]
    assert content["patient"]["auroc"]["n"] == 12
    scan = sorted((patients / "train").iterdir())[0]
    asked = command("predict", "mine", scan, "--json")
    assert asked.status == 0, asked.stderr
    (study,) = asked.json["studies"]
    assert len(study["members"]) == 2
    assert min(study["members"]) <= study["probability"] <= max(study["members"])
    own, found = asked.json["checkpoint"]["metrics"]["folds"]["patient"]["auroc"], content["patient"]["auroc"]
    assert {key: own[key] for key in ("value", "low", "high", "n")} == {
        key: found[key] for key in ("value", "low", "high", "n")
    }
    text = command("predict", "mine", scan).stdout
    assert "its 2 members" in text
    assert "each evaluated by a member that never saw it" in text
    again = command("cross-validate", patients, *SMALL, "--name", "mine")
    assert "AUROC by patient within folds" in again.stdout
    command("cross-validate", patients, *SMALL, "--name", "mine", "--seeds", "2").assert_refused(
        "asked another question"
    )
    (load_settings().experiments / "mine" / "runs" / "seed-00-fold-01" / "best.safetensors").unlink()
    command("predict", "mine", scan).assert_refused("seed-00-fold-01", "command again")


def test_what_cannot_be_asked_is_one_line(command: Command, patients: Path) -> None:
    command("cross-validate", patients, *SMALL, "--folds", "1").assert_refused("--folds", "greater than or equal to 2")
    command("cross-validate", patients, *SMALL, "--folds", "9").assert_refused("fewer folds")
    command("cross-validate", patients, *SMALL, "--vary", "learning_rat", "1").assert_refused("Did you mean")
    command("cross-validate", patients, *SMALL, "--vary", "learning_rate").assert_refused("at least one value")
    command("cross-validate", patients, *SMALL, "--vary", "split_seed", "1").assert_refused("no choice to vary")
    command("cross-validate", patients, *SMALL, "--scheduler", "tcp://x:1").assert_refused("--backend dask")
    command("cross-validate", "nowhere", *SMALL).assert_refused("no folder nowhere")
