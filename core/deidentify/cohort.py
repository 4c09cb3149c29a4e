"""De-identify a cohort: plan where each file goes, write what is not yet there, say what was left out."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from core.data.clinical.participants import order_sessions
from core.data.formats.discovery import natural_key, relative_to, walk_files
from core.data.study import Cohort, Fault, Series, Study
from core.deidentify.images import write_dicom, write_nifti, write_picture
from core.deidentify.pseudonyms import Pseudonyms
from core.errors import ConfigError, DataError
from core.files import read_document, write_atomic
from core.mri import CLASS_NAMES, MRSequence
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.settings import Settings

REPORT = "deidentified.json"
"""Counts of a complete copy, in the copy; nothing of the source."""
PICTURE_LAYOUTS = ("phases", "classes", "flat")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """One series, and where its files go."""

    person: str
    number: str
    description: str
    kind: str
    slice_axis: int | None
    files: tuple[tuple[Path, Path], ...]
    """Source and target of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deidentified:
    """What was written, and what was not."""

    out: Path
    studies: int
    persons: int
    files: int
    already_there: int
    """Files that an earlier, interrupted run had written."""
    labels: int
    not_copied: tuple[Fault, ...]
    """Files of the source that are not in the copy, each with the reason."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As ``deidentify --json`` prints it."""
        return {
            "out": str(self.out),
            "studies": self.studies,
            "persons": self.persons,
            "files": self.files,
            "already_there": self.already_there,
            "labels": self.labels,
            "not_copied": [{"path": fault.path, "reason": fault.reason} for fault in self.not_copied],
            "warnings": list(self.warnings),
        }


def deidentify_cohort(
    cohort: Cohort,
    out: Path,
    settings: Settings,
    *,
    mapping: Path | None = None,
    jobs: int | None = None,
    progress: Progress = silent,
) -> Deidentified:
    """Write a copy of a cohort that does not tell whose its scans are; the source is only read.

    The copy is laid out as the competition's (train/00001/FLAIR, train_labels.csv), class folders stay class folders, and
    pseudonyms take the place of all names. An interrupted copy is resumed by the same call.

    Parameters
    ----------
    cohort
        All sessions of it: those that are excluded are copied, too.
    out
        The copy's folder: new, empty, or an interrupted copy of this cohort.
    settings
        The limits, and where the key of an unfinished copy lies.
    mapping
        Where the table of persons, pseudonyms and shifts in days is written; by default nowhere.
    jobs
        Processes; by default as many as this installation has threads.
    progress
        Called after each series.

    Raises
    ------
    ConfigError
        `out` or `mapping` would mix with the source or another copy.
    StorageError
        The disk is full.
    """
    _check_places(cohort.root.resolve(), out, mapping)
    state = (
        settings.home
        / "deidentify"
        / f"{sha256(f'{cohort.root.resolve()}|{out.resolve()}'.encode()).hexdigest()[:16]}.json"
    )
    pseudonyms = Pseudonyms(_begin(state, out, _source_digest(cohort)))
    studies = [study for study in (*cohort.studies, *cohort.excluded) if study.series]
    numbers = pseudonyms.number_persons(study.person for study in studies)
    names = _name_studies(studies, numbers)
    left_out: list[Fault] = []
    plans = list(_plan(cohort, studies, names, numbers, out, left_out))
    written = skipped = 0
    jobs = jobs or settings.threads
    tasks = [(plan, cohort.root, pseudonyms, settings) for plan in plans]
    for done, (new, old, faults) in enumerate(run_tasks(_write_series, tasks, jobs=jobs, ordered=False), 1):
        written, skipped = written + new, skipped + old
        left_out += faults
        progress(done, len(plans), "series")
    labels = _write_labels(cohort, names, out)
    left_out += _list_others(cohort, plans, left_out)
    if mapping:
        write_atomic(
            mapping, _to_csv(("person", "pseudonym", "shift_days"), _mapping_rows(studies, numbers, pseudonyms))
        )
    report = Deidentified(
        out=out,
        studies=len(studies),
        persons=len(numbers),
        files=written + skipped,
        already_there=skipped,
        labels=labels,
        not_copied=tuple(sorted(left_out, key=lambda fault: natural_key(fault.path))),
        warnings=_warn(left_out, studies),
    )
    counts = {"studies": report.studies, "persons": report.persons, "files": report.files, "labels": labels}
    write_atomic(out / REPORT, json.dumps(counts, indent=1))
    state.unlink()
    return report


