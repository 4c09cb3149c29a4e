"""A cohort in one table: a row for each study, whatever is wrong with it, and resumed after any end."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.data.cohort import scan_cohort
from core.data.study import Cohort, Study
from core.errors import ConfigError, DicomError
from core.inference.batch import COLUMNS, predict_cohort, read_predictions
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.phantom.config import PhantomConfig
from tests.phantoms import copy_phantom


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cohort"
    copy_phantom(root, PhantomConfig(studies=4, slices=4, size=32))
    (root / "train_labels.csv").unlink()
    return root


@pytest.fixture
def predictor(write_checkpoint: Callable[..., Path]) -> Predictor:
    return Predictor(write_checkpoint(), runtime="torch")


def studies_of(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "train").iterdir() if path.is_dir())


def predict(predictor: Predictor, folder: Path, table: Path, **options: object) -> list[dict[str, str]]:
    predict_cohort(predictor, scan_cohort(folder), table, **options)  # type: ignore[arg-type]
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_study_has_a_row_with_what_predict_says(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    cohort = scan_cohort(folder)
    rows = predict(predictor, folder, tmp_path / "out.csv")
    assert [row["study_id"] for row in rows] == [study.study_id for study in cohort]
    one = predictor.predict(cohort.studies[0], synthetic=True)
    assert float(rows[0]["probability"]) == pytest.approx(one.probability, abs=1e-6)
    assert (rows[0]["prediction"], rows[0]["abstained"], rows[0]["error"]) == (one.prediction, "false", "")
    assert rows[0]["person"] == cohort.studies[0].person
    assert Path(rows[0]["folder"]) == studies_of(folder)[0]
    assert rows[0]["warnings"] == " | ".join(one.warnings)


def test_what_cannot_be_read_has_its_row_and_the_rest_goes_on(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    broken, half = studies_of(folder)[:2]
    for path in broken.rglob("*.dcm"):
        path.write_bytes(b"no DICOM")
    for sequence in ("FLAIR", "T2w"):  # all that the checkpoint knows
        shutil.rmtree(half / sequence)
    rows = {row["study_id"]: row for row in predict(predictor, folder, tmp_path / "out.csv")}
    assert len(rows) == 4
    assert "Image-" in rows[broken.name]["error"]
    assert "was trained on" in rows[half.name]["error"]
    assert sum(bool(row["probability"]) for row in rows.values()) == 2


def test_an_interrupted_table_is_whole_and_resumed(
    predictor: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, asked, honest = tmp_path / "out.csv", [], predictor.predict

    def ask(study: Study, **options: object) -> Prediction:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(study.study_id)
        return honest(study, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(predictor, "predict", ask)
    with pytest.raises(KeyboardInterrupt):
        predict(predictor, folder, table)
    assert [row["study_id"] for row in read_predictions(table)] == asked
    first = table.read_text().splitlines()[1:]
    monkeypatch.setattr(predictor, "predict", honest)
    result = predict_cohort(predictor, scan_cohort(folder), table)
    assert (result.kept, len(result.rows)) == (2, 4)
    assert table.read_text().splitlines()[1:3] == first
    predict(predictor, folder, tmp_path / "at_once.csv")
    assert table.read_text() == (tmp_path / "at_once.csv").read_text()


def test_a_stopped_table_lacks_rows_and_says_so(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    stops = iter((False, True))
    result = predict_cohort(predictor, scan_cohort(folder), tmp_path / "out.csv", is_stopped=lambda: next(stops))
    assert result.stopped
    assert len(read_predictions(tmp_path / "out.csv")) == 1


def test_another_checkpoint_or_a_changed_scan_is_seen(
    predictor: Predictor, folder: Path, tmp_path: Path, write_checkpoint: Callable[..., Path]
) -> None:
    table = tmp_path / "out.csv"
    before = predict(predictor, folder, table)
    other = Predictor(write_checkpoint("other", threshold=0.4), runtime="torch")
    with pytest.raises(ConfigError, match="4 rows of another checkpoint"):
        predict(other, folder, table)
    os.utime(next(iter((studies_of(folder)[1] / "FLAIR").iterdir())), (0, 0))
    with pytest.raises(ConfigError, match="1 rows of"):
        predict(predictor, folder, table)
    after = predict(predictor, folder, table, begin_anew=True)
    next(iter((studies_of(folder)[2] / "FLAIR").iterdir())).unlink()
    after = predict(predictor, folder, table, begin_anew=True)
    changed = [old["study_id"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [one.name for one in studies_of(folder)[1:3]]
    shutil.rmtree(studies_of(folder)[0])
    with pytest.raises(ConfigError, match="not in this cohort"):
        predict(predictor, folder, table)


def test_a_study_that_failed_is_tried_again(
    predictor: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Prediction:
        raise DicomError("the disk\nwas away")

    with monkeypatch.context() as patch:
        patch.setattr(predictor, "predict", fail)
        assert {row["error"] for row in predict(predictor, folder, tmp_path / "out.csv")} == {"the disk was away"}
    assert {row["error"] for row in predict(predictor, folder, tmp_path / "out.csv")} == {""}


def test_an_abstained_answer_has_no_number_unless_it_is_asked_for(
    predictor: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = predictor.predict

    def abstain(study: Study, **options: object) -> Prediction:
        answer = honest(study, **options)  # type: ignore[arg-type]
        return replace(answer, reason="no brain", guard="abstained")

    monkeypatch.setattr(predictor, "predict", abstain)
    row = predict(predictor, folder, tmp_path / "out.csv")[0]
    assert (row["probability"], row["prediction"], row["set"]) == ("", "", "")
    assert (row["abstained"], row["reason"]) == ("true", "no brain")
    with pytest.raises(ConfigError, match="--replace"):
        predict(predictor, folder, tmp_path / "out.csv", anyway=True)
    assert predict(predictor, folder, tmp_path / "anyway.csv", anyway=True)[0]["probability"]


def test_hostile_ids_stay_in_their_cells(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    cohort = scan_cohort(folder)
    ids = ('=cmd|"/C calc"!A1', "two\nlines,\x00\udcff", "same", "same")
    named = [replace(study, study_id=name) for study, name in zip(cohort, ids, strict=True)]
    hostile = Cohort(root=cohort.root, layout="rsna", studies=tuple(named[:2]), excluded=tuple(named[2:]))
    predict_cohort(predictor, hostile, tmp_path / "out.csv")
    rows = read_predictions(tmp_path / "out.csv")
    assert [row["study_id"] for row in rows] == ["'" + ids[0], "same", "same (2)", "two lines,??"]
    assert all(tuple(row) == COLUMNS for row in rows)
    assert predict_cohort(predictor, hostile, tmp_path / "out.csv").kept == 4


def test_another_table_is_not_written_over(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("patient,age\n1,40\n")
    with pytest.raises(ConfigError, match="no table of predict"):
        predict(predictor, folder, table, begin_anew=True)
    assert table.read_text() == "patient,age\n1,40\n"
