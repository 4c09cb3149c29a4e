"""A cohort processed from raw: a folder of studies that is read as any other cohort."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.cohorts.processed import LIST
from core.data.raw.config import RawConfig
from core.data.raw.process import ProcessedStudy, process_study
from core.data.study import Cohort, Fault, Study
from core.errors import DataError
from core.files import write_atomic
from core.mri import CLASS_NAMES
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.settings import Settings

LABEL_FILE = "labels.csv"
COLUMNS = {"extent": "extent_of_resection"}
"""Covariates whose column has another name in a label table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOutcome:
    """What became of each study."""

    processed: tuple[ProcessedStudy, ...]
    refused: tuple[tuple[str, str], ...]
    """Id and reason of each study that was refused."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with the CPU time of each series that was processed now."""
        fresh = [one.record for one in self.processed if not one.reused]
        series = sum(len(record["series"]) for record in fresh)
        return {
            "processed": len(self.processed),
            "reused": sum(one.reused for one in self.processed),
            "refused": [{"study_id": study_id, "reason": reason} for study_id, reason in self.refused],
            "cpu_seconds_per_series": (
                round(sum(record["cpu_seconds"] for record in fresh) / series, 2) if series else None
            ),
        }


def process_studies(
    cohort: Cohort,
    config: RawConfig,
    folder: Path,
    settings: Settings,
    *,
    jobs: int | None = None,
    progress: Progress = silent,
) -> RawOutcome:
    """Process every study of a cohort into a folder of its own; one that fails is refused with the reason.

    Parameters
    ----------
    cohort
        Not changed.
    config
        Which steps.
    folder
        What was made in it before of the same files is kept.
    settings
        The limits.
    jobs
        Processes, by default as many as this installation has threads; each needs up to 2 GB.
    progress
        Called after each study; may raise to cancel, and what was made by then stays.

    Raises
    ------
    ConfigError
        Brain extraction is asked for and not installed.
    """
    tasks = [(study, config, folder / folder_name(study), settings, cohort.synthetic) for study in cohort]
    processed: dict[str, ProcessedStudy] = {}
    refused: dict[str, str] = {}
    found = run_tasks(_process, tasks, jobs=jobs or settings.threads, ordered=False)
    for done, (study_id, outcome) in enumerate(found, start=1):
        if isinstance(outcome, str):
            refused[study_id] = outcome
        else:
            processed[study_id] = outcome
        progress(done, len(tasks), study_id)
    return RawOutcome(
        processed=tuple(processed[study_id] for study_id in sorted(processed)), refused=tuple(sorted(refused.items()))
    )


def process_scan(
    cohort: Cohort, config: RawConfig, folder: Path, settings: Settings, progress: Progress = silent
) -> Cohort:
    """Return what was handed in, processed from raw in this process; what was refused becomes a fault.

    `progress` is called within each study, as :func:`core.data.raw.process.process_study` does.

    Raises
    ------
    DataError
        All its studies were refused; the reason is the first one's.
    ConfigError
        Brain extraction is asked for and not installed.
    """
    found = [
        _process(study, config, folder / folder_name(study), settings, cohort.synthetic, progress)
        for study in sorted(cohort, key=lambda study: study.study_id)
    ]
    refused = [Fault(path=study_id, reason=outcome) for study_id, outcome in found if isinstance(outcome, str)]
    if len(refused) == len(found):
        raise DataError(refused[0].reason)
    return replace(
        cohort,
        studies=tuple(outcome.study for _, outcome in found if not isinstance(outcome, str)),
        faults=(*cohort.faults, *refused),
        notes=(*cohort.notes, f"Processed from {config.name}."),
    )


def process_cohort(
    cohort: Cohort,
    config: RawConfig,
    folder: Path,
    settings: Settings,
    *,
    target: str | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
) -> RawOutcome:
    """Process a cohort into a folder that is a cohort itself: ids, persons, sessions, labels and covariates stay.

    Parameters are those of :func:`process_studies`; `target` names the column of labels other than MGMT.

    Raises
    ------
    DataError
        All studies were refused; the reason is the first one's.
    """
    outcome = process_studies(cohort, config, folder, settings, jobs=jobs, progress=progress)
    if not outcome.processed:
        first = outcome.refused[0]
        raise DataError(f"All {len(outcome.refused)} studies were refused; the first: {first[1]}")
    refused = dict(outcome.refused)
    entries = [
        {
            "study_id": study.study_id,
            "person": study.person,
            "session": study.session,
            "site": str(study.covariates.get("site", "")),
            "folder": folder_name(study),
            "refused": _shorten(refused.get(study.study_id, study.excluded), study.study_id),
        }
        for study in (*cohort.studies, *cohort.excluded)
    ]
    document = {
        "processing": config.name,
        "source_adapter": cohort.adapter,
        "source_digest": cohort.digest,
        "studies": entries,
    }
    if cohort.labelled:
        write_atomic(folder / LABEL_FILE, _label_table([*cohort.studies], cohort, target))
    else:
        (folder / LABEL_FILE).unlink(missing_ok=True)  # a table without a row is refused where it is read
    write_atomic(folder / LIST, json.dumps(document, indent=1))
    return outcome


def folder_name(study: Study) -> str:
    """Return the name of a study's folder: its id, without what a file system may not take."""
    return re.sub(r"[^\w.\-]", "_", study.study_id)


def _process(
    study: Study, config: RawConfig, folder: Path, settings: Settings, synthetic: bool, progress: Progress = silent
) -> tuple[str, ProcessedStudy | str]:
    """Process one study, in whichever process; a failure comes back as its reason."""
    try:
        return study.study_id, process_study(study, config, folder, settings, synthetic=synthetic, progress=progress)
    except (DataError, RuntimeError) as error:  # SimpleITK raises RuntimeError alone
        reason = (
            str(error) if isinstance(error, DataError) else f"Study {study.study_id}: {str(error).splitlines()[-1]}"
        )
        return study.study_id, reason


def _shorten(reason: str, study_id: str) -> str:
    """Return which check of which series a study failed, without its figures, so that reasons can be counted."""
    step, _, _ = reason.removeprefix(f"Study {study_id}, ").partition(":")
    return f"{step} failed its check" if reason.startswith(f"Study {study_id}, ") else reason


def _label_table(studies: Sequence[Study], cohort: Cohort, target: str | None) -> str:
    """Return labels and covariates as CSV; a study without a label stands in no row."""
    column = "MGMT_value" if cohort.class_names == CLASS_NAMES else target or "label"
    named = sorted({name for study in studies for name in study.covariates} - {column.lower()})
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["study_id", column, *(COLUMNS.get(name, name) for name in named)])
    for study in studies:
        if study.label is not None:
            value = study.label if cohort.class_names == CLASS_NAMES else cohort.class_names[study.label]
            table.writerow([study.study_id, value, *(study.covariates.get(name, "") for name in named)])
    return written.getvalue()