def _check_places(root: Path, out: Path, mapping: Path | None) -> None:
    place = out.resolve()
    if place == root or root in place.parents or place in root.parents:
        raise ConfigError(f"{out} and the source {root} lie in each other; name a folder elsewhere with --out.")
    if mapping is not None:
        table = mapping.resolve()
        if place in table.parents or root in table.parents:
            raise ConfigError(f"{mapping} lies in the copy or in its source; keep the mapping elsewhere.")
        if table.exists():
            raise ConfigError(f"{mapping} exists already; name another file for the mapping.")


def _begin(state: Path, out: Path, source_digest: str) -> bytes:
    """Return the key of a copy: a new one, or that of the copy that is resumed."""
    occupied = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if state.is_file() and occupied:
        known = read_document(state)
        if known["source"] != source_digest:
            raise ConfigError(f"The source has changed since the copy {out} was begun; name a new folder with --out.")
        return bytes.fromhex(known["key"])
    if occupied:
        raise ConfigError(f"{out} is not empty; name a new folder with --out.")
    key = secrets.token_bytes(32)
    write_atomic(state, json.dumps({"key": key.hex(), "source": source_digest}))
    state.chmod(0o600)
    return key


def _source_digest(cohort: Cohort) -> str:
    files = sorted(
        str(path) for study in (*cohort.studies, *cohort.excluded) for one in study.series for path in one.files
    )
    return sha256("\n".join([cohort.digest, *files]).encode()).hexdigest()


def _name_studies(studies: Sequence[Study], numbers: dict[str, str]) -> dict[str, str]:
    """Return the copy's path of each study: its person's number, and a session where there are several."""
    of_person: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        of_person[study.person].append(study)
    names = {}
    for person, group in of_person.items():
        ordered = order_sessions(group)
        for place, study in enumerate(ordered, 1):
            names[study.study_id] = f"{numbers[person]}/ses-{place}" if len(ordered) > 1 else numbers[person]
    return names


def _plan(
    cohort: Cohort,
    studies: Iterable[Study],
    names: dict[str, str],
    numbers: dict[str, str],
    out: Path,
    left_out: list[Fault],
) -> Iterable[SeriesPlan]:
    taken: Counter[Path] = Counter()
    planned: set[Path] = set()
    for study in studies:
        for series in study.series:
            if series.burned_in:
                reason = "text may be burned into its pixels; look at it, and take it over by hand if there is none."
                left_out += [Fault(path=relative_to(path, cohort.root), reason=reason) for path in series.files]
                continue
            known = series.sequence is not MRSequence.UNKNOWN
            files = []
            for path in series.files:
                if path in planned:  # an object that holds two series is copied once
                    continue
                planned.add(path)
                target = _place(cohort, study, series, names[study.study_id], out)
                taken[target] += 1
                files.append((path, target.with_name(_file_name(target.name, path, taken[target]))))
            yield SeriesPlan(
                person=study.person,
                number=numbers[study.person],
                description=str(series.sequence) if known else "",
                kind=series.kind,
                slice_axis=series.slice_axis,
                files=tuple(files),
            )


