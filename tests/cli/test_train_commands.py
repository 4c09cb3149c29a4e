"""train, runs and evaluate, end to end."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.cli.train import describe_outcome
from core.config import apply_settings
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.folder import DataSource, RunFolder, find_run
from core.settings import PROJECT_ROOT, load_settings
from tests.cli.commands import TINY, Command
from tests.phantoms import copy_phantom
from tests.training.tiny import finished_epochs


def test_train_ends_with_the_best_epoch(command: Command, cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a-run"
    result = command("train", cohort, "--preset", "honest", *TINY, "--set", "epochs=2", "--run", folder, "--json")
    assert result.status == 0
    content = result.json
    assert content["run"] == str(folder)
    assert content["state"] == "finished"
    assert content["best_epoch"] in (1, 2)
    assert Path(content["checkpoint"]).is_file()
    assert set(content["val"]) == {"patient", "slice"}
    assert content["val"]["patient"]["auroc"]["n"] == 2
    epochs = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 2
    assert result.stderr.count("Weights: random; 122 tensors start at random.") == 1
    assert content["weights"]["origin"] == "random"
    assert epochs[1].startswith("epoch 2/2  train loss ")
    assert "images/s" in epochs[0]


def test_paper_preset_says_beforehand_what_is_whose(
    command: Command, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.queue.ensure_worker", lambda settings: None)
    result = command("train", cohort, "--preset", "paper", *TINY, "--queue", "--json")
    assert result.status == 0
    assert "the paper's:" in result.stderr
    assert "LEAKY SPLIT" in result.stderr
    assert "Not a reproduction" in result.stderr


def test_outcome_for_a_person(home_with_run: Path) -> None:
    text = "\n".join(describe_outcome(find_run("tiny", load_settings())).lines)
    assert "tiny: finished after 1 of 1 epochs." in text
    assert "auroc by patient: " in text
    assert "majority accuracy by slice: 0.500" in text


def test_missing_data_make_no_run(command: Command, tmp_path: Path) -> None:
    command("train", tmp_path / "nowhere").assert_refused("nowhere")
    assert command("runs", "--json").json["runs"] == []


def test_runs_lists_and_shows(command: Command, home_with_run: Path) -> None:
    (listed,) = command("runs", "--json").json["runs"]
    assert (listed["name"], listed["state"], listed["best_epoch"]) == ("tiny", "finished", 1)
    assert listed["best"]["epoch"] == 1
    assert "tiny" in command("runs", "list").stdout
    shown = command("runs", "show", "tiny", "--json").json
    assert shown["config"]["prep"]["size_px"] == 48
    assert len(shown["epochs_done"]) == 1
    text = command("runs", "show", home_with_run / "runs" / "tiny").stdout
    assert "tiny: finished, epoch 1 of 1" in text
    assert "INFO" in text


def test_no_runs_say_how_to_start_one(command: Command) -> None:
    assert "python -m core train" in command("runs").stdout


def test_queue_stop_and_resume(command: Command, cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.queue.ensure_worker", lambda settings: None)
    result = command("train", cohort, *TINY, "--queue", "--run", "later", "--json")
    assert result.status == 0
    assert (result.json["name"], result.json["state"]) == ("later", "queued")
    assert command("runs", "stop", "later", "--json").json["state"] == "stopped"
    assert command("runs", "resume", "later", "--json").json["state"] == "queued"


def test_the_queue_is_seen_and_changed(command: Command, cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.queue.ensure_worker", lambda settings: None)
    assert "train DATA --queue" in command("runs", "queue").stdout
    for name in ("one", "two", "three"):
        command("train", cohort, *TINY, "--queue", "--run", name, "--note", f"number {name}")

    def waiting() -> list[str]:
        return [run["name"] for run in command("runs", "queue", "--json").json["waiting"]]

    assert command("runs", "up", "three", "--json").json["place"] == 2
    assert waiting() == ["one", "three", "two"]
    assert "one is number 2 of 3 in the queue" in command("runs", "down", "one").stdout
    assert command("runs", "first", "two", "--json").json["place"] == 1
    assert waiting() == ["two", "three", "one"]
    assert command("runs", "cancel", "three", "--json").json["state"] == "stopped"
    assert waiting() == ["two", "one"]
    text = command("runs", "queue").stdout
    assert text.index("number two") < text.index("number one")
    command("runs", "cancel", "three").assert_refused("only a run that waits")
    command("runs", "queue", "one").assert_refused("one")


def test_a_queued_run_has_no_folder_of_its_own(command: Command, cohort: Path, tmp_path: Path) -> None:
    result = command("train", cohort, "--queue", "--run", tmp_path / "run")
    assert result.status == 2
    assert "plain name" in result.stderr.splitlines()[-1]


def test_what_runs_cannot_do(command: Command, home_with_run: Path) -> None:
    command("runs", "stop", "tiny").assert_refused("nothing to stop")
    command("runs", "resume", "tiny").assert_refused("has finished")
    command("runs", "show", "none").assert_refused("'none'", "tiny")
    command("runs", "show").assert_refused("needs a RUN")
    command("runs", "list", "tiny").assert_refused("runs show tiny")
    command("runs", "dance").assert_refused("dance")


def test_evaluate_counts_looks(command: Command, home_with_run: Path) -> None:
    first, second = (command("evaluate", "tiny", "--json").json for _ in range(2))
    assert (first["part"], first["looked_at"], second["looked_at"]) == ("test", 1, 2)
    assert set(first["patient"]["auroc"]) >= {"value", "low", "high", "n"}
    assert first["slice"]["accuracy"]["n"] > first["patient"]["accuracy"]["n"]
    assert command("evaluate", "tiny", "--part", "val", "--json").json["looked_at"] == 0
    text = command("evaluate", "tiny").stdout
    assert "have now been evaluated 3 times" in text
    assert "AUROC: " in text


def test_evaluate_elsewhere(command: Command, home_with_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    copy_phantom(other, PhantomConfig(studies=2, seed=9, slices=4, size=32))
    result = command("evaluate", "tiny", "--data", other, "--jobs", 1, "--json")
    assert result.status == 0
    assert result.json["patient"]["accuracy"]["n"] == 2
    assert result.json["data"] == str(other)


def test_evaluate_takes_either_part_or_data(command: Command, home_with_run: Path, cohort: Path) -> None:
    command("evaluate", "tiny", "--part", "val", "--data", cohort).assert_refused("--part", "--data")
    command("evaluate", "tiny", "--labels", "x.csv").assert_refused("--labels")
    command("evaluate", "tiny", "--data", cohort).assert_refused("trained on")


def test_ctrl_c_stops_and_says_how_to_go_on(home: Path, cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["train", str(cohort), *TINY, "--set", "epochs=500", "--run", str(folder), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "core", *arguments],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            while process.poll() is None and not (folder / "split.json").exists():
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130, stderr
    assert json.loads(stdout)["state"] == "stopped"
    assert "Traceback" not in stderr


def test_resume_of_a_run_elsewhere_trains_here(command: Command, home: Path, cohort: Path, tmp_path: Path) -> None:
    config = apply_settings(find_preset("honest").config, [*TINY[1::2], "epochs=1"])
    source = DataSource(root=str(cohort))
    run = RunFolder.create(load_settings(), config, source, folder=tmp_path / "elsewhere", state="stopped")
    result = command("runs", "resume", run.path, "--json")
    assert result.status == 0
    assert (result.json["state"], result.json["best_epoch"]) == ("finished", 1)


def test_a_run_is_trained_again_from_what_it_kept(command: Command, cohort: Path, tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    command("train", cohort, "--preset", "honest", *TINY, "--run", first, "--note", "the first")
    result = command("train", "--from", first, "--run", again, "--json")
    assert result.status == 0
    assert result.json["state"] == "finished"
    assert (again / "split.json").read_text() == (first / "split.json").read_text()
    assert weights_of(first).keys() == weights_of(again).keys()
    assert all(torch.equal(tensor, weights_of(again)[name]) for name, tensor in weights_of(first).items())
    assert command("runs", "show", first).stdout.count("note: the first") == 1
    command("train", "--from", first, "--set", "seed=7", "--run", other)
    assert RunFolder(other).config.seed == 7
    assert any(not torch.equal(tensor, weights_of(other)[name]) for name, tensor in weights_of(first).items())


def test_versions_that_changed_since_are_named(command: Command, cohort: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    command("train", cohort, "--preset", "honest", *TINY, "--run", first)
    content = json.loads((first / "environment.json").read_text())
    content["versions"]["torch"] = "1.0"
    content["commit"] = "0" * 40
    (first / "environment.json").write_text(json.dumps(content))
    result = command("train", "--from", first, "--run", tmp_path / "again")
    assert "torch was 1.0 then and is" in result.stderr
    assert f"the project's commit was {'0' * 40} then and is" in result.stderr


def test_environment_json_alone_is_enough_to_repeat_a_run(command: Command, cohort: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    command("train", cohort, "--preset", "honest", *TINY, "--run", first)
    environment = json.loads((first / "environment.json").read_text())
    assert environment["config"] == json.loads((first / "config.json").read_text())
    words = shlex.split(environment["command"])
    assert words[:3] == ["python", "-m", "core"]
    assert command(*words[3:], "--run", again).status == 0
    assert all(torch.equal(tensor, weights_of(again)[name]) for name, tensor in weights_of(first).items())
    assert finished_epochs(again) == finished_epochs(first)


@pytest.mark.parametrize("words", [(), ("somewhere", "--from", "a-run")])
def test_either_data_or_a_run_is_named(command: Command, words: tuple[str, ...]) -> None:
    command("train", *words).assert_refused("Name either DATA, or a run to train again")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "best.safetensors")
