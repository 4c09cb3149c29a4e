import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.errors import RunBusyError, RunError, StorageError
from core.models.card import read_card
from core.runs.bundle import export_run
from core.runs.evaluation import evaluate_validation, read_evaluation, store_evaluation, with_figures
from core.runs.folder import RunFolder, find_run
from core.runs.ledger import count_evaluations, record_evaluation
from core.runs.persons import read_persons
from core.runs.records import UNNAMED
from core.runs.tags import change_tags, read_tags
from core.runs.unbundle import import_run, read_import
from core.settings import Settings
from tests.experiments.judged_runs import make_judged_run
from tests.training.tiny import build_tiny

WEIGHTS = "/home/anna/weights/mine.pth"


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    """A run with everything: weights of a network that loads, a look at its test patients, tags and a note."""
    torch.manual_seed(0)
    run = make_judged_run(settings, "one", state=build_tiny(2).state_dict(), architecture="tiny", weights=WEIGHTS)
    store_evaluation(
        run,
        with_figures(
            replace(evaluate_validation(run), part="test", looked_at=1, data="/home/anna/rsna"),
            read_card(run.checkpoint),
        ),
        "",
    )
    record_evaluation(run.split().test_digest, run.name, settings)
    change_tags(run, add=["kept"])
    run.write_status(run.status().model_copy(update={"note": "in /home/anna/notes", "owner": "a-visitor"}))
    content = {"root": "/home/anna/rsna", "labels": "/home/anna/labels.csv", "shuffle_seed": 3}
    (run.path / "data.json").write_text(json.dumps(content))
    (run.path / "persons.json").write_text(
        json.dumps({"schema": 1, "family": "", "sequences": ["FLAIR"], "persons": []})
    )
    (run.path / "resume.pt").write_bytes(b"large")
    (run.path / "train.log").write_text("in /home/anna")
    return run


@pytest.fixture
def archive(run: RunFolder, settings: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "one.zip"
    export_run(run, path, settings)
    return path


@pytest.fixture
def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """Another installation."""
    return replace(settings, home=tmp_path / "elsewhere")


def test_the_zip_lists_its_files_with_their_sums_and_names_nobody(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    manifest = json.loads(contents.pop("manifest.json"))
    assert set(contents) == set(manifest["files"]) == {
        "config.json", "data.json", "split.json", "environment.json", "status.json", "epochs.jsonl", "tags.json",
        "predictions.parquet", "best.safetensors", "card.md", "looks.json", "evaluation-test.json",
        "evaluation-test.parquet", "persons.json",
    }  # fmt: skip
    for name, content in contents.items():
        assert manifest["files"][name] == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        assert b"anna" not in content, name
        assert b"a-visitor" not in content, name
    assert json.loads(contents["data.json"])["root"] == "~/rsna"


def test_weights_are_the_same_to_the_bit_under_a_card_without_a_home(
    run: RunFolder, archive: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extract("best.safetensors", tmp_path)
    path = tmp_path / "best.safetensors"
    before, after = load_file(run.checkpoint), load_file(path)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert read_card(path).config.weights == "~/weights/mine.pth"
    assert read_card(run.checkpoint).config.weights == WEIGHTS


def test_an_imported_run_shows_what_it_showed(run: RunFolder, archive: Path, elsewhere: Settings) -> None:
    there = import_run(archive, elsewhere)
    assert there == find_run("one", elsewhere)
    assert sorted(path.name for path in elsewhere.runs.iterdir() if not path.name.endswith((".lock", ".jsonl"))) == [
        "one"
    ]
    assert there.epochs() == run.epochs()
    assert there.split() == run.split()
    assert there.environment() == run.environment()
    assert read_persons(there) is not None
    assert read_tags(there) == ("kept",)
    assert there.predictions().equals(run.predictions())
    mine, theirs = (read_evaluation(one, "test") for one in (run, there))
    assert mine is not None
    assert theirs is not None
    assert theirs.patient == mine.patient
    assert (theirs.looked_at, theirs.data) == (1, "~/rsna")
    assert evaluate_validation(there).patient == evaluate_validation(run).patient
    assert count_evaluations(there.split().test_digest, elsewhere) == 1
    status = there.status()
    assert (status.state, status.note, status.owner, status.best_epoch) == ("finished", "in ~/notes", "", 1)
    note = read_import(there)
    assert note is not None
    assert (note.name, note.data) == ("one", "~/rsna")
    assert read_import(run) is None
    assert not (there.path / "manifest.json").exists()


def test_no_path_of_elsewhere_is_opened_until_the_data_is_named(archive: Path, elsewhere: Settings) -> None:
    there = import_run(archive, elsewhere)
    assert (there.source.root, there.source.labels, there.source.shuffle_seed) == (UNNAMED, None, 3)


def test_a_second_import_has_another_name_and_counts_no_second_look(archive: Path, elsewhere: Settings) -> None:
    names = [import_run(archive, elsewhere).name for _ in range(3)]
    assert names == ["one", "one-2", "one-3"]
    assert import_run(archive, elsewhere, name="mine").name == "mine"
    with pytest.raises(RunError, match="a run mine already"):
        import_run(archive, elsewhere, name="mine")
    with pytest.raises(RunError, match="cannot name a run"):
        import_run(archive, elsewhere, name="../up")
    assert count_evaluations(find_run("one", elsewhere).split().test_digest, elsewhere) == 1


def test_a_run_goes_round_the_world_unchanged(archive: Path, elsewhere: Settings, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    export_run(import_run(archive, elsewhere), again, elsewhere)
    third = import_run(again, replace(elsewhere, home=tmp_path / "third"))
    assert evaluate_validation(third).patient == evaluate_validation(find_run("one", elsewhere)).patient


def test_a_run_stopped_early_is_exported_and_says_that_it_begins_anew(
    run: RunFolder, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    for path in run.path.glob("*"):
        if path.name not in ("config.json", "data.json", "status.json"):
            path.unlink()
    run.write_status(run.status().model_copy(update={"state": "failed"}))
    export_run(run, tmp_path / "young.zip", settings)
    there = import_run(tmp_path / "young.zip", elsewhere)
    assert there.status().state == "stopped"
    assert "begins at epoch 1" in there.status().message


def test_what_cannot_be_exported_is_told_and_leaves_nothing(run: RunFolder, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"\.zip"):
        export_run(run, tmp_path / "one.tar", settings)
    (tmp_path / "there.zip").write_text("mine")
    with pytest.raises(StorageError, match="exists"):
        export_run(run, tmp_path / "there.zip", settings)
    assert (tmp_path / "there.zip").read_text() == "mine"
    with run.lock(), pytest.raises(RunBusyError, match="being trained"):
        export_run(run, tmp_path / "busy.zip", settings)
    (run.path / "split.json").write_text("{")
    with pytest.raises(RunError, match=r"split\.json is damaged"):
        export_run(run, tmp_path / "damaged.zip", settings)
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["there.zip"]
    assert not list(tmp_path.glob(".*.part"))
