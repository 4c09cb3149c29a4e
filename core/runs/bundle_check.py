"""Check the files of an imported run: every document is parsed strictly, every figure is computed again.

The zip is untrusted. Nothing in it is unpickled, and nothing is shown that was not checked here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from core.config import RunConfig, parse_config
from core.dataset.predictions import check_predictions
from core.dataset.split import Split
from core.errors import MGMTLabError, RunError
from core.evaluation.conformal import ConformalRule
from core.evaluation.figure import Figure
from core.files import DOCUMENT_BYTES, read_document
from core.models.card import CheckpointCard
from core.runs.epoch_figures import read_selection
from core.runs.evaluation import Evaluation, EvaluationRecord, store_evaluation, with_figures
from core.runs.folder import RunFolder
from core.runs.persons import FILE as PERSONS
from core.runs.persons import read_persons
from core.runs.records import DataSource, EpochRecord, RunEnvironment, RunStatus
from core.runs.tags import check_tags

MOST_EPOCHS = 100_000
LONGEST_NOTE = 2000
EVALUATION_NAME = re.compile(r"evaluation-(test|val|data)(?:-([0-9a-f]{12}))?\.json")


def check_contents(run: RunFolder) -> tuple[RunStatus, DataSource]:
    """Check every file of an unpacked run, and store its evaluations with figures computed again.

    Returns
    -------
    tuple
        The run's state and where its data lay, as the zip has them.

    Raises
    ------
    RunError
        A file is missing, damaged, or does not belong to the others; it is named with the reason.
    """
    config, status, source = _documents(run)
    split = None
    if (run.path / "split.json").exists():
        with member_errors("split.json"):
            split = Split.from_json(read_small(run.path / "split.json"))
    if (run.path / "environment.json").exists():
        with member_errors("environment.json"):
            RunEnvironment.model_validate_json(read_small(run.path / "environment.json"))
    if (run.path / "tags.json").exists():
        with member_errors("tags.json"):
            check_tags(read_document(run.path / "tags.json"))
    with member_errors(PERSONS):
        read_persons(run)
    _check_epochs(run.path / "epochs.jsonl")
    card = _check_weights(run, config, split)
    predictions = run.path / "predictions.parquet"
    if predictions.exists():
        if card is None:
            raise RunError("predictions.parquet has no best.safetensors beside it that says of which classes it is.")
        with member_errors(predictions.name):
            check_predictions(predictions, len(card.class_names))
            read_selection(run, card)
    for path in sorted(run.path.glob("evaluation-*")):
        if path.suffix == ".json":
            _check_evaluation(run, path, card)
        elif not path.with_suffix(".json").exists():
            raise RunError(f"{path.name} has no {path.with_suffix('.json').name} beside it.")
    return status, source


@contextmanager
def member_errors(member: str) -> Iterator[None]:
    """Turn any error about one member of the zip into a RunError that names it."""
    try:
        yield
    except (MGMTLabError, ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
        raise RunError(f"{member} cannot be used: {_first_line(error)}") from error


def read_small(path: Path) -> str:
    """Return a document's text; raises RunError where it is missing or larger than any that we write."""
    if not path.is_file():
        raise RunError(f"{path.name} is missing.")
    if path.stat().st_size > DOCUMENT_BYTES:
        raise RunError(f"{path.name} has more than {DOCUMENT_BYTES // 2**20} MB, which no exported run has.")
    return path.read_text(encoding="utf-8")


def _documents(run: RunFolder) -> tuple[RunConfig, RunStatus, DataSource]:
    with member_errors("config.json"):
        config = parse_config(read_small(run.path / "config.json"))
    with member_errors("status.json"):
        status = RunStatus.model_validate_json(read_small(run.path / "status.json"))
        for moment in (status.created, status.queued, status.started, status.finished):
            if moment:
                datetime.fromisoformat(moment)
        if len(status.note) > LONGEST_NOTE:
            raise ValueError(f"its note has more than {LONGEST_NOTE} characters")
    with member_errors("data.json"):
        source = DataSource.model_validate_json(read_small(run.path / "data.json"))
    return config, status, source


def _check_epochs(path: Path) -> None:
    if not path.exists():
        return
    with member_errors(path.name):
        lines = read_small(path).splitlines()
        if len(lines) > MOST_EPOCHS:
            raise ValueError(f"it has more than {MOST_EPOCHS} epochs")
        for line in lines:
            EpochRecord.model_validate_json(line)


def _check_weights(run: RunFolder, config: RunConfig, split: Split | None) -> CheckpointCard | None:
    from core.models.checkpoint import load_model

    if not run.checkpoint.exists():
        return None
    with member_errors("best.safetensors"):
        try:
            _, card = load_model(run.checkpoint)
        except MGMTLabError as error:
            raise ValueError(str(error).replace(str(run.checkpoint), "the file")) from error
        if card.config != config:
            raise ValueError("its card is of another configuration than config.json")
        if split is None or (card.split_digest, card.cohort_digest) != (split.digest, split.cohort_digest):
            raise ValueError("its card is of another split than split.json")
        if not (len(card.class_names) >= 2 and 0 <= card.positive_class < len(card.class_names)):
            raise ValueError("its card names no positive class")
        if not (0 < card.temperature < math.inf and 0 <= card.threshold <= 1):
            raise ValueError("its threshold or its temperature is none")
        if set(card.metrics) - {"val"} or set(card.metrics.get("val", {})) - {"patient", "slice"}:
            raise ValueError("its figures are not those of validation patients and slices")
        for level in card.metrics.get("val", {}).values():
            TypeAdapter(dict[str, Figure]).validate_python(level)
        if card.conformal:
            TypeAdapter(ConformalRule).validate_python(card.conformal)
    return card


def _check_evaluation(run: RunFolder, path: Path, card: CheckpointCard | None) -> None:
    """Evaluate again from the stored logits: a figure that was written by hand is not imported."""
    named = EVALUATION_NAME.fullmatch(path.name)
    if named is None or (named[1] == "data") != bool(named[2]):
        raise RunError(f"{path.name} is no evaluation that an exported run has.")
    if card is None:
        raise RunError(f"{path.name} has no best.safetensors beside it that was evaluated.")
    with member_errors(path.name):
        stated = EvaluationRecord.model_validate_json(read_small(path))
        frame = check_predictions(path.with_suffix(".parquet"), len(card.class_names))
        evaluation = Evaluation(
            part=named[1],  # type: ignore[arg-type]
            **stated.model_dump(exclude={"notes"}),
            notes=tuple(stated.notes),
            class_names=card.class_names,
            positive_class=card.positive_class,
            patient={},
            slice={},
            frame=frame,
            aggregation=card.config.aggregation,
            top_k=card.config.top_k,
        )
        store_evaluation(run, with_figures(evaluation, card), named[2] or "")


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(step) for step in first['loc']) or 'it'}: {first['msg']}"
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__
