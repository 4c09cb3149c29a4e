"""--assign and --identity: what a person says of DATA holds wherever DATA is read, and goes with a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.settings import load_settings
from tests.cli.commands import TINY, Command


@pytest.fixture
def own(cohort: Path, tmp_path: Path) -> Path:
    """A copy of the cohort."""
    shutil.copytree(cohort, tmp_path / "own")
    return tmp_path / "own"


def flair_of(root: Path, number: int) -> tuple[str, str]:
    """Study id and Series UID of one study's FLAIR."""
    from core.data.cohort import scan_cohort
    from core.mri import MRSequence

    study = scan_cohort(root).studies[number]
    series = study.find(MRSequence.FLAIR)
    assert series
    return study.study_id, series.series_uid


@pytest.fixture
def identity(own: Path, tmp_path: Path) -> Path:
    """The first two studies are one patient."""
    path = tmp_path / "persons.csv"
    path.write_text(f"study_id,same_person_as\n{flair_of(own, 1)[0]},{flair_of(own, 0)[0]}\n")
    return path


def test_index_and_prepare_take_a_person_s_word(command: Command, own: Path) -> None:
    before = command("index", own, "--json").json
    study, uid = flair_of(own, 0)
    after = command("index", own, "--assign", f"{uid}=T2w", "--json").json
    assert after["sequences"]["FLAIR"] == before["sequences"]["FLAIR"] - 1
    assert after["sequences"]["T2w"] == before["sequences"]["T2w"] + 1
    assert any(f"Study {study} has 2 series of T2w" in text for text in after["notes"])
    assert after["digest"] != before["digest"]
    whole = command("prepare", own, "--set", "sequences=FLAIR", "--json").json
    less = command("prepare", own, "--set", "sequences=FLAIR", "--assign", f"{uid}=unknown", "--json").json
    assert less["series"] == whole["series"] - 1
    command("index", own, "--assign", "1.2.3=FLAIR").assert_refused("No series has the UID '1.2.3'")


def test_index_and_audit_know_who_is_one_patient(command: Command, own: Path, identity: Path) -> None:
    before = command("index", own, "--json").json
    after = command("index", own, "--identity", identity, "--json").json
    assert after["persons"] == before["persons"] - 1
    assert any("are one person" in text for text in after["notes"])
    found = [
        {finding["kind"] for finding in command("audit", own, *given, "--json").json["findings"]}
        for given in ((), ("--identity", identity))
    ]
    assert found[1] - found[0] == {"known-same-patient"}
    command("index", own, "--identity", identity.parent / "none.csv").assert_refused("There is no identity table")


def test_both_go_with_a_run_and_are_read_again(command: Command, own: Path, identity: Path, tmp_path: Path) -> None:
    _, uid = flair_of(own, 2)
    folder = tmp_path / "run"
    result = command(
        "train", own, "--preset", "honest", *TINY, "--set", "epochs=1", "--run", folder,
        "--assign", f"{uid}=unknown", "--identity", identity, "--json",
    )  # fmt: skip
    assert result.status == 0
    run = RunFolder(folder)
    assert run.source.identity == str(identity)
    assert dict(run.source.assign) == {uid: "unknown"}
    again = open_cohort(run.source, settings=load_settings())
    assert run.environment()["cohort_digest"] == again.digest
    assert len({study.person for study in again}) == len(again) - 1
    one, other = (study for study in again.studies[:2])
    split = run.split()
    assert one.person == other.person
    assert (*split.train, *split.val, *split.test).count(one.person) == 1
    assert other.study_id not in {*split.train, *split.val, *split.test}
    judged = command("evaluate", folder, "--part", "val", "--json")
    assert judged.status == 0
    command("evaluate", folder, "--identity", identity).assert_refused("--identity says how to read --data")
