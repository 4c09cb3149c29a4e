"""predict: ask a checkpoint about scans."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.cli.output import Outcome, plain, table
from core.cli.parser import UsageError
from core.cli.scans.cohort import predict_folder
from core.cli.scans.scan import checkpoint_line, headline, open_scan, source_lines, study_progress
from core.data.study import Cohort
from core.files import check_writable, write_atomic
from core.inference.handed_in import describe_source, predict_all
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.reports.answer import describe_answer
from core.settings import Settings


def predict(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Predict every study handed in, or with --csv those of a whole cohort."""
    if arguments.report:
        _check_report(arguments)
    if arguments.bf16:
        if arguments.runtime == "onnx":
            raise UsageError("--bf16 is computed with PyTorch, --runtime onnx with onnxruntime; leave one of them out.")
        arguments = argparse.Namespace(**{**vars(arguments), "runtime": "bf16"})
    if arguments.csv:
        return predict_folder(arguments, settings)
    with open_scan(arguments, settings) as (predictor, cohort):
        predictions, failures = predict_all(predictor, cohort, study_progress)
        document = {
            "studies": [prediction.to_dict(arguments.anyway) for prediction in predictions],
            **describe_source(predictor, cohort, failures),
        }
        if arguments.report:
            _write_report(arguments, predictor, cohort, predictions)
            document["report"] = arguments.report
    lines: list[str] = []
    for prediction in predictions:
        header = ("sequence", "slice", "position mm", "probability", "file")
        lines += headline(prediction, predictor, anyway=arguments.anyway)
        if arguments.anyway or not prediction.abstained:
            lines += table(_slice_rows(prediction), header)
        lines.append("")
    if arguments.report:
        lines.append(f"Written: {plain(arguments.report)}")
    return Outcome(document=document, lines=[*lines, *source_lines(cohort, failures), checkpoint_line(predictor)])


def _check_report(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is computed, a report that cannot be written."""
    if arguments.csv:
        raise UsageError("--report is of the scans that are named, --csv of a cohort; give one of them.")
    if Path(arguments.report).suffix.lower() not in (".html", ".pdf"):
        raise UsageError(f"--report {arguments.report}: name a file that ends in .pdf or .html.")
    check_writable(Path(arguments.report).expanduser())


def _write_report(
    arguments: argparse.Namespace, predictor: Predictor, cohort: Cohort, predictions: Sequence[Prediction]
) -> None:
    """Write a page for each study; reportlab and matplotlib are imported when it is asked for."""
    reports = [
        describe_answer(predictor, cohort[one.study_id], one, synthetic=cohort.synthetic, anyway=arguments.anyway)
        for one in predictions
    ]
    from core.reports.answer_pdf import write_answers

    path = Path(arguments.report).expanduser()
    write_atomic(path, write_answers(path.suffix.lower().lstrip("."), reports))


def _slice_rows(prediction: Prediction) -> Iterator[tuple[object, ...]]:
    for answer in prediction.slices:
        yield answer.sequence, answer.slice_index, answer.position_mm, answer.probability, answer.file
