"""predict: ask a checkpoint about scans."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from core.cli.output import Outcome, table
from core.cli.scans.scan import (
    checkpoint_line,
    describe_source,
    headline,
    open_scan,
    predict_all,
    source_lines,
)
from core.inference.prediction import Prediction
from core.settings import Settings


def predict(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Predict every study handed in."""
    with open_scan(arguments, settings) as (predictor, cohort):
        predictions, failures = predict_all(predictor, cohort)
        document = {
            "studies": [prediction.to_dict() for prediction in predictions],
            **describe_source(predictor, cohort, failures),
        }
    lines: list[str] = []
    for prediction in predictions:
        header = ("sequence", "slice", "position mm", "probability", "file")
        lines += [*headline(prediction, predictor), *table(_slice_rows(prediction), header), ""]
    return Outcome(document=document, lines=[*lines, *source_lines(cohort, failures), checkpoint_line(predictor)])


def _slice_rows(prediction: Prediction) -> Iterator[tuple[object, ...]]:
    for answer in prediction.slices:
        yield answer.sequence, answer.slice_index, answer.position_mm, answer.probability, answer.file
