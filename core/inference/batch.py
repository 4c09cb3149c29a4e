"""Predictions of a whole cohort in one table: a row for each study, written as it is answered, and resumed."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.index.layout import PHASES, is_sequence_folder
from core.data.study import Cohort, Study
from core.errors import ConfigError, MGMTLabError, may_pass
from core.files import check_writable, digest_file, inert_cell, write_atomic
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.models.card import ENSEMBLE, read_ensemble
from core.progress import Progress, silent

COLUMNS = (
    *("study_id", "person", "session", "probability", "prediction", "set", "abstained", "reason", "warnings", "error"),
    *("folder", "scan", "checkpoint"),
)
"""Of the table: ``set`` has the possible classes ("none" where no class fits); ``folder`` is where the study's files lie;
``scan`` and ``checkpoint`` are digests of what was read and of what answered, by which a later call knows its own rows."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What the table holds after a call."""

    rows: tuple[Row, ...]
    """As written, in the order of the studies."""
    kept: int
    """Rows of an earlier call that were taken over."""
    stopped: bool = False
    """Whether somebody stopped it; the same call resumes it."""

    @property
    def failed(self) -> int:
        """Studies that could not be predicted."""
        return sum(bool(row["error"]) for row in self.rows)

    @property
    def abstained(self) -> int:
        """Studies on which the checkpoint abstains."""
        return sum(row["abstained"] == "true" for row in self.rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as in ``predict --csv --json``: numbers as numbers, what is empty as null."""
        return [
            {
                **{name: row[name] or None for name in COLUMNS},
                "probability": float(row["probability"]) if row["probability"] else None,
                "abstained": row["abstained"] == "true" if row["abstained"] else None,
                "reason": row["reason"],
            }
            for row in self.rows
        ]


def predict_cohort(
    predictor: Predictor,
    cohort: Cohort,
    path: Path,
    *,
    anyway: bool = False,
    begin_anew: bool = False,
    progress: Progress = silent,
    is_stopped: Callable[[], bool] = lambda: False,
) -> BatchResult:
    """Predict every study of a cohort, labelled or not, and return the table that was written to `path`.

    The table is replaced as a whole after each study, so that a reader never sees half a row and a process that is killed
    loses the study at hand alone. The same call takes over the rows that are there; those with an error, also of the moment, are tried again.

    Parameters
    ----------
    cohort
        Studies that take no part in training for want of a label are predicted, too.
    anyway
        Write the probability also where the checkpoint abstains.
    begin_anew
        Drop rows of another checkpoint, of scans that changed and of studies that are not there.
    progress
        Called after each study.
    is_stopped
        Asked before each study.

    Raises
    ------
    ConfigError
        The table has such rows, or it is another table.
    StorageError
        It cannot be written.
    """
    answered_by = digest_checkpoint(predictor.path) + (" anyway" if anyway else "")
    wanted = {_cell(study.study_id): (study, _start_row(study, answered_by)) for study in _list_studies(cohort)}
    lost = {_cell(name): _lost_row(name, reason, answered_by) for name, reason in _list_lost(cohort, wanted)}
    known = _read_rows(path)
    check_writable(path)
    mine = {
        name: row
        for name, row in known.items()
        if row["error"] or (name in wanted and all(row[key] == wanted[name][1][key] for key in ("scan", "checkpoint")))
    }
    if len(mine) < len(known) and not begin_anew:
        raise ConfigError(
            f"{path} has {len(known) - len(mine)} rows of another checkpoint, of scans that have changed, or of studies that "
            "are not in this cohort; name another file, or add --replace to predict these again."
        )
    kept_rows = {name: row for name, row in mine.items() if name in wanted and not row["error"]}
    rows = {name: row for name, row in kept_rows.items() if not may_pass(row["warnings"])}
    kept, total = len(rows), len(wanted)
    stopped = False
    progress(kept, total, "taken over" if kept else "")
    for name, (study, start) in wanted.items():
        if name in rows:
            continue
        stopped = is_stopped()
        if stopped:
            break
        rows[name] = _predict_row(predictor, study, start, synthetic=cohort.synthetic, anyway=anyway)
        write_atomic(path, _render(_in_order(rows, wanted)), durable=False)
        progress(len(rows), total, study.study_id)
    done = (*_in_order(rows, wanted), *lost.values())
    write_atomic(path, _render(done))
    return BatchResult(rows=done, kept=kept, stopped=stopped)


def read_predictions(path: Path) -> list[Row]:
    """Return the rows of a table of :func:`predict_cohort`; none where there is no file yet.

    Raises
    ------
    ConfigError
        It is another table.
    """
    return list(_read_rows(path).values())


def digest_checkpoint(path: Path) -> str:
    """Return twelve hex digits over a checkpoint's bytes; of an ensemble, over those of its members and its own."""
    files = [path, *(read_ensemble(path)[0] if path.name == ENSEMBLE else ())]
    return hashlib.sha256("".join(digest_file(file) for file in files).encode()).hexdigest()[:12]


def describe_set(prediction: Prediction) -> str:
    """Return the possible classes, "methylated or unmethylated"; "none" where no class fits, nothing where nobody knows."""
    if prediction.possible is None:
        return ""
    return " or ".join(prediction.possible) or "none"


def _list_studies(cohort: Cohort) -> list[Study]:
    """Every study that was found, also those that take no part in training; ids twice are told apart by their number."""
    found = sorted((*cohort.studies, *cohort.excluded), key=lambda study: study.study_id)
    counts: dict[str, int] = {}
    listed = []
    for study in found:
        counts[study.study_id] = number = counts.get(study.study_id, 0) + 1
        listed.append(study if number == 1 else replace(study, study_id=f"{study.study_id} ({number})"))
    return listed


def _list_lost(cohort: Cohort, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the folders of which no study came, because nothing in them can be read, each with the first reason."""
    seen = set()
    for fault in cohort.faults:
        place = Path(fault.path)
        parts = [part for part in place.parts[:-1] or place.parts if part.lower() not in PHASES]
        while len(parts) > 1 and is_sequence_folder(Path(parts[-1])):
            parts.pop()
        if not parts or any(_cell(part) in known for part in place.parts) or parts[-1] in seen:
            continue
        seen.add(parts[-1])
        yield parts[-1], f"{fault.path}: {fault.reason}"


def _start_row(study: Study, checkpoint: str) -> Row:
    folders = {path.parent for series in study.series for path in series.files}
    row = dict.fromkeys(COLUMNS, "")
    return row | {
        "study_id": _cell(study.study_id),
        "person": _cell(study.person),
        "session": _cell(study.session),
        "folder": _cell(os.path.commonpath(folders) if folders else ""),
        "scan": _digest_scan(study),
        "checkpoint": checkpoint,
    }


def _lost_row(name: str, reason: str, checkpoint: str) -> Row:
    return dict.fromkeys(COLUMNS, "") | {"study_id": _cell(name), "error": _cell(reason), "checkpoint": checkpoint}


def _digest_scan(study: Study) -> str:
    """Twelve hex digits over what the series are taken for, and over their files' names, sizes and times."""
    digest = hashlib.sha256()
    for series in study.series:
        digest.update(f"{series.sequence}|{series.series_uid}\n".encode(errors="surrogateescape"))
        for path in series.files:
            try:
                state = path.stat()
                line = f"{path.name}|{state.st_size}|{state.st_mtime_ns}\n"
            except OSError:
                line = f"{path.name}|gone\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:12]


def _predict_row(predictor: Predictor, study: Study, start: Row, *, synthetic: bool, anyway: bool) -> Row:
    if not study.series:
        return start | {"error": _cell(study.excluded or "it has no series")}
    try:
        prediction = predictor.predict(study, synthetic=synthetic)
    except MGMTLabError as error:
        return start | {"error": _cell(str(error))}
    shown = anyway or not prediction.abstained
    return start | {
        "probability": f"{prediction.probability:.6f}" if shown else "",
        "prediction": _cell(prediction.prediction) if shown else "",
        "set": _cell(describe_set(prediction)) if shown else "",
        "abstained": str(prediction.abstained).lower(),
        "reason": _cell(prediction.reason),
        "warnings": _cell(" | ".join(prediction.warnings)),
    }


def _in_order(rows: dict[str, Row], wanted: Iterable[str]) -> tuple[Row, ...]:
    return tuple(rows[name] for name in wanted if name in rows)


def _cell(text: str) -> str:
    """One line of text that no spreadsheet takes for a formula and every file can hold."""
    line = " ".join(text.split())
    return str(inert_cell("".join(one if one.isprintable() else "?" for one in line)))


def _render(rows: Iterable[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read_rows(path: Path) -> dict[str, Row]:
    """Read a table of ours, by the cell of the study's id."""
    if not path.exists():
        return {}
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__}); name another file.") from error
    if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row.values() or None in row for row in rows):
        raise ConfigError(f"{path} is no table of predict --csv; name another file, or move that one away.")
    return {row["study_id"]: row for row in rows}
