"""The page of an answer: what a reader must see is there, nothing that is withheld is, and no text breaks out."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.data.study import Cohort
from core.data.upload import open_scan
from core.evaluation.figure import estimand_of
from core.inference.predict import Predictor
from core.inference.prediction import OtherAnswer, Prediction
from core.phantom.study import make_sample_study
from core.reports.answer import RESEARCH, AnswerReport, describe_answer, write_html
from core.reports.answer_pdf import write_pdf
from core.settings import Settings


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample_study(tmp_path_factory.mktemp("scan"), seed=4, mgmt_value=1)


@pytest.fixture
def asked(
    write_checkpoint: Callable[..., Path],
    scan: Path,
    tmp_path: Path,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> tuple[Predictor, Cohort, Prediction]:
    metrics = {"test": {"patient": {"auroc": {"value": 0.71, "low": 0.6, "high": 0.8, "n": 90}}}}
    predictor = Predictor(write_checkpoint(metrics=metrics, threshold=getattr(request, "param", 0.5)), runtime="torch")
    cohort = open_scan([scan], tmp_path / "unpacked", settings)
    return predictor, cohort, predictor.predict(cohort.studies[0], synthetic=True)


def read_pdf(reports: list[AnswerReport], tmp_path: Path) -> list[str]:
    """The text of each page, its line breaks as blanks."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (Debian's poppler-utils) is not installed")
    path = tmp_path / "report.pdf"
    path.write_bytes(write_pdf(reports))
    text = subprocess.run(["pdftotext", "-raw", path, "-"], capture_output=True, text=True, check=True).stdout
    return [" ".join(page.split()) for page in text.split("\f")[:-1]]


def read_html(reports: list[AnswerReport]) -> str:
    return re.sub(r"\s+", " ", re.sub(r'src="data:[^"]*"', "", write_html(reports)))


@pytest.mark.parametrize("asked", [0.001, 0.999], indirect=True)
def test_the_page_says_the_answer_and_what_it_is_worth(
    asked: tuple[Predictor, Cohort, Prediction], tmp_path: Path
) -> None:
    predictor, cohort, prediction = asked
    report = describe_answer(predictor, cohort.studies[0], prediction, synthetic=True)
    (page,) = read_pdf([report], tmp_path)
    for text in (page, read_html([report])):
        assert f"{prediction.probability:.3f}" in text
        assert prediction.prediction in text
        assert "0.710 (0.600 to 0.800), n = 90 patients" in text
        assert estimand_of("predict") in text
        assert "This scan is synthetic" in text
        assert "What was checked" in text
        assert "What was not" in text
        assert "was not checked" in text  # the guard has no measured limits
        assert text.count(RESEARCH) == 2
    assert len(report.pictures) == 2
    supporting = [max if prediction.prediction == "methylated" else min][0]
    for part in prediction.series:
        best = supporting(part.slices, key=lambda one: one.probability)
        assert any(
            f"slice {best.slice_index + 1}," in one.caption and part.series.sequence in one.caption
            for one in report.pictures
        )


def test_a_page_says_where_another_checkpoint_says_otherwise(
    asked: tuple[Predictor, Cohort, Prediction], tmp_path: Path
) -> None:
    predictor, cohort, prediction = asked
    other = next(name for name in predictor.card.class_names if name != prediction.prediction)
    for said, words in (
        (other, f"says otherwise of this study: {other} (0.095). They cannot both be right."),
        (prediction.prediction, "says the same of this study (0.095)."),
    ):
        beside = replace(prediction, others=(OtherAnswer(checkpoint="second", prediction=said, probability=0.095),))
        report = describe_answer(predictor, cohort.studies[0], beside)
        for text in (*read_pdf([report], tmp_path), read_html([report])):
            assert f"second {words}" in text
            assert ("Disputed." in text) == (said == other)


def test_a_withheld_answer_is_nowhere_on_the_page(asked: tuple[Predictor, Cohort, Prediction], tmp_path: Path) -> None:
    predictor, cohort, prediction = asked
    refused = replace(prediction, guard="abstained", reason="No brain. Hand in a brain.")
    report = describe_answer(predictor, cohort.studies[0], refused)
    numbers = {f"{one:.3f}" for one in (prediction.probability, *(one.probability for one in prediction.slices))}
    for text in (*read_pdf([report], tmp_path), read_html([report])):
        assert "No answer" in text
        assert "No brain. Hand in a brain." in text
        assert not any(number in text for number in numbers)
        assert f"speaks for {prediction.prediction}" not in text
    for part in prediction.series:  # not even which slice is the most telling
        middle = part.slices[len(part.slices) // 2]
        assert any(f"slice {middle.slice_index + 1}," in one.caption for one in report.pictures)
    anyway = describe_answer(predictor, cohort.studies[0], refused, anyway=True)
    for text in (*read_pdf([anyway], tmp_path), read_html([anyway])):
        assert "Refused, and shown anyway, for study: No brain." in text
        assert f"{prediction.probability:.3f}. It means nothing for this scan" in text
        assert "the threshold of" not in text
        assert "<svg" not in text


def test_hostile_text_does_not_break_out_and_every_page_says_research(
    asked: tuple[Predictor, Cohort, Prediction], tmp_path: Path
) -> None:
    predictor, cohort, prediction = asked
    hostile = '</para><script>alert(1)</script><img src="x"/>&lt;b> Łódź 脳\x00\u202e'
    loud = replace(
        prediction, study_id=hostile, warnings=tuple(f"{hostile} {number} " + "word " * 90 for number in range(9))
    )
    report = describe_answer(predictor, cohort.studies[0], loud)
    html = read_html([report])
    assert "<script" not in html
    assert html.count("<img") == len(report.pictures)
    pages = read_pdf([report, replace(report, study_id="second")], tmp_path)
    assert '</para><script>alert(1)</script><img src="x"/>&lt;b> Łódź □' in pages[0]
    assert "and 3 more" in " ".join(pages)
    assert any(page.startswith(f"{RESEARCH} Study second") or "Study second" in page for page in pages[1:])
    assert all(page.count(RESEARCH) == 2 for page in pages)