def _place(cohort: Cohort, study: Study, series: Series, name: str, out: Path) -> Path:
    """Return a file's folder in the copy, and how its name begins."""
    sequence = str(series.sequence) if series.sequence is not MRSequence.UNKNOWN else "series"
    if cohort.layout not in PICTURE_LAYOUTS:
        return out / "train" / name / sequence / "Image"
    labelled = cohort.layout != "flat" and study.label is not None
    parts = [study.phase or "", cohort.class_names[study.label] if labelled and study.label is not None else ""]
    return out.joinpath(*filter(None, parts)) / f"{name.replace('/', '_')}_{sequence}"


def _file_name(stem: str, source: Path, number: int) -> str:
    lower = source.name.lower()
    if lower.endswith((".nii", ".nii.gz")):
        return f"{stem}-{number}.nii" + ".gz" * lower.endswith(".gz")
    return f"{stem}-{number}"


def _write_series(
    plan: SeriesPlan, root: Path, pseudonyms: Pseudonyms, settings: Settings
) -> tuple[int, int, list[Fault]]:
    """Write the files of one series that are not yet there; return how many are new, how many were there, and faults."""
    new = old = 0
    faults: list[Fault] = []
    for source, target in plan.files:
        suffix = {"dicom": ".dcm", "picture": ".png"}.get(plan.kind, "")
        place = target.with_name(target.name + suffix)
        if place.exists():
            old += 1
            continue
        try:
            if plan.kind == "dicom":
                write_dicom(source, place, plan.person, plan.number, plan.description, pseudonyms, settings)
            elif plan.kind == "nifti":
                write_nifti(source, place, plan.slice_axis, settings)
            else:
                write_picture(source, place, settings)
            new += 1
        except DataError as error:
            faults.append(Fault(path=relative_to(source, root), reason=str(error)))
    return new, old, faults


def _write_labels(cohort: Cohort, names: dict[str, str], out: Path) -> int:
    """Write the label table of the copy; class folders need none."""
    labelled = [study for study in cohort.labelled if study.study_id in names]
    if cohort.layout in ("phases", "classes") or not labelled:
        return len(labelled)
    usual = cohort.class_names == CLASS_NAMES
    rows = [
        (names[study.study_id].split("/")[0], study.label if usual else cohort.class_names[study.label or 0])
        for study in labelled
    ]
    header = ("BraTS21ID", "MGMT_value" if usual else "label")
    write_atomic(out / "train_labels.csv", _to_csv(header, sorted(set(rows))))
    return len(labelled)


def _mapping_rows(
    studies: Iterable[Study], numbers: dict[str, str], pseudonyms: Pseudonyms
) -> list[tuple[object, ...]]:
    persons = sorted({study.person for study in studies}, key=natural_key)
    return [(person, numbers[person], pseudonyms.shift_days(person)) for person in persons]


def _to_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _list_others(cohort: Cohort, plans: Iterable[SeriesPlan], left_out: Iterable[Fault]) -> list[Fault]:
    """List the files of the source that belong to no series."""
    known = {source for plan in plans for source, _ in plan.files}
    named = {fault.path for fault in left_out}
    reasons = {fault.path: fault.reason for fault in cohort.faults}
    others = []
    for path in walk_files(cohort.root):
        shown = relative_to(path, cohort.root)
        if path not in known and shown not in named:
            others.append(Fault(path=shown, reason=reasons.get(shown, "it is no image of a study; it is not copied.")))
    return others


def _warn(left_out: Sequence[Fault], studies: Sequence[Study]) -> tuple[str, ...]:
    warnings = []
    burned = sum("burned" in fault.reason for fault in left_out)
    if burned:
        warnings.append(f"{burned} files were left out because text may be burned into their pixels.")
    if any(series.kind == "picture" for study in studies for series in study.series):
        warnings.append("Pictures do not say whether text is burned into them; look at them before you pass them on.")
    warnings.append(
        "A head that is not skull-stripped shows a face; defacing is no part of this. Times of day are kept, dates are moved."
    )
    return tuple(warnings)
