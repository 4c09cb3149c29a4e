"""phantom, index, prepare and export, end to end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.data.cohort import scan_cohort
from core.settings import load_settings
from tests.cli.commands import TINY, Command


def test_phantom_says_what_can_be_reached(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "phantom"
    result = command(
        "phantom", folder, "--studies", 2, "--signal", 3, "--slices", 4, "--size", 32, "--jobs", 1, "--json"
    )
    assert result.status == 0
    assert result.json["studies"] == 2
    assert result.json["best_auroc"] == pytest.approx(0.983, abs=1e-3)
    assert result.json["synthetic"] is True
    assert len(scan_cohort(folder, jobs=1)) == 2


def test_phantom_help_is_the_configuration(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command("phantom", "--help")
    assert left.value.code == 0
    assert "half of them methylated" in " ".join(capsys.readouterr().out.split())


def test_index_counts(command: Command, cohort: Path) -> None:
    result = command("index", cohort, "--jobs", 1, "--json")
    assert result.status == 0
    content = result.json
    assert (content["studies"], content["series"], content["files"]) == (8, 32, 256)
    assert content["labels"] == {"0": 4, "1": 4}
    assert set(content["sequences"]) == {"FLAIR", "T1w", "T1wCE", "T2w"}
    assert sum(content["planes"].values()) == 32
    assert content["unreadable"] == []
    assert "blank_slices" not in content


def test_index_counts_blank_slices_where_asked(command: Command, cohort: Path) -> None:
    content = command("index", cohort, "--blanks", "--jobs", 1, "--json").json
    assert len(content["blank_by_series"]) == 32
    assert content["blank_slices"] == sum(entry["blank"] for entry in content["blank_by_series"])


def test_index_for_a_person(command: Command, cohort: Path) -> None:
    result = command("index", cohort, "--blanks", "--jobs", 1)
    assert "(synthetic)" in result.stdout
    assert "8 studies of 8 persons, 32 series, 256 files" in result.stdout
    assert "labels: unmethylated 4, methylated 4, unlabelled 0" in result.stdout
    assert "blank slices:" in result.stdout


def test_index_names_what_cannot_be_read(command: Command, cohort: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cohort, copy)
    victim = sorted(copy.rglob("Image-1.dcm"))[0]
    victim.write_text("this is not DICOM")
    result = command("index", copy, "--jobs", 1, "--json")
    assert result.status == 0
    path = str(victim.relative_to(copy))
    assert path in [fault["path"] for fault in result.json["unreadable"]]
    assert f"! {path}" in command("index", copy, "--jobs", 1).stdout


def test_prepare_fills_the_cache(command: Command, cohort: Path) -> None:
    result = command("prepare", cohort, "--preset", "honest", *TINY, "--jobs", 1, "--json")
    assert result.status == 0
    assert (result.json["studies"], result.json["series"], result.json["pictures"]) == (8, 32, 96)
    assert result.json["prep"]["size_px"] == 48
    assert len(list(load_settings().cache.rglob("*.npy"))) == 32


def test_options_say_how_to_read_data(command: Command, cohort: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    ids = [study.study_id for study in scan_cohort(cohort, jobs=1)]
    labels.write_text("BraTS21ID,MGMT_value\n" + "".join(f"{study_id},1\n" for study_id in ids))
    content = command("index", cohort, "--labels", labels, "--layout", "rsna", "--jobs", 1, "--json").json
    assert content["labels"] == {"0": 0, "1": 8}


def test_flat_images_with_labels_and_pattern(command: Command, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a7_1", "a7_2", "a8_1", "a9_1"):
        Image.new("L", (40, 40), 128).save(folder / f"{name}.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("BraTS21ID,MGMT_value\n7,1\n8,0\n9,0\n")
    content = command(
        "index", folder, "--labels", labels, "--patient-pattern", r"a(\d+)", "--sequence", "T1wCE", "--json"
    ).json
    assert content["layout"] == "flat"
    assert (content["studies"], content["files"]) == (3, 4)
    assert content["labels"] == {"0": 2, "1": 1}
    assert set(content["sequences"]) == {"T1wCE"}


def test_export_writes_what_a_run_would_see(command: Command, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    options = ("--out", out, "--jobs", 1, *TINY)
    result = command("export", "imagefolder", cohort, "--preset", "honest", *options, "--json")
    assert result.status == 0
    assert result.json["leaky"] is False
    written = result.json["pictures"]
    assert sum(sum(counts.values()) for counts in written.values()) == 96
    assert len(list((out / "TRAIN" / "methylated").glob("*.png"))) == written["TRAIN"]["methylated"]
    assert command("index", out, "--json").json["studies"] == 8


def test_export_by_the_paper_says_that_it_leaks(command: Command, cohort: Path, tmp_path: Path) -> None:
    result = command("export", "imagefolder", cohort, "--out", tmp_path / "tree", "--jobs", 1, *TINY)
    assert result.status == 0
    assert "LEAKY" in result.stdout


@pytest.mark.usefixtures("home")
def test_prepare_from_raw_writes_a_cohort_and_says_what_was_done(
    command: Command, cohort: Path, tmp_path: Path
) -> None:
    words = ("prepare", cohort, "--from", "raw", "--steps", "orient", "--out", tmp_path / "out", "--jobs", 1, *TINY)
    first = command(*words, "--json").json
    assert first["studies"] == 8
    assert (first["raw"]["processed"], first["raw"]["reused"], first["raw"]["refused"]) == (8, 0, [])
    assert first["raw"]["processing"] == "raw 1: orient"
    assert first["raw"]["cpu_seconds_per_series"] > 0
    assert command(*words, "--json").json["raw"]["reused"] == 8
    index = command("index", tmp_path / "out", "--jobs", 1, "--json").json
    assert (index["cohort"], index["labels"]) == ("processed", {"0": 4, "1": 4})
    assert any("raw 1: orient: 8 studies" in line for line in command(*words).stdout.splitlines())


@pytest.mark.usefixtures("home")
def test_options_of_raw_need_from_raw(command: Command, cohort: Path, tmp_path: Path) -> None:
    assert "add --from raw" in command("prepare", cohort, "--out", tmp_path / "out").stderr
    assert "--steps are those of --from raw" in command("prepare", cohort, "--steps", "n4").stderr
