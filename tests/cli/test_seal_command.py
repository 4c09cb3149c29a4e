"""seal: a plan fixed beforehand, and what evaluate says of it."""

from __future__ import annotations

from pathlib import Path

from core.settings import load_settings
from tests.cli.commands import TINY, Command


def test_a_run_sealed_in_time_is_said_to_have_followed(command: Command, home_with_run: Path) -> None:
    sealed = command("seal", "run", "tiny", "--at-least", "0.9", "--bound", "value", "--note", "for the talk", "--json")
    assert sealed.status == 0
    assert len(sealed.json["hash"]) == 64
    assert "waiting" in command("seal", "check", "tiny", "--json").json["state"]
    judged = command("evaluate", "tiny", "--json").json
    assert judged["seal"]["state"] == "followed"
    assert judged["seal"]["met"] is (judged["patient"]["auroc"]["value"] >= 0.9)
    late = command("seal", "run", "tiny")
    assert "too late" in late.stdout
    listed = command("seal", "check", "--json").json["seals"]
    assert [one["fault"] for one in listed] == ["", ""]


def test_a_plan_for_data_is_the_plan_of_the_run_that_follows_it(
    command: Command, cohort: Path, home_with_run: Path
) -> None:
    result = command("seal", "data", cohort, "--preset", "honest", *TINY, "--set", "epochs=1")
    assert result.status == 0
    assert "Give this hash to somebody else now" in result.stdout
    assert command("evaluate", "tiny", "--json").json["seal"]["state"] == "followed"


def test_an_altered_seal_is_told(command: Command, home_with_run: Path) -> None:
    command("seal", "run", "tiny", "--at-least", "0.9")
    path = load_settings().seals / "seal-0001.json"
    path.write_text(path.read_text().replace("0.9", "0.1"))
    assert "altered" in command("seal", "check").stdout
    assert "altered" in command("evaluate", "tiny").stdout


def test_without_a_seal_evaluate_says_so(command: Command, home_with_run: Path) -> None:
    assert command("evaluate", "tiny", "--json").json["seal"]["state"] == "none"
    assert "No plan has been sealed" in command("seal", "check").stdout


def test_what_cannot_be_sealed_is_one_line(command: Command, home_with_run: Path) -> None:
    command("seal", "run", "tiny", "--metric", "luck").assert_refused("luck", "auroc")
    command("seal", "run", "tiny", "--at-least", "7").assert_refused("between 0 and 1")
    command("seal", "run", "nobody").assert_refused("nobody")
