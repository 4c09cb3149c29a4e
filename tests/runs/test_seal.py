"""A plan sealed in time is followed or not; one that is late, altered, replaced or removed is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from core.config import RunConfig, apply_settings
from core.dataset.split import Split
from core.errors import SealError
from core.evaluation.figure import Figure
from core.runs.folder import RunFolder
from core.runs.ledger import record_evaluation
from core.runs.persons import mark_test_persons
from core.runs.records import DataSource
from core.runs.seal import Criterion, attach_anchor, hash_plan, list_seals, make_seal, seal_of_run
from core.settings import Settings

SPLIT = Split(train=("1", "2"), val=("3",), test=("4", "5"), unit="patient", seed=0, cohort_digest="c" * 12)
CONFIG = RunConfig(weights="none", epochs=2)
GOOD = {"auroc": Figure(value=0.8, low=0.6, high=0.9, n=2)}
POOR = {"auroc": Figure(value=0.6, low=0.4, high=0.8, n=2)}


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    folder = RunFolder.create(settings, CONFIG, DataSource(root="/nowhere"), name="mine", state="finished")
    (folder.path / "split.json").write_text(SPLIT.to_json())
    return folder


def test_a_plan_sealed_in_time_is_followed_and_reached_or_not(run: RunFolder, settings: Settings) -> None:
    assert seal_of_run(run, settings).state == "none"
    seal = make_seal(CONFIG, SPLIT, Criterion(), settings, note="for the talk")
    waiting = seal_of_run(run, settings)
    assert waiting.state == "waiting"
    assert "lower end of the 95% interval of AUROC by patient is at least 0.5" in waiting.words
    record_evaluation(SPLIT.test_digest, "mine", settings)
    assert (seal_of_run(run, settings, GOOD).state, seal_of_run(run, settings, GOOD).met) == ("followed", True)
    assert seal_of_run(run, settings, POOR).met is False
    assert "not reached" in seal_of_run(run, settings, POOR).words
    assert seal.hash[:12] in waiting.words


def test_a_plan_sealed_after_a_look_is_late(run: RunFolder, settings: Settings) -> None:
    record_evaluation(SPLIT.test_digest, "somebody", settings)
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "late"
    assert "evaluated once" in report.words


def test_another_configuration_or_split_did_not_follow(run: RunFolder, settings: Settings) -> None:
    make_seal(apply_settings(CONFIG, ["learning_rate=0.5", "device=cpu"]), SPLIT, Criterion(), settings)
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "changed"
    assert "learning_rate" in report.words
    assert "device" not in report.words
    (run.path / "split.json").write_text(
        Split(train=("1",), val=("2", "3"), test=SPLIT.test, unit="patient", seed=0, cohort_digest="c" * 12).to_json()
    )
    assert "who is in training" in seal_of_run(run, settings, GOOD).words


def test_an_altered_plan_is_told(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(at_least=0.7), settings)
    path = settings.seals / "seal-0001.json"
    path.write_text(path.read_text().replace("0.7", "0.5"))
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "broken"
    assert "altered" in report.words


def test_a_plan_hashed_anew_is_told_by_the_register(run: RunFolder, settings: Settings) -> None:
    seal = make_seal(CONFIG, SPLIT, Criterion(at_least=0.7), settings)
    easier = seal.model_copy(update={"criterion": Criterion(at_least=0.5)})
    easier = easier.model_copy(update={"hash": hash_plan(easier.model_dump(mode="json"))})
    (settings.seals / "seal-0001.json").write_text(easier.model_dump_json())
    assert "register has another hash" in seal_of_run(run, settings, GOOD).words


def test_a_seal_that_was_removed_or_torn_is_told(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    path = settings.seals / "seal-0001.json"
    path.write_text("{")
    assert "altered or damaged" in seal_of_run(run, settings).words
    path.unlink()
    assert [fault for _, _, fault in list_seals(settings)] == ["seal-0001.json was removed"]
    assert seal_of_run(run, settings).state == "broken"


def test_several_seals_for_the_same_patients_are_counted(run: RunFolder, settings: Settings) -> None:
    for level in (0.5, 0.6):
        make_seal(CONFIG, SPLIT, Criterion(at_least=level), settings)
    assert "one of 2 seals" in seal_of_run(run, settings).words


def test_nobody_held_out_cannot_be_sealed(settings: Settings) -> None:
    nobody = Split(train=("1",), val=("2",), test=(), unit="patient", seed=0, cohort_digest="c" * 12)
    with pytest.raises(SealError, match="holds no test patients"):
        make_seal(CONFIG, nobody, Criterion(), settings)


def test_a_seal_reads_back_as_it_was_written(settings: Settings) -> None:
    seal = make_seal(CONFIG, SPLIT, Criterion(metric="auprc", bound="value", at_least=0.6), settings)
    ((_, again, fault),) = list_seals(settings)
    assert (again, fault) == (seal, "")
    assert json.loads((settings.seals / "register.jsonl").read_text())["hash"] == seal.hash


def test_a_look_that_the_seal_did_not_count_is_found_in_the_ledger(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    settings.runs.mkdir(parents=True, exist_ok=True)
    entry = {"test_digest": SPLIT.test_digest, "run": "mine", "when": "2020-01-01T00:00:00+00:00"}
    (settings.runs / "test_looks.jsonl").write_text(json.dumps(entry) + "\n")
    assert seal_of_run(run, settings, GOOD).state == "late"


def test_a_setting_that_is_newer_than_a_seal_does_not_break_it(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    path = settings.seals / "seal-0001.json"
    content = json.loads(path.read_text())
    del content["config"]["select_on"]  # as if that setting had come later; its default fills in
    content["hash"] = hash_plan(content)
    path.write_text(json.dumps(content))
    entry = {"name": "seal-0001", "hash": content["hash"], "created": content["created"]}
    (settings.seals / "register.jsonl").write_text(json.dumps(entry) + "\n")
    (settings.runs / "test_looks.jsonl").unlink()  # which had no seals then
    assert [fault for _, _, fault in list_seals(settings)] == [""]
    assert seal_of_run(run, settings).state == "waiting"


def test_the_stricter_of_two_seals_is_missed_though_its_register_line_went_with_it(
    run: RunFolder, settings: Settings
) -> None:
    make_seal(CONFIG, SPLIT, Criterion(at_least=0.5), settings)
    make_seal(CONFIG, SPLIT, Criterion(at_least=0.7), settings)
    assert seal_of_run(run, settings, GOOD).met is False, "the stricter of two plans decides"
    (settings.seals / "seal-0002.json").unlink()
    register = settings.seals / "register.jsonl"
    register.write_text(register.read_text().splitlines()[0] + "\n")
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "broken"
    assert "seal-0002.json was removed" in report.words


def test_a_removed_seal_of_other_patients_is_no_matter(run: RunFolder, settings: Settings) -> None:
    other = Split(train=("4", "5"), val=("3",), test=("1", "2"), unit="patient", seed=0, cohort_digest="d" * 12)
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    make_seal(CONFIG, other, Criterion(), settings)
    (settings.seals / "seal-0002.json").unlink()
    assert seal_of_run(run, settings).state == "waiting"


def test_another_code_or_other_content_of_the_files_did_not_follow(run: RunFolder, settings: Settings) -> None:
    make_seal(CONFIG, SPLIT, Criterion(), settings, content_digest="a" * 12)
    record_evaluation(SPLIT.test_digest, "mine", settings, code="9.9.9")
    (run.path / "environment.json").write_text(json.dumps({"content_digest": "b" * 12}))
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "changed"
    assert "the code (9.9.9" in report.words
    assert "what the cohort's files hold" in report.words


def test_a_ledger_that_was_cut_after_a_seal_is_told_by_the_seal(run: RunFolder, settings: Settings) -> None:
    record_evaluation("others", "another run", settings)
    make_seal(CONFIG, SPLIT, Criterion(), settings)
    (settings.runs / "test_looks.jsonl").unlink()
    record_evaluation("others", "yet another run", settings)
    report = seal_of_run(run, settings, GOOD)
    assert report.state == "broken"
    assert "another ledger" in report.words


def test_test_patients_whom_another_split_judged_make_a_seal_late(run: RunFolder, settings: Settings) -> None:
    moved = Split(train=("1", "4"), val=("3",), test=("2", "5"), unit="patient", seed=1, cohort_digest="c" * 12)
    record_evaluation(SPLIT.test_digest, "mine", settings, persons=frozenset().union(*mark_test_persons(run).values()))
    seal = make_seal(CONFIG, moved, Criterion(), settings)
    assert (seal.looks_before, seal.judged_before, seal.trained_before) == (1, 1, 1)


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_a_commit_is_a_witness_where_it_holds_the_hash(
    run: RunFolder, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = make_seal(CONFIG, SPLIT, Criterion(), settings)
    notes = tmp_path / "notes"
    notes.mkdir()
    git(notes, "init", "-q")
    git(notes, "commit", "-q", "--allow-empty", "-m", "a plan")
    with pytest.raises(SealError, match="neither in its message nor in a file"):
        attach_anchor(seal, str(notes), settings)
    git(notes, "commit", "-q", "--allow-empty", "-m", f"a plan\n\n{seal.hash}")
    assert attach_anchor(seal, f"{notes}@HEAD", settings).where == "message"
    assert "Its hash stands in commit" in seal_of_run(run, settings).words
    (notes / "plan.txt").write_text(seal.hash)
    git(notes, "add", "plan.txt")
    git(notes, "commit", "-q", "-m", "the plan as a file")
    assert attach_anchor(seal, str(notes), settings).where == "plan.txt"
    with pytest.raises(SealError, match="no commit nothing"):
        attach_anchor(seal, f"{notes}@nothing", settings)
    with pytest.raises(SealError, match="git cannot read"):
        attach_anchor(seal, str(tmp_path / "nowhere"), settings)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SealError, match="no git program"):
        attach_anchor(seal, str(notes), settings)
