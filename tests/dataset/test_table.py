"""The table: which rows, in which order, with which pixels; failures are told and the rest goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.index.assign import ASSIGNED
from core.data.prepare.cache import load_prepared
from core.data.study import Cohort
from core.dataset import table as table_module
from core.dataset.table import build_table
from core.errors import EmptyCohortError
from core.mri import MRSequence
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.settings import PROJECT_ROOT, Settings
from tests.data.volumes import make_cohort, make_study

PREP = PrepConfig(size_px=32)
BOTH = (MRSequence.T2W, MRSequence.FLAIR)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return make_cohort(
        tmp_path / "data",
        [
            make_study(tmp_path / "data", "00010", 0, sequences=BOTH, images=3),
            make_study(tmp_path / "data", "00002", 1, sequences=BOTH, person="Anna", phase="TRAIN"),
            make_study(tmp_path / "data", "00003", None),
        ],
    )


def test_rows_are_canonical_and_complete(cohort: Cohort, settings: Settings) -> None:
    rows = build_table(cohort, PREP, settings).rows
    assert rows["key"].tolist() == [
        "00002|FLAIR|0|0",
        "00002|FLAIR|0|1",
        "00002|T2w|0|0",
        "00002|T2w|0|1",
        "00003|FLAIR|0|0",
        "00003|FLAIR|0|1",
        *(f"00010|{sequence}|0|{index}" for sequence in ("FLAIR", "T2w") for index in range(3)),
    ]
    first = rows.iloc[0]
    assert (first["person"], first["label"], first["phase"], first["file"]) == ("Anna", 1, "TRAIN", "0.png")
    assert rows.loc[rows["study_id"] == "00003", "label"].unique().tolist() == [-1]
    assert rows.loc[rows["study_id"] == "00010", "phase"].unique().tolist() == [""]


def test_the_cohort_s_order_does_not_matter(cohort: Cohort, settings: Settings) -> None:
    turned = tuple(replace(study, series=study.series[::-1]) for study in cohort.studies[::-1])
    one, other = (build_table(given, PREP, settings) for given in (cohort, replace(cohort, studies=turned)))
    assert one.rows.equals(other.rows)
    np.testing.assert_array_equal(one.images(np.arange(len(one))), other.images(np.arange(len(one))))


def test_images_are_gathered_in_the_order_asked_for(cohort: Cohort, settings: Settings) -> None:
    table = build_table(cohort, PREP, settings)
    asked = np.array([9, 0, 3])
    expected = []
    for index in asked:
        row = table.rows.iloc[index]
        series = cohort[row["study_id"]].find(MRSequence(row["sequence"]))
        assert series is not None
        expected.append(load_prepared(series, PREP, settings).pixels[row["slice_index"]])
    np.testing.assert_array_equal(table.images(asked), expected)
    assert table.images(np.array([], np.int64)).shape == (0, 32, 32)


def test_two_series_of_one_sequence_are_told_apart(tmp_path: Path, settings: Settings) -> None:
    first = make_study(tmp_path, "1", 0)
    again = make_study(tmp_path / "again", "1", 0).series[0]
    study = replace(first, series=(replace(again, series_uid="2"), replace(first.series[0], series_uid="1")))
    every = PREP.model_copy(update={"series_selection": "all"})
    table = build_table(make_cohort(tmp_path, [study]), every, settings)
    assert table.rows["key"].tolist() == ["1|FLAIR|0|0", "1|FLAIR|0|1", "1|FLAIR|1|0", "1|FLAIR|1|1"]


def test_of_two_series_of_one_sequence_the_better_is_taken_under_its_own_number(
    tmp_path: Path, settings: Settings
) -> None:
    short = make_study(tmp_path, "1", 0)
    long = make_study(tmp_path / "again", "1", 0, images=3).series[0]
    study = replace(short, series=(replace(short.series[0], series_uid="1"), replace(long, series_uid="2")))
    rows = build_table(make_cohort(tmp_path, [study]), PREP, settings).rows
    assert rows["key"].tolist() == ["1|FLAIR|1|0", "1|FLAIR|1|1", "1|FLAIR|1|2"]


def test_what_is_unknown_is_taken_only_of_loose_images_that_nobody_set_aside(
    tmp_path: Path, settings: Settings
) -> None:
    study = make_study(tmp_path, "1", 0, sequences=(MRSequence.T2W, MRSequence.UNKNOWN))
    prep = PREP.model_copy(update={"sequences": (MRSequence.T2W,)})

    def taken(**changes: str) -> set[str]:
        series = tuple(
            replace(one, **changes) if one.sequence is MRSequence.UNKNOWN else one  # type: ignore[arg-type]
            for one in study.series
        )
        cohort = make_cohort(tmp_path, [replace(study, series=series)])
        return set(build_table(cohort, prep, settings).rows["sequence"])

    assert taken() == {"T2w", "unknown"}
    assert taken(kind="dicom") == {"T2w"}  # a diffusion scan, say
    assert taken(sequence_reason=ASSIGNED) == {"T2w"}


def test_only_wanted_and_unknown_sequences_are_taken(tmp_path: Path, settings: Settings) -> None:
    cohort = make_cohort(tmp_path, [make_study(tmp_path, "1", 0, sequences=(*BOTH, MRSequence.UNKNOWN))])
    prep = PREP.model_copy(update={"sequences": (MRSequence.T2W,)})
    assert set(build_table(cohort, prep, settings).rows["sequence"]) == {"T2w", "unknown"}
    with pytest.raises(EmptyCohortError, match=r"no series of T1wCE \(found: FLAIR, T2w\)"):
        build_table(
            make_cohort(tmp_path, [make_study(tmp_path, "2", 0, sequences=BOTH)]),
            PREP.model_copy(update={"sequences": (MRSequence.T1WCE,)}),
            settings,
        )


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_series_that_fails_is_told_and_the_rest_goes_on(
    cohort: Cohort, settings: Settings, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "INLINE", 0)
    for path in cohort["00010"].series[0].files:
        path.write_text("damaged")
    cohort["00002"].series[0].files[0].write_text("damaged")
    told: list[tuple[int, int]] = []
    table = build_table(
        cohort, PREP, settings, jobs=jobs, progress=lambda done, total, what="": told.append((done, total))
    )
    assert len(table) == 3 + 3 + 2
    assert sorted(Path(fault.path).name for fault in table.faults) == ["0.png", "T2w"]
    assert told == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_nothing_usable_is_an_error(cohort: Cohort, settings: Settings) -> None:
    for series in cohort.series:
        for path in series.files:
            path.write_text("damaged")
    with pytest.raises(EmptyCohortError, match="None of the 5 series"):
        build_table(cohort, PREP, settings)


def test_more_series_than_files_may_be_open(tmp_path: Path, settings: Settings) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    studies = [make_study(tmp_path, f"{number:05}", number % 2, images=1) for number in range(150)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        table = build_table(make_cohort(tmp_path, studies), PREP, settings, jobs=1)
        assert all(isinstance(array, np.memmap) for array in table.arrays)
        assert len(table.arrays) == 150
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_dicom_goes_all_the_way(tmp_path: Path, settings: Settings) -> None:
    make_phantom(tmp_path / "phantom", PhantomConfig(studies=2, slices=8, size=32))
    cohort = scan_cohort(tmp_path / "phantom")
    prep = PREP.model_copy(update={"slice_count": 4})
    table = build_table(cohort, prep, settings)
    assert not table.faults
    assert len(table) == 2 * 4 * 4
    assert (
        table.rows.groupby(["study_id", "sequence"])["position_mm"].apply(lambda mm: mm.is_monotonic_increasing).all()
    )
    assert table.images(np.arange(len(table))).max(axis=(1, 2)).min() > 60
    labels = {study.study_id: study.label for study in cohort}
    assert table.rows.groupby("study_id")["label"].first().to_dict() == labels


def test_real_series_have_their_blank_slices_left_out(shared_data: Path, settings: Settings) -> None:
    cohort = scan_cohort(shared_data / "rsna_dicom")
    table = build_table(cohort, PREP.model_copy(update={"slice_choice": "all"}), settings)
    assert dict(zip(["00008", "00430"], table.blank_counts, strict=True)) == {"00008": 8, "00430": 13}
    assert table.rows.groupby("study_id").size().to_dict() == {"00008": 7, "00430": 47}


def test_progress_may_cancel_and_keeps_what_was_done(cohort: Cohort, settings: Settings) -> None:
    def stop(done: int, total: int, what: str = "") -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_table(cohort, PREP, settings, progress=stop)
    assert len(list((settings.cache / "prepared").iterdir())) == 2


def test_a_killed_preparation_loses_nothing(tmp_path: Path, settings: Settings) -> None:
    make_phantom(tmp_path / "phantom", PhantomConfig(studies=4, slices=24, size=128))
    entries = settings.cache / "prepared"
    command = [sys.executable, "-m", "core", "prepare", str(tmp_path / "phantom"), "--jobs", "2"]
    environment = {**os.environ, "MGMT_LAB_HOME": str(settings.home), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, start_new_session=True) as process:
        while len(list(entries.glob("*/meta.json"))) < 3 and process.poll() is None:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)  # its workers are killed with it
    assert process.returncode == -signal.SIGKILL
    done = {path.parent.name: path.stat().st_mtime_ns for path in entries.glob("*/meta.json")}
    assert 3 <= len(done) < 16
    cohort = scan_cohort(tmp_path / "phantom", settings=settings)
    prep = find_preset("honest").config.prep
    table = build_table(cohort, prep, settings)
    assert not table.faults
    assert len(table.arrays) == 16
    again = {path.parent.name: path.stat().st_mtime_ns for path in entries.glob("*/meta.json")}
    assert done.items() <= again.items()
    afresh = build_table(cohort, prep, replace(settings, home=tmp_path / "other"))
    assert table.rows.equals(afresh.rows)
    assert all(np.array_equal(one, other) for one, other in zip(table.arrays, afresh.arrays, strict=True))
